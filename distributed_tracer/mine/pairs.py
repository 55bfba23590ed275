"""Pairs: statistics of each pair of sites that any prompt has an edge between, from its edges.

All float sums are sequential: over the edges of one prompt in the canonical order of its graph, and over prompts in the
order of their ids. They therefore depend on nothing but the graphs.

Axes: E edge (by target site, then by source site, then by prompt, then in the order of its graph), X pair of sites, Y
pair of sites in one prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .sequential import sums_by
from .spill import CLASSES

Rows = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges between sites, in the order of the axis E. A prompt is given by its rank, a distance by its class."""

    source_E: npt.NDArray[np.int32]
    target_E: npt.NDArray[np.int32]
    prompt_E: npt.NDArray[np.int32]
    weight_E: npt.NDArray[np.float32]
    class_E: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.source_E)

    @cached_property
    def first_X(self) -> npt.NDArray[np.intp]:
        """First edge of each pair."""
        is_new_E = np.ones(len(self), dtype=bool)
        is_new_E[1:] = self.source_E[1:] != self.source_E[:-1]
        is_new_E[1:] |= self.target_E[1:] != self.target_E[:-1]
        return np.flatnonzero(is_new_E)

    @cached_property
    def count_X(self) -> npt.NDArray[np.intp]:
        """Number of edges of each pair."""
        return np.diff(self.first_X, append=len(self))

    def take(self, index_E: npt.NDArray[Any] | slice) -> Edges:
        """Return the edges at `index_E`, an index, a mask or a slice."""
        return Edges(
            self.source_E[index_E],
            self.target_E[index_E],
            self.prompt_E[index_E],
            self.weight_E[index_E],
            self.class_E[index_E],
        )


