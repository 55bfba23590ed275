"""Active features: in how many prompts each feature is active, and the edges into it were computed, node or not.

Axes: A active feature of a part range (by prompt), I feature (layer and index).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .prompts import ChosenPrompts, PromptPiece
from .sites import Sites, site_codes

_COMPUTED, _UNKNOWN = 1, 2
"""Values of `active/computed`."""
_MOST_PLACES = 1 << 27
"""Most features of all layers that are counted: 11 bytes each."""
_SAVED = ("code_I", "num_active_I", "num_computed_I")
_MOST_RECENT = 255
"""Most prompts that are counted in a byte."""


@dataclass(frozen=True, eq=False)
class ActiveCounts:
    """Numbers of prompts of each feature that is active in any, in the order of codes."""

    code_I: npt.NDArray[np.int64]
    """Code of the feature's site."""
    num_active_I: npt.NDArray[np.int64]
    """Prompts in which it is active, at any position."""
    num_computed_I: npt.NDArray[np.int64]
    """Prompts in which the edges into it were computed, at one position at least."""
    num_active_known: int = 0
    """Prompts whose active features are stored."""
    num_computed_known: int = 0
    """Prompts of which it is known which edges were computed."""
    is_too_many: bool = False
    """Whether there are more layers and features than are counted, so that nothing is known of any prompt."""

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder."""
        for name in _SAVED:
            (folder / name).write_bytes(getattr(self, name).tobytes())  # numpy would hide that the disk is full

    @classmethod
    def load(cls, folder: Path, num_active_known: int, num_computed_known: int, is_too_many: bool) -> ActiveCounts:
        """Return counts whose arrays were written into a folder."""
        code_I, active_I, computed_I = (np.fromfile(folder / name, dtype=np.int64) for name in _SAVED)
        return cls(code_I, active_I, computed_I, num_active_known, num_computed_known, is_too_many)

    @classmethod
    def joined(cls, parts: Iterable[ActiveCounts]) -> ActiveCounts:
        """Return the counts of several sets of prompts together, as `count_active` counts them at once.

        They are added one after another, so that two are in memory at a time.
        """
        return reduce(cls._and, parts, cls(_NONE, _NONE, _NONE))

    def _and(self, other: ActiveCounts) -> ActiveCounts:
        code_I = np.union1d(self.code_I, other.code_I)
        if self.is_too_many or other.is_too_many or _num_places(code_I) > _MOST_PLACES:
            return _TOO_MANY
        counts = np.zeros((2, len(code_I)), dtype=np.int64)
        for one in (self, other):
            counts[:, np.searchsorted(code_I, one.code_I)] += one.num_active_I, one.num_computed_I
        known = self.num_active_known + other.num_active_known, self.num_computed_known + other.num_computed_known
        return ActiveCounts(code_I, counts[0], counts[1], *known)

    def rows(self, code_I: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
        """Return columns of the table of features, for features given by code."""
        place_I = np.searchsorted(self.code_I, code_I).clip(max=max(0, len(self.code_I) - 1))
        has_I = self.code_I[place_I] == code_I if len(self.code_I) else np.zeros(len(code_I), dtype=bool)
        columns = {"prompts_active": self.num_active_I, "prompts_computed": self.num_computed_I}
        found = {
            name: np.where(has_I, values[place_I], 0) if len(values) else np.zeros(len(code_I), dtype=np.int64)
            for name, values in columns.items()
        }
        for name in ("active", "computed"):
            number = getattr(self, f"num_{name}_known")
            found[f"prompts_{name}_known"] = np.full(len(code_I), number, dtype=np.int64)
        return found


_NONE = np.empty(0, dtype=np.int64)
_TOO_MANY = ActiveCounts(_NONE, _NONE, _NONE, is_too_many=True)


def _num_places(code_I: npt.NDArray[np.int64]) -> int:
    """Return the number of layers * the number of features, as `_Counter` would have of all prompts."""
    sites = Sites.of_codes([code_I])
    return (1 + int(sites.layer_I.max(initial=0))) * (1 + int(sites.feature_I.max(initial=0)))


def count_active(prompts: ChosenPrompts | PromptPiece, most_rows: int) -> ActiveCounts:
    """Return in how many prompts each feature is active, reading at most `most_rows` active features at once.

    Prompts in parts that do not keep active features count in nothing. If there are more layers and features than could
    be counted in bounded memory, nothing is known of any prompt.
    """
    counter = _Counter()
    for part_range, _ in prompts.ranges("num_active", rows=most_rows):
        part = part_range.part
        if not part.keeps_active:
            continue
        names = ["active/layer", "active/feature", *(["active/computed"] if part.has("active/computed") else [])]
        rows = part_range.rows("num_active")
        read = part.read(dict.fromkeys(names, rows))
        ends = np.cumsum(part_range.sizes("num_active")).tolist()
        key_A = counter.keys(read["active/layer"], read["active/feature"])
        if key_A is None:
            return _TOO_MANY
        for begin, end in zip([0, *ends], ends, strict=False):
            computed = read["active/computed"][begin:end] if "active/computed" in read else None
            counter.add(key_A[begin:end], computed)
    return counter.found()


class _Counter:
    """Counts by layer and feature in arrays with a place for each."""

    def __init__(self) -> None:
        self._num_layers, self._num_features = 1, 1
        self._counts = np.zeros((2, 1), dtype=np.int32)
        self._recent = np.zeros((2, 1), dtype=np.uint8)
        """Counts of the last prompts, which are added to the others before they overflow."""
        self._num_recent = 0
        self._seen = np.zeros(1, dtype=np.uint8)
        self._known = [0, 0]

    def keys(self, layer_A: npt.NDArray[np.int16], feature_A: npt.NDArray[np.int32]) -> npt.NDArray[np.int64] | None:
        """Return the place of each active feature, after making room for all of them; None if there are too many."""
        if len(layer_A):
            num_layers = max(self._num_layers, int(layer_A.max()) + 1)
            num_features = max(self._num_features, int(feature_A.max()) + 1)
            if num_layers * num_features > _MOST_PLACES:
                return None
            if (num_layers, num_features) != (self._num_layers, self._num_features):
                self._grow(num_layers, num_features)
        return layer_A.astype(np.int64) * self._num_features + feature_A

    def add(self, key_A: npt.NDArray[np.int64], computed_A: npt.NDArray[np.uint8] | None) -> None:
        """Count the active features of one prompt."""
        if self._num_recent == _MOST_RECENT:
            self._settle()
        self._num_recent += 1
        self._add(0, key_A)
        if computed_A is not None and not (computed_A == _UNKNOWN).any():
            self._add(1, key_A[computed_A == _COMPUTED])

    def found(self) -> ActiveCounts:
        """Return what was counted."""
        self._settle()
        place_I = np.flatnonzero(self._counts[0])
        layer_I, feature_I = np.divmod(place_I, self._num_features)
        code_I = site_codes(layer_I, np.full(len(layer_I), NodeKind.FEATURE, dtype=np.int64), feature_I)
        active_I, computed_I = (counts[place_I].astype(np.int64) for counts in self._counts)
        return ActiveCounts(code_I, active_I, computed_I, self._known[0], self._known[1])

    def _add(self, which: int, key_A: npt.NDArray[np.int64]) -> None:
        self._seen.fill(0)
        self._seen[key_A] = 1  # once, at however many positions it is active
        self._recent[which] += self._seen
        self._known[which] += 1

    def _settle(self) -> None:
        self._counts += self._recent
        self._recent.fill(0)
        self._num_recent = 0

    def _grow(self, num_layers: int, num_features: int) -> None:
        self._settle()
        larger = np.zeros((2, num_layers, num_features), dtype=np.int32)
        larger[:, : self._num_layers, : self._num_features] = self._counts.reshape(2, self._num_layers, -1)
        self._num_layers, self._num_features = num_layers, num_features
        self._counts = larger.reshape(2, -1)
        self._recent, self._seen = (
            np.zeros(self._counts.shape, dtype=np.uint8),
            np.zeros(len(self._counts[0]), np.uint8),
        )
