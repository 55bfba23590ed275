"""Arrays that a task of mining leaves for later tasks: a file for each, in numpy's format, which can be mapped."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_ENDING = ".npy"


def save_arrays(folder: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays of numbers, each by its name, into a folder. Raises OSError if the disk is full."""
    folder.mkdir(exist_ok=True)
    for name, values in arrays.items():
        array = np.asarray(values, order="C")
        header = io.BytesIO()
        np.lib.format.write_array_header_2_0(header, np.lib.format.header_data_from_array_1_0(array))
        with (folder / f"{name}{_ENDING}").open("wb") as file:
            file.write(header.getvalue())
            if array.size:
                file.write(array.data)  # numpy would hide that the disk is full


def load_arrays(folder: Path, is_mapped: bool = False) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of a folder by their names; with `is_mapped` the files are read where they are used."""
    mode: Any = "r" if is_mapped else None
    return {
        path.name.removesuffix(_ENDING): np.asarray(np.load(path, mmap_mode=mode, allow_pickle=False))
        for path in sorted(folder.glob(f"*{_ENDING}"))
    }