class Moments:
    """Counts and sums of pairs, each computed when it is asked for.

    `row_sum` returns, for edges by index, the sum of `row_abs_sum` over the target's nodes in the edge's prompt, NaN
    where it is not known. `clusters` has the number of each prompt's cluster by rank, -1 for none.
    """

    def __init__(
        self,
        edges: Edges,
        row_sum: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.float64]],
        clusters: npt.NDArray[np.int32] | None = None,
    ) -> None:
        self._edges, self._row_sum, self._clusters = edges, row_sum, clusters
        self._num_pairs = len(edges.first_X)

    def columns(self, names: Iterable[str]) -> Rows:
        """Return columns by name: those of MOMENTS."""
        return {name: self._column(name) for name in names}

    def _column(self, name: str) -> npt.NDArray[Any]:
        of, _, distance = name.partition("_at_")
        if distance:
            at: npt.NDArray[Any] = self._counts_at if of == "instances" else self._sums_at
            return np.asarray(at[CLASSES.index(distance)])
        found: npt.NDArray[Any] = getattr(self, "_clusters_of_pairs" if name == "clusters" else f"_{name}")
        return found

    @cached_property
    def _pair_E(self) -> npt.NDArray[np.intp]:
        return np.repeat(np.arange(self._num_pairs), self._edges.count_X)

    @cached_property
    def _is_first_E(self) -> npt.NDArray[np.bool_]:
        is_first_E = np.zeros(len(self._edges), dtype=bool)
        is_first_E[self._edges.first_X] = True
        return is_first_E

    @cached_property
    def _first_Y(self) -> npt.NDArray[np.intp]:
        """First edge of each pair in each prompt."""
        is_new_E = self._is_first_E.copy()
        is_new_E[1:] |= self._edges.prompt_E[1:] != self._edges.prompt_E[:-1]
        return np.flatnonzero(is_new_E)

    @cached_property
    def _of_E(self) -> npt.NDArray[np.intp] | None:
        """The Y of each edge; None if each is its own."""
        if len(self._first_Y) == len(self._edges):
            return None
        return np.repeat(np.arange(len(self._first_Y)), np.diff(self._first_Y, append=len(self._edges)))

    @cached_property
    def _first_of_pair_Y(self) -> npt.NDArray[np.intp]:
        """First Y of each pair."""
        return self._edges.first_X if self._of_E is None else np.flatnonzero(self._is_first_E[self._first_Y])

    @cached_property
    def _pair_Y(self) -> npt.NDArray[np.intp]:
        return self._pair_E if self._of_E is None else np.repeat(np.arange(self._num_pairs), self._prompts)

    @cached_property
    def _is_known_E(self) -> npt.NDArray[np.bool_] | None:
        """Whether each weight is finite; None if all are."""
        is_known_E = np.isfinite(self._edges.weight_E)
        return None if is_known_E.all() else is_known_E

    @cached_property
    def _is_known_Y(self) -> npt.NDArray[np.bool_] | None:
        """Whether all weights are finite; None if they are everywhere."""
        if self._is_known_E is None:
            return None
        return np.asarray(np.logical_and.reduceat(self._is_known_E, self._first_Y))

    @cached_property
    def _weight_E(self) -> npt.NDArray[np.float64]:
        known_E, weight_E = self._is_known_E, self._edges.weight_E
        chosen_E = (weight_E if known_E is None else np.where(known_E, weight_E, 0)).astype(np.float64)
        chosen_E += 0.0  # no negative zeros
        return chosen_E

    @cached_property
    def _sum_Y(self) -> npt.NDArray[np.float64]:
        return self._within_prompt(self._weight_E)

    def _within_prompt(self, values_E: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return values_E if self._of_E is None else sums_by(self._of_E, values_E, len(self._first_Y))

    def _over_prompts(
        self, values_Y: npt.NDArray[np.float64], mask_Y: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        mask_Y = self._is_known_Y if mask_Y is None else mask_Y
        if mask_Y is not None:
            values_Y = np.where(mask_Y, values_Y, 0.0)
        return sums_by(self._pair_Y, values_Y, self._num_pairs)

    def _counted(self, mask: npt.NDArray[np.bool_] | None, first_X: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return how often a mask of edges or of Y holds, given the first of each pair; None holds nowhere."""
        if mask is None or not mask.any():
            return np.zeros(self._num_pairs, dtype=np.int64)
        return np.add.reduceat(mask, first_X, dtype=np.int64)

    @cached_property
    def _prompts(self) -> npt.NDArray[np.int64]:
        return np.diff(self._first_of_pair_Y, append=len(self._first_Y))

    @property
    def _prompts_unknown(self) -> npt.NDArray[np.int64]:
        known_Y = self._is_known_Y
        return self._counted(None if known_Y is None else ~known_Y, self._first_of_pair_Y)

    @property
    def _clusters_of_pairs(self) -> npt.NDArray[np.int64]:
        assert self._clusters is not None
        cluster_Y = self._clusters[self._edges.prompt_E[self._first_Y]]
        has_Y = cluster_Y >= 0
        found = np.unique(self._pair_Y[has_Y].astype(np.int64) << 32 | cluster_Y[has_Y])
        return np.bincount(found >> 32, minlength=self._num_pairs)

    @property
    def _instances(self) -> npt.NDArray[np.int64]:
        return self._edges.count_X.astype(np.int64)

    @cached_property
    def _instances_positive(self) -> npt.NDArray[np.int64]:
        return self._counted(self._weight_E > 0, self._edges.first_X)

    @property
    def _instances_negative(self) -> npt.NDArray[np.int64]:
        others = self._counted(self._weight_E == 0, self._edges.first_X)  # unknown ones are 0 there
        return self._instances - self._instances_positive - others

    @property
    def _instances_unknown(self) -> npt.NDArray[np.int64]:
        known_E = self._is_known_E
        return self._counted(None if known_E is None else ~known_E, self._edges.first_X)

    @property
    def _sum(self) -> npt.NDArray[np.float64]:
        return self._over_prompts(self._sum_Y)

    @property
    def _sum_abs(self) -> npt.NDArray[np.float64]:
        return self._over_prompts(self._within_prompt(np.abs(self._weight_E)))

    @property
    def _sum_squares(self) -> npt.NDArray[np.float64]:
        return self._over_prompts(self._sum_Y * self._sum_Y)

    @property
    def _min(self) -> npt.NDArray[np.float64]:
        return self._extreme(np.minimum, np.inf)

    @property
    def _max(self) -> npt.NDArray[np.float64]:
        return self._extreme(np.maximum, -np.inf)

    def _extreme(self, ufunc: np.ufunc, none: float) -> npt.NDArray[np.float64]:
        weight_E = self._weight_E if self._is_known_E is None else np.where(self._is_known_E, self._weight_E, none)
        found = ufunc.reduceat(weight_E, self._edges.first_X) if len(weight_E) else weight_E
        return np.asarray(found) if self._is_known_E is None else np.where(np.isfinite(found), found, np.nan)

    @cached_property
    def _row_sum_Y(self) -> npt.NDArray[np.float64]:
        """Sum of each target's rows in each prompt; NaN where it or the sum of weights is not known."""
        row_sum_Y = self._row_sum(self._first_Y)
        return row_sum_Y if self._is_known_Y is None else np.where(self._is_known_Y, row_sum_Y, np.nan)

    @cached_property
    def _has_share_Y(self) -> npt.NDArray[np.bool_] | None:
        """Whether the share is known; None if it is everywhere."""
        has_Y = np.isfinite(self._row_sum_Y)
        return None if has_Y.all() else has_Y

    @property
    def _prompts_share(self) -> npt.NDArray[np.int64]:
        has_Y = self._has_share_Y
        return self._prompts if has_Y is None else self._counted(has_Y, self._first_of_pair_Y)

    @property
    def _sum_share(self) -> npt.NDArray[np.float64]:
        has_Y = self._has_share_Y
        if has_Y is None:
            return self._over_prompts(self._sum_Y / self._row_sum_Y)
        share_Y = np.divide(self._sum_Y, self._row_sum_Y, out=np.zeros(len(has_Y)), where=has_Y)
        return self._over_prompts(share_Y, has_Y)

    @cached_property
    def _bin_E(self) -> npt.NDArray[np.intp]:
        return self._pair_E + self._num_pairs * self._edges.class_E.astype(np.intp)

    @cached_property
    def _counts_at(self) -> npt.NDArray[np.int64]:
        num_bins = self._num_pairs * len(CLASSES)
        return np.bincount(self._bin_E, minlength=num_bins).reshape(len(CLASSES), -1)

    @cached_property
    def _sums_at(self) -> npt.NDArray[np.float64]:
        num_bins = self._num_pairs * len(CLASSES)
        return sums_by(self._bin_E, self._weight_E, num_bins).reshape(len(CLASSES), -1)


STORED_MOMENTS = (
    *("prompts", "prompts_unknown", "clusters", "instances", "instances_positive", "instances_negative"),
    *("instances_unknown", "sum", "sum_abs", "sum_squares", "min", "max", "prompts_share", "sum_share"),
)
"""Moments that an atlas stores of pairs with more than one edge."""
MOMENTS = (
    *STORED_MOMENTS,
    *(f"instances_at_{name}" for name in CLASSES),
    *(f"sum_at_{name}" for name in CLASSES),
)
"""Columns that follow from the edges of a pair and the row sums of its target."""
