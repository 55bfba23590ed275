"""Call a `from_pretrained` method for a directory, the hub or this machine's cache of the hub.

Failures are raised as ModelErrors that say what to do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from ..artifacts import hub
from ..artifacts.checkpoint_files import damaged
from ..artifacts.location import is_path
from ..errors import ModelError, is_failure

_ADAPTER = "adapter_config.json"
_READ = (".safetensors", ".json", ".model")
_WITHOUT_INTERNET = (
    "Without internet, give a directory that holds config.json, tokenizer files and *.safetensors: on a machine with "
    "internet, `distributed-tracer bundle` makes one of a hub id."
)
_MISSING_PACKAGE = re.compile(r"(?i)sentencepiece|tiktoken|protobuf|pip install|No module named")


def from_hub(load: Any, name: str, revision: str | None, what: str, **options: Any) -> Any:
    """Call `load`, a `from_pretrained` method, and return its result. `what` names what it reads, for error messages.

    Raises ModelError that says what to do about the failure. Errors for lack of memory pass through unchanged.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # this package shows the only progress bar
    here = Path(name).is_dir()
    if not here and is_path(name):
        raise ModelError(
            f"there is no directory {name!r} to read a model from; with internet, `distributed-tracer bundle` makes one"
        )
    silence = None
    try:
        names = _names(folder_of(name, revision)) if here else hub.list_files(name, revision)
    except hub.HubError as error:
        names, silence = _names(folder_of(name, revision)), error
    if _ADAPTER in names:
        raise ModelError(
            f"model {name!r} has an adapter beside its weights ({_ADAPTER}), which would be left out or added only in "
            "part. Merge it: with peft, `merge_and_unload()` and then `save_pretrained` into a directory of its own; "
            f"or remove {_ADAPTER} to trace the model without it."
        )
    try:
        return load(
            name, revision=revision, trust_remote_code=False, local_files_only=here or silence is not None, **options
        )
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except BaseException as error:  # libraries raise errors of any type: RuntimeError, SafetensorError, ...
        if not is_failure(error):
            raise
        where = "the directory" if here else "no such directory, and as a hub id"
        cause = silence if silence is not None and folder_of(name, revision) is None else error
        raise ModelError(
            f"cannot read {what} of model {name!r} ({where}): {_in_words(cause)} {_remedy(cause, name, revision)}"
        ) from error


def folder_of(name: str, revision: str | None) -> Path | None:
    """Return the folder in which this machine has the model's files, or None. Nothing is downloaded."""
    return Path(name) if Path(name).is_dir() else hub.cached_folder(name, revision)


def file_of(name: str, file: str, revision: str | None, local_files_only: bool) -> Path | None:
    """Return the path of one of the model's files, downloaded if necessary; None if the model has no such file.

    Raises HubError.
    """
    path = Path(name) / file
    if Path(name).is_dir():
        return path if path.is_file() else None
    return hub.download_file(name, revision, file, from_cache=local_files_only)


def _names(folder: Path | None) -> list[str]:
    return [] if folder is None else [path.name for path in folder.iterdir()]


def _in_words(error: BaseException) -> str:
    """Return the reason of a failure as one sentence."""
    text = hub.reason_of(error)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _remedy(error: BaseException, name: str, revision: str | None) -> str:
    """Return what the user can do about a failure, judging by its causes."""
    if access := hub.advice(error, name):
        return f"{access} {_WITHOUT_INTERNET}"
    if any(isinstance(cause, ImportError) for cause in hub.causes(error)) or _MISSING_PACKAGE.search(str(error)):
        return "Install the package that it names on every machine."
    if "Cannot access accelerator device" in str(error):  # raised for MXFP4 by transformers with torch 2.6
        return "On machines without a GPU this model needs torch 2.7 or newer, or a newer transformers."
    folder = folder_of(name, revision)
    if folder is not None and (wrong := _wrong_in(folder)):
        return f"In {folder}: {'; '.join(wrong)}. Copy or download it again."
    return _WITHOUT_INTERNET


def _wrong_in(folder: Path) -> list[str]:
    try:
        return damaged(folder, sorted(path.name for path in folder.iterdir() if path.name.endswith(_READ)))
    except OSError as error:
        return [f"cannot be read: {error}"]
