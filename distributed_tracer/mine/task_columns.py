"""Columns of tables that a task of mining leaves for later tasks: numbers as arrays, text as the number of each text.

FOLDER/columns.json      names in their order, and the different texts of each column of text
FOLDER/NAME.npy          values, or numbers of texts
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .task_arrays import load_arrays, save_arrays

_ABOUT = "columns.json"
Columns = dict[str, Any]


def save_columns(folder: Path, columns: Mapping[str, Any]) -> None:
    """Write columns: arrays of numbers, or lists or arrays of text. Raises OSError if the disk is full."""
    arrays, texts = dict[str, npt.NDArray[Any]](), dict[str, list[str]]()
    for name, values in columns.items():
        if isinstance(values, list) or values.dtype.kind not in "biuf":
            number_of = dict[str, int]()
            numbers = [number_of.setdefault(text, len(number_of)) for text in values]
            arrays[name], texts[name] = np.array(numbers, dtype=np.int32), list(number_of)
        else:
            arrays[name] = values
    save_arrays(folder, arrays)
    (folder / _ABOUT).write_text(json.dumps({"names": list(columns), "texts": texts}), encoding="ascii")


def load_columns(folder: Path) -> Columns:
    """Return the columns that `save_columns` wrote, in their order; text as arrays of objects."""
    about, arrays = json.loads((folder / _ABOUT).read_text(encoding="ascii")), load_arrays(folder)
    for name, texts in about["texts"].items():
        arrays[name] = np.array([*texts, ""], dtype=object)[arrays[name]]
    return {name: arrays[name] for name in about["names"]}
