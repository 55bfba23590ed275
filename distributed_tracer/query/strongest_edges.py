"""The strongest edges over many graphs, found exactly and in bounded memory.

There are far more distinct edges than memory holds. The first pass therefore only adds up |weights| in a table of
buckets, with many edges per bucket, which gives an upper bound for each edge. The next pass counts the edges of the few
fullest buckets exactly. What has to be counted after that are the buckets whose bound reaches the weakest edge of the
answer so far, which usually are none.

Axes: I bucket, E edge, X pair of sites, Y pair of sites in one prompt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .site_pairs import PairBatch

_FEW_BUCKETS = 4096
"""Buckets of the first exact pass."""
_MOST_EDGES = 1 << 21
"""Edges that are counted exactly at once, unless a single bucket has more."""
_MULTIPLIER = np.int64(-7046029254386353131)


@dataclass(frozen=True, eq=False)
class StrongEdges:
    """Pairs of sites with what was counted of each, the strongest first."""

    pair_X: npt.NDArray[np.int64]
    prompts_X: npt.NDArray[np.int64]
    weight_X: npt.NDArray[np.float64]
    """Sum over prompts, in the order of their ids, of the prompt's weight: the sum over all positions of both ends."""
    strength_X: npt.NDArray[np.float64]
    """Sum over prompts of the |prompt's weight|."""

    def strongest(self, top: int, min_prompts: int = 0) -> StrongEdges:
        """Return the strongest edges that enough prompts have; of equally strong ones, those of the first sites."""
        enough = np.flatnonzero(self.prompts_X >= min_prompts)
        return self._take(enough[np.lexsort((self.pair_X[enough], -self.strength_X[enough]))[:top]])

    def joined(self, other: StrongEdges) -> StrongEdges:
        """Return the edges of both, which have none in common."""
        return StrongEdges(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in self.__annotations__))

    def _take(self, index: npt.NDArray[np.intp]) -> StrongEdges:
        return StrongEdges(*(getattr(self, name)[index] for name in self.__annotations__))


def strongest_edges(
    edges: Iterable[PairBatch], top: int, min_prompts: int, num_buckets: int, buckets_per_pass: int
) -> StrongEdges:
    """Return the `top` edges by strength among those that at least `min_prompts` prompts have.

    `edges` is iterated over once for each pass. `num_buckets` and `buckets_per_pass` trade memory for passes; they do
    not change the answer.
    """
    both_I = np.zeros(num_buckets, dtype=np.complex128)  # bound and count together: places far apart are met once
    bound_I, count_I = both_I.real, both_I.imag
    both_E = np.empty(0, dtype=np.complex128)
    for batch in edges:
        if len(both_E) < len(batch.weight_E):
            both_E = np.full(len(batch.weight_E), 1j)
        own_E = both_E[: len(batch.weight_E)]
        np.abs(batch.weight_E, out=own_E.real)
        with np.errstate(invalid="ignore"):
            np.add.at(both_I, _bucket(batch.pair_E, num_buckets), own_E)
    bound_I[np.isnan(bound_I)] = np.inf
    bound_I *= 1 + count_I * 2.0**-51  # more than all roundings of these sums and of those that are compared with them
    is_left_I, best = count_I > 0, _counted([], np.zeros(0, dtype=bool))
    num_passes = 0
    while True:
        weakest = best.strength_X[-1] if 0 < top == len(best.pair_X) else -np.inf
        left = np.flatnonzero(is_left_I & ~(bound_I < weakest))  # a weakest edge of NaN excludes nothing
        if not len(left):
            return best
        most = min(buckets_per_pass, buckets_per_pass if num_passes else _FEW_BUCKETS)
        if len(left) > most:
            left = left[np.argpartition(-bound_I[left], most - 1)[:most]]
        left = left[np.argsort(-bound_I[left], kind="stable")]
        fits = int(np.searchsorted(np.cumsum(count_I[left]), _MOST_EDGES, side="right"))
        chosen = np.zeros(num_buckets, dtype=bool)
        chosen[left[: max(1, fits)]] = True
        best = best.joined(_counted(edges, chosen)).strongest(top, min_prompts)
        is_left_I &= ~chosen
        num_passes += 1


def _bucket(pair_E: npt.NDArray[np.int64], num_buckets: int) -> npt.NDArray[np.int64]:
    """Return a number below `num_buckets` for each pair, which looks random."""
    mixed_E = (pair_E * _MULTIPLIER).view(np.uint64)
    mixed_E >>= np.uint64(32)
    mixed_E *= np.uint64(num_buckets)
    mixed_E >>= np.uint64(32)
    return mixed_E.view(np.int64)


def _counted(edges: Iterable[PairBatch], is_chosen_I: npt.NDArray[np.bool_]) -> StrongEdges:
    """Return all edges of the chosen buckets."""
    found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]] = []
    for batch in edges:
        own = np.flatnonzero(is_chosen_I.take(_bucket(batch.pair_E, len(is_chosen_I))))
        found.append((batch.pair_E[own], batch.prompt_E[own], batch.weight_E[own]))
    nothing = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    pair_E, prompt_E, weight_E = (np.concatenate(column) for column in zip(nothing, *found, strict=True))
    order = np.lexsort((prompt_E, pair_E))  # stable: the edges of a prompt stay in the order of its graph
    pair_E, prompt_E, weight_E = pair_E[order], prompt_E[order], weight_E[order]
    is_new_E = np.ones(len(pair_E), dtype=bool)
    is_new_E[1:] = (pair_E[1:] != pair_E[:-1]) | (prompt_E[1:] != prompt_E[:-1])
    pair_Y = pair_E[is_new_E]
    weight_Y = np.bincount(np.cumsum(is_new_E) - 1, weights=weight_E, minlength=len(pair_Y))
    is_first_Y = np.ones(len(pair_Y), dtype=bool)
    is_first_Y[1:] = pair_Y[1:] != pair_Y[:-1]
    of_Y = np.cumsum(is_first_Y) - 1
    pair_X = pair_Y[is_first_Y]
    prompts_X = np.bincount(of_Y, minlength=len(pair_X))
    sums = (np.bincount(of_Y, values, len(pair_X)).astype(np.float64) for values in (weight_Y, np.abs(weight_Y)))
    return StrongEdges(pair_X, prompts_X, *sums)
