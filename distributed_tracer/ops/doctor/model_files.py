"""Would the packages of this machine read a model: its configuration, quantisation and tokenizer? Short of weights."""

from __future__ import annotations

from ...artifacts.fingerprint import Files
from ...errors import ModelError


def why_unreadable(files: Files) -> str:
    """Why a run here would refuse the model; empty where it would not.

    Asked of files that are here and whole only: what is wrong with others is said already. So are absent packages.
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
