"""Layout: the files of a profile, and what they hold. It needs the optional package pyarrow.

A profile is a folder:

    profile.json                  settings, counts, where it comes from, and size and SHA-256 of every other file
    features/layer_0003.parquet   one row per feature of layer 3 that is active anywhere, by feature
    contexts/layer_0003.parquet   its contexts: by feature, then quantile, the strongest first
    weights/layer_0003.parquet    promoted and suppressed tokens and neighbours, by feature
    prompts.parquet               number, id and tokens of every prompt that was examined, by number
    tokens.parquet                id and name of every token that the other files mention

`profile.json` is written last, so that a folder without it is unfinished.

Axes: I row, X entry of any row.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ProfileError
from ..table_folder import TableFolder
from .ragged import Ragged

DOCUMENT, PROMPTS, TOKENS = "profile.json", "prompts.parquet", "tokens.parquet"
PROFILE = TableFolder("profile", "profile", DOCUMENT, "distributed_tracer profile", 1, ProfileError, decided_by="files")
FEATURES, CONTEXTS, WEIGHTS = "features", "contexts", "weights"
WORK = "work"
"""Folder of unfinished work; nothing reads it once `profile.json` exists."""
FEATURES_OF_GROUP = 512
"""Number of features whose rows form a row group, so that one feature is found without reading its layer."""

Columns = Mapping[str, "npt.NDArray[Any] | Ragged | list[str]"]


def layer_file(kind: str, layer: int) -> str:
    """Return the name of a layer's file: FEATURES, CONTEXTS or WEIGHTS."""
    return f"{kind}/layer_{layer:04d}.parquet"


def arrow_table(columns: Columns) -> Any:
    """Return columns as a pyarrow.Table. Half surrogates in text become `?`, as in the tables of a store."""
    arrow = import_module("pyarrow")

    def array(values: npt.NDArray[Any] | Ragged | list[str]) -> Any:
        if isinstance(values, Ragged):
            return arrow.ListArray.from_arrays(values.indptr.astype(np.int32), arrow.array(values.values_X))
        if isinstance(values, list):
            return arrow.array([text.encode("utf-8", "replace").decode("utf-8") for text in values], arrow.string())
        return arrow.array(values)

    return arrow.table({name: array(values) for name, values in columns.items()})
