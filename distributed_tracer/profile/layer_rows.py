"""LayerRows: rows of one Parquet file of a profile, found by the number in the column that the file is sorted by.

Axes: I row.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ProfileError
from ..table_folder import import_parquet
from .layout import PROFILE


class LayerRows:
    """An open file, whose row groups are read on demand. The first two columns are `layer` and `feature`."""

    def __init__(self, path: Path, expected: tuple[int, str], key: str = "feature") -> None:
        """Open a file. Raises ProfileError if it is not the one that has the `expected` size and SHA-256."""
        parquet, arrow = import_parquet("a profile"), import_module("pyarrow")
        PROFILE.check_file(path, expected)
        try:
            self._file = parquet.ParquetFile(path)
            column = self._file.schema_arrow.get_field_index(key)
            groups = [self._file.metadata.row_group(n) for n in range(self._file.num_row_groups)]
            bounds = [(group.column(column).statistics.min, group.column(column).statistics.max) for group in groups]
        except (arrow.ArrowException, OSError, AttributeError, ValueError) as error:
            raise ProfileError(f"{path} is not a file of a profile: {error}") from error
        self._key = key
        self._first = np.array([first for first, _ in bounds], dtype=np.int64)
        self._last = np.array([last for _, last in bounds], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def read(self, first: int, last: int) -> Any:
        """Return the rows whose key is from `first` to `last`, as a pyarrow.Table."""
        start = int(np.searchsorted(self._last, first))
        stop = int(np.searchsorted(self._first, last, side="right"))
        table = self._file.read_row_groups(list(range(start, stop)), use_threads=False)
        key_I: npt.NDArray[Any] = table.column(self._key).to_numpy()
        low, high = np.searchsorted(key_I, first), np.searchsorted(key_I, last, side="right")
        return table.slice(int(low), int(high - low))

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last key of each row group; they must not share keys."""
        yield from zip(self._first.tolist(), self._last.tolist(), strict=True)

    def columns(self, names: list[str]) -> Any:
        """Return whole columns, as a pyarrow.Table."""
        return self._file.read(names, use_threads=False)
