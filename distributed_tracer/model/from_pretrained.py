"""Call a `from_pretrained` method for a directory, the hub or this machine's cache of the hub.

Failures are raised as ModelErrors that say what to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..artifacts.checkpoint_files import damaged
from ..artifacts.location import is_path
from ..errors import ModelError, is_failure
from ..text import printable

_HUB_SECONDS = 10.0
_ADAPTER = "adapter_config.json"
_READ = (".safetensors", ".json", ".model")
_LONGEST = 600
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
    listed = [path.name for path in Path(name).iterdir()] if here else _files_on_hub(name, revision)
    silence = listed if isinstance(listed, Exception) else None
    if _ADAPTER in (_cached_names(name, revision) if isinstance(listed, Exception) else listed):
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
            f"cannot read {what} of model {name!r} ({where}): {_told(cause)} {_remedy(cause, name, revision)}"
        ) from error


def folder_of(name: str, revision: str | None) -> Path | None:
    """Return the folder in which this machine has the model's files, or None. Nothing is downloaded."""
    from huggingface_hub import snapshot_download

    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:  # the errors of the hub's client differ by version
        return None


def _files_on_hub(name: str, revision: str | None) -> Sequence[str] | Exception:
    """Return the names of the model's files on the hub, or the error because of which only the cache can have them.

    The hub is asked once; `from_pretrained` would try for 30 seconds.
    """
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
    except Exception as error:  # the hub's client raises errors of its HTTP library, which differ by version
        return error
    return [sibling.rfilename for sibling in found.siblings or ()]


def _cached_names(name: str, revision: str | None) -> Sequence[str]:
    folder = folder_of(name, revision)
    return [] if folder is None else [path.name for path in folder.iterdir()]


def _told(error: BaseException) -> str:
    """Return the message of an error in one printable line, without the query strings of URLs, which may contain
    signatures."""
    text = re.sub(r"(://[^\s?]*)\?\S*", r"\1", " ".join(str(error).split())) or type(error).__name__
    text = printable(text)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _remedy(error: BaseException, name: str, revision: str | None) -> str:
    """Return what the user can do about a failure, judging by its causes."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    causes = _causes(error)
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return (
            f"The model is gated: accept its licence at {constants.ENDPOINT}/{name}, then log in on every machine "
            "with `hf auth login`, or set HF_TOKEN there."
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return (
            "Check the name; a private model needs `hf auth login`, or HF_TOKEN, on every machine. " + _WITHOUT_INTERNET
        )
    if any(isinstance(cause, ImportError) for cause in causes) or _MISSING_PACKAGE.search(str(error)):
        return "Install the package that it names on every machine."
    if "Cannot access accelerator device" in str(error):  # raised for MXFP4 by transformers with torch 2.6
        return "On machines without a GPU this model needs torch 2.7 or newer, or a newer transformers."
    folder = folder_of(name, revision)
    if folder is not None and (wrong := _wrong_in(folder)):
        return f"In {folder}: {'; '.join(wrong)}. Copy or download it again."
    return _WITHOUT_INTERNET


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _wrong_in(folder: Path) -> list[str]:
    try:
        return damaged(folder, sorted(path.name for path in folder.iterdir() if path.name.endswith(_READ)))
    except OSError as error:
        return [f"cannot be read: {error}"]
