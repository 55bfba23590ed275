"""Arrays: one Zarr group of the store, read by ranges.

Only chunks that hold the wanted rows are read, in one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from ..errors import OutOfMemory, StoreCorrupt
from .checked_objects import CheckedObjects
from .format.schema import Column, Columns
from .format.zarr_decode import Layout, Rows, decode, layouts_of

_UNKNOWN: Mapping[str, int] = MappingProxyType({})
_SENSELESS = (ValueError, RuntimeError, SystemError, LookupError, TypeError, AttributeError, OverflowError)
"""Exceptions that decompressors, numpy and json raise for invalid bytes.

RecursionError is a subclass of RuntimeError.
"""


class Arrays:
    """Reads the arrays of one group. Objects are fetched in one call, checked and decoded."""

    def __init__(
        self, objects: CheckedObjects, columns: Iterable[Column], num_rows: Mapping[str, int] = _UNKNOWN
    ) -> None:
        """Prepare to read `columns`.

        `num_rows` gives the number of rows of arrays, by name, where a trusted source knows it.
        """
        self._objects = objects
        self._columns = {column.name: column for column in columns}
        self._num_rows = num_rows

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """Layout of every array that exists.

        Raises StoreCorrupt if a required array is missing or if an array has impossible sizes. This happens before
        anything is read, and before a list of what to read is made.
        """
        metadata = self._objects.fetch(["zarr.json"])["zarr.json"]
        layouts = layouts_of(metadata, self._objects.where, self._columns.values())
        for name, layout in layouts.items():
            if (expected := self._num_rows.get(name, layout.num_rows)) != layout.num_rows:
                raise StoreCorrupt(f"{self._objects.where}: {name} has {layout.num_rows} rows, its commit {expected}")
        if (num_chunks := sum(layout.num_chunks for layout in layouts.values())) > self._objects.num_objects:
            raise StoreCorrupt(
                f"{self._objects.where}: its arrays have {num_chunks} chunks, but its commit lists "
                f"{self._objects.num_objects} objects"
            )
        return layouts

    def all(self, name: str) -> slice:
        """Return the range of all rows of an array."""
        return slice(0, self.layouts[name].num_rows)

    def read_all(self, names: Iterable[str]) -> Columns:
        """Return whole arrays, by name."""
        return self.read({name: self.all(name) for name in names})

    def read(self, wanted: Mapping[str, Rows]) -> Columns:
        """Return rows of arrays, by name.

        Raises StoreCorrupt, which names what is damaged and which prompts it concerns.
        """
        keys = {name: [f"{name}/{chunk}" for chunk in self.layouts[name].chunks(rows)] for name, rows in wanted.items()}
        found = self._objects.fetch([key for of_array in keys.values() for key in of_array])
        columns = {}
        for name, rows in wanted.items():
            with self.decoding(name):
                columns[name] = decode(self.layouts[name], rows, [found[key] for key in keys[name]])
                _check_values(self._columns[name], columns[name])
        return columns

    @contextmanager
    def decoding(self, what: str = "") -> Iterator[None]:
        """Raise StoreCorrupt if the code in this context fails because bytes that match their hash cannot be decoded.

        Raises OutOfMemory if there is not enough memory to decode them.
        """
        try:
            yield
        except MemoryError as error:
            raise OutOfMemory(f"{self._objects.where}: there is no memory to read {what or 'it'}") from error
        except _SENSELESS as error:
            of = f"{self._objects.where}: {what}" if what else self._objects.where
            raise StoreCorrupt(f"{of} cannot be decoded: {type(error).__name__}: {error}") from error


def _check_values(column: Column, values: npt.NDArray[Any]) -> None:
    if not values.size:
        return
    if column.least is not None and (least := values.min()) < column.least:
        raise ValueError(f"{least} is below {column.least}")
    if column.most is not None and (most := values.max()) > column.most:
        raise ValueError(f"{most} is above {column.most}")
