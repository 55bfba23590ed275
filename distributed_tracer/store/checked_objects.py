"""CheckedObjects: the objects of a part or an index, each compared with its recorded size and SHA-256 when read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from ..errors import StoreCorrupt
from ..text import and_more
from .backend.base import Backend, Larger
from .format.part_manifest import PartManifest, PromptSummary
from .format.schema import COLUMNS, SIZES
from .format.zarr_decode import Layout, layouts_of

_BATCH = 64
_BATCH_BYTES = 1 << 25
_NAMED = 3
_SIZE_OF_AXIS: dict[str, str] = {axis: size for size, axis in SIZES.items()}


class CheckedObjects:
    """Reads the objects of a folder and checks them against recorded sizes and hashes."""

    def __init__(self, root: Backend, folder: str, objects: Mapping[str, tuple[int, str]], where: str) -> None:
        self.root = root
        self.folder = folder
        self.expected = objects
        self.where = where

    @property
    def num_objects(self) -> int:
        """Number of objects that are recorded for the folder."""
        return len(self.expected)

    @property
    def num_bytes(self) -> int:
        """Total size in bytes of all objects that are recorded for the folder."""
        return sum(size for size, _ in self.expected.values())

    def fetch(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return objects by key. Raises StoreCorrupt for the first object that is missing or altered."""
        found = self._read(keys)
        for key in keys:
            if problem := self._problem(key, found.get(key)):
                is_gone = key in self.expected and key not in found
                hint = "; if the store was cleaned meanwhile, open it again" if is_gone else ""
                raise StoreCorrupt(problem + hint)
        return {key: data for key, data in found.items() if isinstance(data, bytes)}

    def intact(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of those objects that exist exactly as recorded."""
        found = self._read(keys)
        return [key for key in keys if self._problem(key, found.get(key)) is None]

    def damaged(self) -> dict[str, str]:
        """Return a sentence for every object that is missing or altered, by key. Reads all objects, in batches."""
        damaged: dict[str, str] = {}
        for batch in self._batches():
            found = self._read(batch)
            for key in batch:
                if problem := self._problem(key, found.get(key)):
                    damaged[key] = problem
        return damaged

    def _read(self, keys: Sequence[str]) -> dict[str, bytes | Larger]:
        """Return objects unchecked, by key: only recorded objects, and no object that is larger than recorded."""
        sizes = {f"{self.folder}/{key}": self.expected[key][0] for key in keys if key in self.expected}
        larger: dict[str, Larger] = {}
        found = self.root.read_many(list(sizes), sizes, larger)
        there: Mapping[str, bytes | Larger] = {**found, **larger}
        return {key: there[name] for key in keys if (name := f"{self.folder}/{key}") in there}

    def _batches(self) -> Iterator[list[str]]:
        """Yield all keys in batches of up to `_BATCH` objects and `_BATCH_BYTES`; a larger object is its own batch."""
        batch: list[str] = []
        num_bytes = 0
        for key, (size, _) in self.expected.items():
            if batch and (num_bytes + size > _BATCH_BYTES or len(batch) == _BATCH):
                yield batch
                batch, num_bytes = [], 0
            batch, num_bytes = [*batch, key], num_bytes + size
        yield batch

    def _problem(self, key: str, data: bytes | Larger | None) -> str | None:
        if key not in self.expected:
            found = "is not in the commit"
        elif data is None:
            found = "is missing"
        elif isinstance(data, Larger):
            found = f"has {data}, the commit says {self.expected[key][0]}"
        elif len(data) != self.expected[key][0]:
            found = f"has {len(data)} bytes, the commit says {self.expected[key][0]}"
        elif hashlib.sha256(data).hexdigest() != self.expected[key][1]:
            found = "has other content than was committed (SHA-256 differs)"
        else:
            return None
        return f"{self.where}: {key} {found}; it concerns {self._concerned(key)}"

    def _concerned(self, key: str) -> str:
        return "all of it"


class CheckedPartObjects(CheckedObjects):
    """The objects of a part; an error names the prompts that the damage concerns."""

    def __init__(self, root: Backend, manifest: PartManifest) -> None:
        where = f"part {manifest.part} of {root.url}"
        super().__init__(root, f"parts/{manifest.part}", manifest.objects, where)
        self._manifest = manifest

    def _concerned(self, key: str) -> str:
        """Return the prompts that have rows in an object, or all prompts of the part if this cannot be determined."""
        entries = self._manifest.prompts
        name, _, chunk = key.partition("/c/")
        if name not in COLUMNS or COLUMNS[name].axis not in _SIZE_OF_AXIS or not chunk.isdigit():
            return _listed(entries)
        try:
            rows = self._layouts[name].chunk_rows
        except (StoreCorrupt, KeyError):
            return _listed(entries)
        sizes = np.array([getattr(entry, _SIZE_OF_AXIS[COLUMNS[name].axis]) for entry in entries])
        ends = np.cumsum(sizes)
        touched = (ends > int(chunk) * rows) & (ends - sizes < (int(chunk) + 1) * rows) & (sizes > 0)
        return _listed([entries[number] for number in np.flatnonzero(touched)])

    @cached_property
    def _layouts(self) -> dict[str, Layout]:
        """Layouts from the part's own metadata, because earlier versions wrote chunks of other sizes."""
        return layouts_of(self.fetch(["zarr.json"])["zarr.json"], self.where, COLUMNS.values())


def _listed(entries: Sequence[PromptSummary]) -> str:
    named = ", ".join(repr(entry.id) for entry in entries[:_NAMED])
    return f"prompt{'s' if len(entries) != 1 else ''} {named}{and_more(len(entries) - _NAMED)}"
