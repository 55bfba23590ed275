"""Feed-forward loops by their sites: how strong each is over clusters of prompts, and which are the strongest.

A loop is three sites and three signs. Its strength in a prompt is the sum, over its places in the graph, of the product
of the shares of its three edges. Over prompts, strengths are added as integers, so that no order matters. Sums by a
hash of the loop come first; they bound the strength of each loop, so that only the loops of the fullest buckets need be
kept.

Axes: E edge, N node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .motif_counts import loop_edges
from .motif_graphs import PromptGraph

Ints = npt.NDArray[np.int64]
NUM_BUCKETS = 1 << 18
UNIT = 2.0**-40
"""Strengths are added as integers in this unit."""
ROW_BYTES = 400
"""Memory of a row of `Loops` while rows are sorted."""
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)
_KEYS = ("first", "middle", "last", "signs")
_SUMS = ("strength", "direct", "through", "instances", "unknown")
MOST_LOOPS = 20_000_000
"""Feed-forward loops of a graph that are listed by their sites: some 4 GB while they are sorted."""


@dataclass(frozen=True, eq=False)
class Loops:
    """Loops in prompts, all arrays of one length: int64."""

    columns: dict[str, Ints]
    """first, middle, last: codes of the sites. signs: bits for a negative weight of first to middle (4), middle to last
    (2), first to last (1). rank of the prompt; strength, direct (share of the direct edge) and through (product of the
    shares of the two others) in UNIT; instances; unknown: instances of which a share is not known."""

    def __len__(self) -> int:
        return len(self.columns["first"])

    @classmethod
    def joined(cls, loops: Iterable[Loops]) -> Loops:
        """Return all rows, one after another."""
        every = [cls({name: np.zeros(0, np.int64) for name in (*_KEYS, "rank", *_SUMS)}), *loops]
        return cls({name: np.concatenate([own.columns[name] for own in every]) for name in every[0].columns})

    def take(self, kept: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Loops:
        """Return some of the rows."""
        return Loops({name: values[kept] for name, values in self.columns.items()})

    def bucket(self) -> Ints:
        """Return the bucket of each row's loop."""
        mixed = np.zeros(len(self), dtype=np.uint64)
        for name, multiplier in zip(_KEYS, _MULTIPLIERS, strict=True):
            mixed ^= self.columns[name].astype(np.uint64) * np.uint64(multiplier)
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(_MULTIPLIERS[0])
        found: Ints = (mixed >> np.uint64(64 - 18)).astype(np.int64)
        return found

    def save(self, path: Path) -> None:
        """Write the rows to a file."""
        np.save(path, np.stack(list(self.columns.values())))

    @classmethod
    def load(cls, path: Path) -> Loops:
        """Return the rows that `save` wrote."""
        return cls(dict(zip((*_KEYS, "rank", *_SUMS), np.load(path, allow_pickle=False), strict=True)))


def loops_of(own: PromptGraph) -> Loops:
    """Return the loops of a graph, each once, sorted. Raises ConfigError for a graph that has too many."""
    graph, num_loops = own.graph, 0
    found = []
    for edges in loop_edges(graph):
        num_loops += edges.shape[1]
        if num_loops > MOST_LOOPS:
            raise ConfigError(
                f"a graph of {len(graph.source_E):,} edges has more than {MOST_LOOPS:,} feed-forward loops, too many "
                "to list: use --top 0, which only counts them, or prune the graphs first"
            )
        one, other, direct = edges
        shares = np.nan_to_num(graph.share_E)
        through = shares[one] * shares[other]
        negative = ~graph.is_positive_E[edges]
        rows = {
            "first": own.code_N[graph.source_E[one]],
            "middle": own.code_N[graph.source_E[other]],
            "last": own.code_N[graph.target_E[other]],
            "signs": 4 * negative[0] + 2 * negative[1] + negative[2].astype(np.int64),
            "rank": np.full(len(one), own.rank, dtype=np.int64),
            "strength": _in_units(through * shares[direct]),
            "direct": _in_units(shares[direct]),
            "through": _in_units(through),
            "instances": np.ones(len(one), dtype=np.int64),
            "unknown": np.isnan(graph.share_E)[edges].any(axis=0).astype(np.int64),
        }
        found.append(_added(Loops(rows)))
    return _added(Loops.joined(found))


def _in_units(values: npt.NDArray[np.float64]) -> Ints:
    return np.floor(values / UNIT).astype(np.int64)


def _added(loops: Loops) -> Loops:
    """Return the rows of one prompt with equal loops added up, sorted."""
    rows = loops.columns
    order = np.lexsort([rows[name] for name in reversed(_KEYS)])
    first = starts(loops.take(order))
    if not len(first):
        return loops
    return Loops(
        {
            name: np.add.reduceat(values[order], first) if name in _SUMS else values[order][first]
            for name, values in rows.items()
        }
    )


def starts(loops: Loops) -> npt.NDArray[np.intp]:
    """Return the first row of each loop, in sorted rows."""
    if not len(loops):
        return np.zeros(0, dtype=np.intp)
    differs = np.zeros(len(loops), dtype=np.bool_)
    differs[0] = True
    for name in _KEYS:
        differs[1:] |= np.diff(loops.columns[name]) != 0
    return np.flatnonzero(differs)


def sorted_loops(loops: Loops) -> Loops:
    """Return all rows by loop, then by prompt."""
    return loops.take(np.lexsort([loops.columns["rank"], *(loops.columns[name] for name in reversed(_KEYS))]))


class BucketSums:
    """Adds up, for each bucket, the strengths of loops and the number of rows."""

    def __init__(self) -> None:
        self.strength, self.rows = np.zeros((2, NUM_BUCKETS), dtype=np.int64)

    def add(self, loops: Loops, of_rank: Ints) -> None:
        """Add loops; their strengths are divided by the size of the prompt's cluster, given by rank."""
        bucket = loops.bucket()
        np.add.at(self.strength, bucket, loops.columns["strength"] // of_rank[loops.columns["rank"]])
        np.add.at(self.rows, bucket, 1)


def choose_buckets(strength: Ints, rows: Ints, most_rows: int) -> tuple[Ints, int]:
    """Return the buckets of the largest sums whose rows may be kept, ascending, and the largest sum of all others.

    The first bucket is chosen whatever it has.
    """
    order = np.lexsort((np.arange(len(strength)), -strength))
    order = order[rows[order] > 0]
    num_kept = max(1, int(np.searchsorted(np.cumsum(rows[order]), most_rows, side="right")))
    rest = order[num_kept:]
    return np.sort(order[:num_kept]), int(strength[rest].max(initial=0))
