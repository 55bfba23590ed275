"""Model files: whether the packages of this machine can read a model's configuration, quantisation and tokenizer."""

from __future__ import annotations

from ...artifacts.fingerprint import Files
from ...errors import ModelError


def why_unreadable(files: Files) -> str:
    """Return why a run on this machine would refuse the model, or an empty string if it would not.

    Only files that are present and complete are checked, because other findings report missing or damaged files and
    absent packages. No weights are loaded.
    """
    if files.folder is None or files.damaged:
        return ""
    try:
        from ...model.load import load_config, load_tokenizer
    except ImportError:
        return ""
    try:
        load_config(files.folder)
        load_tokenizer(files.folder)
    except ModelError as error:
        return str(error)
    return ""
