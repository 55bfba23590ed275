"""Records of edges and of computed rows in temporary files, which are divided by target site.

Axes: E edge, X partition: a range of sites.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .ordering import Ordered
from .spill import CLASS_BITS, write_array
from .task_arrays import load_arrays, save_arrays

EDGE_RECORD = np.dtype([("key", "<i8"), ("rank_class", "<u4"), ("weight", "<f4")])
"""What is recorded of an edge.

Its key is the target site * the number of sites + the source site, and `rank_class` is the rank of the prompt * 8 + a
class, which is 1 if a token at one of the edge's ends differs between the sets, else 0.
"""
ROW_RECORD = np.dtype([("site", "<i4"), ("rank", "<i4"), ("row_sum", "<f8"), ("missing", "<f8")])
"""What is recorded of a node whose row was computed.

`row_sum` is its `row_abs_sum`, `missing` the |edges| into it that are not in the graph.
"""


class DividedFile:
    """A file of records that are appended some at a time, and then read partition by partition."""

    def __init__(self, path: Path, dtype: np.dtype[Any], num_partitions: int) -> None:
        self._path, self._dtype, self._num_partitions = path, dtype, num_partitions
        self._num_records = 0
        self._ends: list[npt.NDArray[np.int64]] = []
        """Of each append, where its first partition begins and where each partition ends, in records."""
        if not path.exists():
            path.touch()

    def close(self) -> None:
        """Write where partitions begin and end, so that `opened` can read the file in another process."""
        save_arrays(_ends_folder(self._path), {"ends": np.array(self._ends, dtype=np.int64)})

    @classmethod
    def opened(cls, path: Path, dtype: np.dtype[Any], num_partitions: int) -> DividedFile:
        """Return a file that was closed, for reading."""
        found = cls(path, dtype, num_partitions)
        found._ends = list(load_arrays(_ends_folder(path))["ends"])
        return found

    def append(self, records: npt.NDArray[Any], partition: npt.NDArray[np.uint16]) -> None:
        """Append records, each to its partition; within a partition they stay in order."""
        counts_X = np.bincount(partition, minlength=self._num_partitions)
        self._ends.append(self._num_records + np.append(0, np.cumsum(counts_X)))
        with self._path.open("ab") as file:
            write_array(file, records[np.argsort(partition, kind="stable")])
        self._num_records += len(records)

    def blocks(self, partition: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the records of a partition, in the order in which they were appended."""
        with self._path.open("rb") as file:
            for ends in self._ends:
                begin, end = ends[partition : partition + 2].tolist()
                file.seek(begin * self._dtype.itemsize)
                yield np.fromfile(file, dtype=self._dtype, count=end - begin)


def _ends_folder(path: Path) -> Path:
    return path.with_name(f"{path.name}_ends")


def ordered(records: npt.NDArray[Any], num_prompts: int) -> npt.NDArray[Any]:
    """Return records of edges by key, then by rank of the prompt; equal ones in the order in which they were read."""
    if not len(records):
        return records
    key_E, rank_E = records["key"], records["rank_class"] >> CLASS_BITS
    base, bits = int(key_E.min()), num_prompts.bit_length()
    if (most := (int(key_E.max()) - base).bit_length() + bits) < 63:
        _, order_E = Ordered((key_E - base) << bits | rank_E, most).take(slice(None))
    else:
        order_E = np.lexsort((rank_E, key_E))
    return records[order_E]
