"""WorkFolder: the folder of a profile that is being made, by one run at a time, and what earlier runs left in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..documents.json_text import parse_json
from ..errors import ProfileError
from ..table_folder import new_file
from .document import read_document
from .layout import DOCUMENT, PROFILE, WORK
from .parts import remove_written

_SETTINGS, _LOCK = "settings.json", "lock"
_NAMES = ("model", "transcoders", "store")
"""Settings that only say where something is; it is the same elsewhere if its content is."""


def check_folder(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether the folder has the finished profile of these settings.

    Raises ConfigError for a folder that has another profile, finished or not, and names every setting that differs;
    for a folder that has other files; and for one whose parent does not exist. Nothing is written.
    """
    PROFILE.check_place(folder)
    document, begun = read_document(folder), folder / WORK / _SETTINGS
    if document is not None:
        _check_same(folder, document["settings"], settings)
        return True
    if begun.exists():
        _check_same(folder, parse_json(begun.read_bytes(), ProfileError), settings)
    elif folder.is_dir() and any(entry.name != WORK for entry in folder.iterdir()):
        raise PROFILE.has_other_files(folder)
    return False


@contextmanager
def work_folder(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Create the folder, or go on in it, and let no other run work in it inside the block.

    Parts that never counted are removed. Raises ConfigError as `check_folder` does, and if another run is at work.
    """
    check_folder(folder, settings)
    with PROFILE.locked(folder, folder / WORK / _LOCK):
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
    PROFILE.check_same(folder, old, new)
