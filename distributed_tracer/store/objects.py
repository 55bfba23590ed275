"""PartObjects: the bytes of one committed part. Nothing is believed that does not agree with the commit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ..errors import StoreCorrupt
from .receipt import PromptEntry, Receipt
from .root import Root
from .schema import COLUMNS

_BATCH = 64
_NAMED = 3


class PartObjects:
    """Checked reads of a part's objects; damage is reported with the prompts it concerns."""

    def __init__(self, root: Root, receipt: Receipt) -> None:
        self._root = root
        self._receipt = receipt
        self._folder = f"parts/{receipt.part}"
        self.where = f"part {receipt.part} of {root.url}"

    def fetch(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Objects by key. Raises StoreCorrupt for the first that is missing or altered."""
        found = self._root.read_many([f"{self._folder}/{key}" for key in keys])
        for key in keys:
            if problem := self._problem(key, found.get(f"{self._folder}/{key}")):
                raise StoreCorrupt(problem)
        return {key: found[f"{self._folder}/{key}"] for key in keys}

    def problems(self) -> list[str]:
        """A sentence for every object that is missing or altered; reads the whole part."""
        keys, problems = list(self._receipt.objects), []
        for first in range(0, len(keys), _BATCH):
            batch = keys[first : first + _BATCH]
            found = self._root.read_many([f"{self._folder}/{key}" for key in batch])
            answers = (self._problem(key, found.get(f"{self._folder}/{key}")) for key in batch)
            problems += [answer for answer in answers if answer is not None]
        return problems

    def _problem(self, key: str, data: bytes | None) -> str | None:
        if key not in self._receipt.objects:
            found = "is not in the commit"
        elif data is None:
            found = "is missing"
        elif len(data) != self._receipt.objects[key][0]:
            found = f"has {len(data)} bytes, the commit says {self._receipt.objects[key][0]}"
        elif hashlib.sha256(data).hexdigest() != self._receipt.objects[key][1]:
            found = "has other content than was committed (SHA-256 differs)"
        else:
            return None
        return f"{self.where}: {key} {found}; it concerns {self._concerned(key)}"

    def _concerned(self, key: str) -> str:
        """The prompts with rows in an object; all of the part's where that cannot be told."""
        entries = self._receipt.prompts
        name, _, chunk = key.partition("/c/")
        counted = {f"num_{axis}s": axis for axis in ("token", "target", "node", "edge")} | {"num_active": "active"}
        for size, axis in counted.items():
            if name in COLUMNS and COLUMNS[name].axis == axis and chunk.isdigit():
                ends = np.cumsum([getattr(entry, size) for entry in entries])
                first = int(chunk) * COLUMNS[name].chunk_rows
                starts = ends - [getattr(entry, size) for entry in entries]
                touched = (ends > first) & (starts < first + COLUMNS[name].chunk_rows) & (ends > starts)
                return _listed([entry for entry, is_touched in zip(entries, touched, strict=True) if is_touched])
        return _listed(entries)


def _listed(entries: Sequence[PromptEntry]) -> str:
    named = ", ".join(repr(entry.id) for entry in entries[:_NAMED])
    more = f" and {len(entries) - _NAMED} more" if len(entries) > _NAMED else ""
    return f"prompt{'s' if len(entries) != 1 else ''} {named}{more}"
