"""Active features: in how many prompts each feature is active, and the edges into it were computed, node or not.

Axes: A active feature of a part range (by prompt), I feature (layer and index).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .prompts import ChosenPrompts, PromptPiece
from .sites import Sites, site_codes

Ints = npt.NDArray[np.integer]
_COMPUTED, _UNKNOWN = 1, 2
"""Values of `active/computed`."""
_MOST_PLACES = 1 << 27
"""Most features of all layers that are counted: 11 bytes each."""
_SAVED = ("place_I", "num_active_I", "num_computed_I")
"""Arrays that are saved. There are fewer than 2^31 prompts and places."""
_MOST_RECENT = 255
"""Most prompts that are counted in a byte."""


@dataclass(frozen=True, eq=False)
class ActiveCounts:
    """Numbers of prompts of each feature that is active in any, in the order of layers and of features."""

    num_features: int
    """Number of places of each layer, at least that of its features."""
    place_I: npt.NDArray[np.int32]
    """Layer * `num_features` + index of the feature."""
    num_active_I: npt.NDArray[np.int32]
    """Prompts in which it is active, at any position."""
    num_computed_I: npt.NDArray[np.int32]
    """Prompts in which the edges into it were computed, at one position at least."""
    num_active_known: int = 0
    """Prompts whose active features are stored."""
    num_computed_known: int = 0
    """Prompts of which it is known which edges were computed."""
    is_too_many: bool = False
    """Whether there are more layers and features than are counted, so that nothing is known of any prompt."""

    @classmethod
    def of_codes(
        cls,
        code_I: npt.NDArray[np.int64],
        num_active_I: Ints,
        num_computed_I: Ints,
        num_active_known: int,
        num_computed_known: int,
    ) -> ActiveCounts:
        """Return counts of features, given the codes of their sites in ascending order."""
        sites = Sites.of_codes([code_I])
        num_features = int(sites.feature_I.max(initial=0)) + 1
        place_I = sites.layer_I.astype(np.int64) * num_features + sites.feature_I
        if place_I.max(initial=0) >= _MOST_PLACES:
            return _TOO_MANY
        places, active_I, computed_I = (num_I.astype(np.int32) for num_I in (place_I, num_active_I, num_computed_I))
        return cls(num_features, places, active_I, computed_I, num_active_known, num_computed_known)

    @cached_property
    def code_I(self) -> npt.NDArray[np.int64]:
        """Code of each feature's site."""
        layer_I, feature_I = np.divmod(self.place_I, self.num_features)
        return site_codes(layer_I, np.full(len(layer_I), NodeKind.FEATURE, dtype=np.int64), feature_I)

    def save(self, folder: Path) -> list[int | bool]:
        """Write the arrays into a folder; return the other fields."""
        for name in _SAVED:  # numpy would hide that the disk is full
            (folder / name).write_bytes(getattr(self, name).tobytes())
        return [self.num_features, self.num_active_known, self.num_computed_known, self.is_too_many]

    @classmethod
    def load(
        cls, folder: Path, num_features: int, num_active_known: int, num_computed_known: int, is_too_many: bool
    ) -> ActiveCounts:
        """Return counts whose arrays were written into a folder, given the other fields."""
        place_I, active_I, computed_I = (np.fromfile(folder / name, dtype=np.int32) for name in _SAVED)
        known = (num_active_known, num_computed_known)
        return cls(num_features, place_I, active_I, computed_I, *known, is_too_many)

    @classmethod
    def joined(cls, parts: Iterable[ActiveCounts]) -> ActiveCounts:
        """Return the counts of several sets of prompts together, as `count_active` counts them at once.

        They are added one after another to an array with a place for each feature, so that one is in memory at a time.
        A single one needs no such array.
        """
        counter, others = _Counter(), iter(parts)
        first, second = next(others, None), next(others, None)
        if first is not None and second is None:
            return first
        for one in chain((one for one in (first, second) if one is not None), others):
            if one.is_too_many or not counter.add_counts(one):
                return _TOO_MANY
        return counter.found()

    def rows(self, code_I: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
        """Return columns of the table of features, for features given by code."""
        place_I = np.searchsorted(self.code_I, code_I).clip(max=max(0, len(self.code_I) - 1))
        has_I = self.code_I[place_I] == code_I if len(self.code_I) else np.zeros(len(code_I), dtype=bool)
        columns = {"prompts_active": self.num_active_I, "prompts_computed": self.num_computed_I}
        found = {name: np.zeros(len(code_I), dtype=np.int64) for name in columns}
        for name, values in columns.items() if len(self.code_I) else ():
            np.copyto(found[name], values[place_I], where=has_I)
        for name in ("active", "computed"):
            number = getattr(self, f"num_{name}_known")
            found[f"prompts_{name}_known"] = np.full(len(code_I), number, dtype=np.int64)
        return found


_NONE = np.empty(0, dtype=np.int32)
_TOO_MANY = ActiveCounts(1, _NONE, _NONE, _NONE, is_too_many=True)


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
        read = part.read(dict.fromkeys(names, part_range.rows("num_active")))
        if not counter.make_room(read["active/layer"], read["active/feature"]):
            return _TOO_MANY
        ends = np.cumsum(part_range.sizes("num_active")).tolist()
        for begin, end in zip([0, *ends], ends, strict=False):  # those of one prompt stay in the cache
            layer_A, feature_A, *computed = (values[begin:end] for values in read.values())
            counter.add(counter.places(layer_A, feature_A), computed[0] if computed else None)
    return counter.found()


class _Counter:
    """Counts by layer and feature in arrays with a place for each."""

    def __init__(self) -> None:
        self._num_layers, self.num_features = 1, 1
        self._counts = np.zeros((2, 1), dtype=np.int32)
        self._recent = np.zeros((2, 1), dtype=np.uint8)
        """Counts of the last prompts, which are added to the others before they overflow."""
        self._num_recent = 0
        self._seen = np.zeros(1, dtype=np.uint8)
        self._known = [0, 0]

    def make_room(self, layer_A: npt.NDArray[np.integer], feature_A: npt.NDArray[np.integer]) -> bool:
        """Make a place for each of these features; return False if there would be too many places."""
        if len(layer_A):
            num_layers = max(self._num_layers, int(layer_A.max()) + 1)
            num_features = max(self.num_features, int(feature_A.max()) + 1)
            if num_layers * num_features > _MOST_PLACES:
                return False
            if (num_layers, num_features) != (self._num_layers, self.num_features):
                self._grow(num_layers, num_features)
        return True

    def places(self, layer_A: npt.NDArray[np.integer], feature_A: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
        """Return the place of each feature."""
        place_A = layer_A.astype(np.intp)
        place_A *= self.num_features
        place_A += feature_A
        return place_A

    def add(self, place_A: npt.NDArray[np.intp], computed_A: npt.NDArray[np.uint8] | None) -> None:
        """Count the active features of one prompt."""
        if self._num_recent == _MOST_RECENT:
            self._settle()
        self._num_recent += 1
        self._add(0, place_A)
        if computed_A is not None and not (computed_A == _UNKNOWN).any():
            self._add(1, place_A[computed_A == _COMPUTED])

    def add_counts(self, other: ActiveCounts) -> bool:
        """Add what was counted of other prompts; return False if there would be too many places."""
        place_I: Ints = other.place_I
        if other.num_features != self.num_features or other.place_I.max(initial=0) >= len(self._counts[0]):
            layer_I, feature_I = np.divmod(other.place_I, other.num_features)
            if not self.make_room(layer_I, feature_I):
                return False
            place_I = self.places(layer_I, feature_I)
        for counts, own_I in zip(self._counts, (other.num_active_I, other.num_computed_I), strict=True):
            counts[place_I] += own_I
        self._known[0] += other.num_active_known
        self._known[1] += other.num_computed_known
        return True

    def found(self) -> ActiveCounts:
        """Return what was counted."""
        self._settle()
        place_I = np.flatnonzero(self._counts[0])
        active_I, computed_I = (counts.take(place_I) for counts in self._counts)
        active_known, computed_known = self._known
        return ActiveCounts(
            self.num_features, place_I.astype(np.int32), active_I, computed_I, active_known, computed_known
        )

    def _add(self, which: int, place_A: npt.NDArray[np.intp]) -> None:
        self._seen.fill(0)
        self._seen[place_A] = 1  # once, at however many positions it is active
        self._recent[which] += self._seen
        self._known[which] += 1

    def _settle(self) -> None:
        if self._num_recent:
            self._counts += self._recent
            self._recent.fill(0)
        self._num_recent = 0

    def _grow(self, num_layers: int, num_features: int) -> None:
        self._settle()
        larger = np.zeros((2, num_layers, num_features), dtype=np.int32)
        larger[:, : self._num_layers, : self.num_features] = self._counts.reshape(2, self._num_layers, -1)
        self._num_layers, self.num_features = num_layers, num_features
        self._counts = larger.reshape(2, -1)
        self._recent, self._seen = (
            np.zeros(self._counts.shape, dtype=np.uint8),
            np.zeros(len(self._counts[0]), np.uint8),
        )
