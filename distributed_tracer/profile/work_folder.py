"""WorkFolder: the folder of a profile that is being made, by one run at a time, and what earlier runs left in it."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..documents.json_text import parse_json
from ..errors import ConfigError, ProfileError
from ..store.format.run_file import differences
from .document import read_document
from .layout import DOCUMENT, WORK, new_file
from .parts import remove_written

_SETTINGS, _LOCK = "settings.json", "lock"
_NAMES = ("model", "transcoders", "store")
"""Settings that only say where something is; it is the same elsewhere if its content is."""


def check_folder(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether the folder has the finished profile of these settings.

    Raises ConfigError for a folder that has another profile, finished or not, and names every setting that differs;
    for a folder that has other files; and for one whose parent does not exist. Nothing is written.
    """
    if not folder.parent.is_dir():
        raise ConfigError(f"there is no directory {folder.parent} to write {folder.name} to")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} exists and is no directory: a profile is a folder of its own")
    document, begun = read_document(folder), folder / WORK / _SETTINGS
    if document is not None:
        _check_same(folder, document["settings"], settings)
        return True
    if begun.exists():
        _check_same(folder, parse_json(begun.read_bytes(), ProfileError), settings)
    elif folder.is_dir() and any(entry.name != WORK for entry in folder.iterdir()):
        raise ConfigError(f"{folder} has files and is no profile: give a folder that is new or empty")
    return False


@contextmanager
def work_folder(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Create the folder, or go on in it, and let no other run work in it inside the block.

    Parts that never counted are removed. Raises ConfigError as `check_folder` does, and if another run is at work.
    """
    check_folder(folder, settings)
    (folder / WORK).mkdir(parents=True, exist_ok=True)
    with (folder / WORK / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another run is making the profile {folder}: wait for it, or name another folder"
            ) from error
        if not (folder / WORK / _SETTINGS).exists():
            with new_file(folder / WORK / _SETTINGS) as path:
                path.write_text(json.dumps(settings), encoding="ascii")
        remove_written(folder)
        yield
        if (folder / DOCUMENT).exists():
            shutil.rmtree(folder / WORK, ignore_errors=True)


def _check_same(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise ConfigError that names every setting that differs. Names count only where the content is not known."""
    content = there.get("content") or {}, here.get("content") or {}
    same = {name for name in _NAMES if all(found.get(name) for found in content)}
    old, new = ({name: value for name, value in one.items() if name not in same} for one in (there, here))
    if lines := differences(old, new, ("the profile", "this run")):
        raise ConfigError(
            f"{folder} has a profile that was made otherwise:\n  "
            + "\n  ".join(lines)
            + "\n  Give the run the same settings and files, or another folder."
        )
