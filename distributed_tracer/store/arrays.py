"""Arrays: one Zarr group of the store, read by ranges: only the chunks that hold the rows asked for, in one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from ..errors import StoreCorrupt
from .decode import decode
from .layout import Layout, Rows, layouts_of
from .objects import Objects
from .schema import Column, Columns


class Arrays:
    """Reads of one group. Objects are fetched in one call, checked and decoded."""

    def __init__(self, objects: Objects, columns: Iterable[Column]) -> None:
        self._objects = objects
        self._columns = tuple(columns)

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """Of every array that is there. Raises StoreCorrupt if one is missing that must not."""
        metadata = self._objects.fetch(["zarr.json"])["zarr.json"]
        return layouts_of(metadata, self._objects.where, self._columns)

    def all(self, name: str) -> slice:
        """All rows of an array."""
        return slice(0, self.layouts[name].num_rows)

    def read_all(self, names: Iterable[str]) -> Columns:
        """Whole arrays, by name."""
        return self.read({name: self.all(name) for name in names})

    def read(self, wanted: Mapping[str, Rows]) -> Columns:
        """Rows of arrays, by name. Raises StoreCorrupt naming what is damaged and whose it is."""
        keys = {name: [f"{name}/{chunk}" for chunk in self.layouts[name].chunks(rows)] for name, rows in wanted.items()}
        found = self._objects.fetch([key for of_array in keys.values() for key in of_array])
        try:
            return {
                name: decode(self.layouts[name], rows, [found[key] for key in keys[name]])
                for name, rows in wanted.items()
            }
        except (ValueError, RuntimeError) as error:
            raise self.undecodable(error) from error

    def undecodable(self, error: Exception) -> StoreCorrupt:
        """What to raise where bytes are as they were written, and make no sense."""
        return StoreCorrupt(f"{self._objects.where} cannot be decoded: {type(error).__name__}: {error}")
