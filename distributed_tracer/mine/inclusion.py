"""Inclusion: in which clusters of prompts each node and each edge is, and with which share of influence.

Axes: I item (a site, or a pair of sites), N node, X record of an item in a prompt, Y item in a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from .certify import reaches
from .edge_shares import read_edge_shares
from .prompts import ChosenPrompts
from .scan import scan_ranges
from .sites import Sites

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Record = tuple[Ints, npt.NDArray[np.int32], Floats, Floats]
RECORD_BYTES = 120
"""Memory that a record takes at most while records are sorted and added up."""
_READ_ROWS = 1_000_000


@dataclass(frozen=True, eq=False)
class Inclusion:
    """Items that some clusters have, by key, and what they are in each cluster, by item, then by cluster."""

    key_I: Ints
    prompts_I: Ints
    """Number of prompts that have the item."""
    clusters_I: Ints
    """Number of clusters that include it: in which at least a given share of the prompts has it."""
    item_Y: Ints
    cluster_Y: npt.NDArray[np.int32]
    value_Y: Floats
    """The mean value over the prompts of the cluster; a prompt without the item counts as 0."""
    signed_Y: Floats

    @classmethod
    def of(cls, records: Iterable[Record], cluster_of: npt.NDArray[np.int32], within: Fraction) -> Inclusion:
        """Return the inclusion of items, from records of key, rank, value and signed value, in any order.

        `cluster_of` has the cluster of each prompt by rank, -1 for none. Values are added in the order of ranks.
        """
        parts = list(records)
        empty = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0))
        key_X, rank_X, value_X, signed_X = (np.concatenate(one) for one in zip(empty, *parts, strict=True))
        parts.clear()
        order = _order(key_X, rank_X, cluster_of)
        key_X, cluster_X = key_X[order], cluster_of[rank_X[order]]
        is_first = np.concatenate([[True], (np.diff(key_X) != 0) | (np.diff(cluster_X) != 0)])[: len(order)]
        place_X, num = np.cumsum(is_first) - 1, int(np.count_nonzero(is_first))
        size = np.bincount(cluster_of[cluster_of >= 0])
        key_Y, cluster_Y = key_X[is_first], cluster_X[is_first]
        count_Y = np.bincount(place_X, minlength=num)
        values = [np.bincount(place_X, one[order], num) / size[cluster_Y] for one in (value_X, signed_X)]
        is_new_Y = np.concatenate([[True], np.diff(key_Y) != 0])[: len(key_Y)]
        key_I, item_Y = key_Y[is_new_Y], np.cumsum(is_new_Y) - 1
        included_Y = reaches(count_Y, size[cluster_Y], within)
        prompts_I, clusters_I = (
            np.bincount(item_Y, weights, len(key_I)).astype(np.int64) for weights in (count_Y, included_Y)
        )
        return cls(key_I, prompts_I, clusters_I, item_Y.astype(np.int64), cluster_Y, values[0], values[1])

    def where(self, keep_I: npt.NDArray[np.bool_]) -> Inclusion:
        """Return the items for which the mask is true."""
        keep_Y = keep_I[self.item_Y]
        item_Y = (np.cumsum(keep_I) - 1)[self.item_Y[keep_Y]]
        of_items = (self.key_I[keep_I], self.prompts_I[keep_I], self.clusters_I[keep_I])
        return Inclusion(*of_items, item_Y, self.cluster_Y[keep_Y], self.value_Y[keep_Y], self.signed_Y[keep_Y])

    @classmethod
    def joined(cls, parts: list[Inclusion]) -> Inclusion:
        """Return the items of several parts, whose keys follow each other."""
        firsts = np.cumsum([0, *(len(part.key_I) for part in parts)])
        item_Y = [part.item_Y + first for part, first in zip(parts, firsts, strict=False)]
        columns = [
            [getattr(part, name) for part in parts]
            for name in ("key_I", "prompts_I", "clusters_I", "cluster_Y", "value_Y", "signed_Y")
        ]
        key, prompts, clusters, cluster_Y, value_Y, signed_Y = map(np.concatenate, columns)
        return cls(key, prompts, clusters, np.concatenate(item_Y), cluster_Y, value_Y, signed_Y)


def _order(key_X: Ints, rank_X: npt.NDArray[np.int32], cluster_of: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Return the places of the records of prompts that have a cluster, by key, then cluster, then rank.

    No two records have the same key and rank. Where there is room, both are packed into one number: numpy orders these
    several times as fast.
    """
    place_of_rank = np.empty(len(cluster_of), dtype=np.int64)
    place_of_rank[np.lexsort((np.arange(len(cluster_of)), cluster_of))] = np.arange(len(cluster_of))
    counts = np.flatnonzero(cluster_of[rank_X] >= 0)
    if not len(counts):
        return counts
    key, place = key_X[counts], place_of_rank[rank_X[counts]]
    base, bits = int(key.min()), len(cluster_of).bit_length()
    if (int(key.max()) - base).bit_length() + bits < 63:
        order: npt.NDArray[np.intp] = np.argsort(((key - base) << bits) | place)
    else:
        order = np.lexsort((place, key))
    return counts[order]


@dataclass
class Unknown:
    """What could not be counted."""

    prompts: int = 0
    """Prompts whose influence is not known, which have no edges."""
    edges: int = 0
    """Edges whose weight is not finite."""


def num_passes(num_edges: int, memory_gb: float) -> int:
    """Return the number of ranges of targets so that the records of one range fit into half of the memory."""
    return max(1, -(-num_edges // most_records(memory_gb)))


def most_records(memory_gb: float) -> int:
    """Return the number of records that fit into half of the memory while they are sorted and added up."""
    return max(1, int(memory_gb * 1e9 / 2) // RECORD_BYTES)


def edge_inclusion(
    prompts: ChosenPrompts,
    sites: Sites,
    cluster_of: npt.NDArray[np.int32],
    within: Fraction,
    memory_gb: float,
    targets: tuple[int, int],
) -> tuple[Inclusion, Unknown]:
    """Return the inclusion of the edges into a range of target sites, by key, and what is unknown of all edges.

    The value is the share of influence that an edge passes on. `targets` are the first site and the one after the last.
    The records of all ranges of `sites.ranges(num_passes(...))` fit into half of `memory_gb`, one range at a time.
    """
    records: list[Record] = []
    unknown = Unknown()
    for shares in read_edge_shares(prompts, sites, min(_READ_ROWS, most_records(memory_gb)), "all", *targets):
        records.append((shares.key_X, shares.rank_X, shares.share_X, shares.signed_X))
        unknown.prompts += int(np.count_nonzero(~shares.known_I))
        unknown.edges += shares.num_unknown
    return Inclusion.of(records, cluster_of, within), unknown


def node_inclusion(
    prompts: ChosenPrompts, sites: Sites, cluster_of: npt.NDArray[np.int32], within: Fraction
) -> Inclusion:
    """Return the inclusion of all sites; the value is their influence, summed over positions, 0 where not known."""

    def records() -> Iterator[Record]:
        for scanned in scan_ranges(prompts, _READ_ROWS):
            site_N, rank_N = sites.numbers(scanned.code_N).astype(np.int64), scanned.rank_N
            order = np.lexsort((site_N, scanned.part_range.prompt_N))
            site_N, rank_N = site_N[order], rank_N[order]
            influence_N = scanned.nodes["influence"].astype(np.float64)[order]
            influence_N[~np.isfinite(influence_N)] = 0.0
            is_first = np.concatenate([[True], (np.diff(site_N) != 0) | (np.diff(rank_N) != 0)])[: len(order)]
            sums: Floats = np.bincount(np.cumsum(is_first) - 1, influence_N, int(np.count_nonzero(is_first))).astype(
                np.float64
            )
            yield site_N[is_first], rank_N[is_first], sums, sums

    return Inclusion.of(records(), cluster_of, within)
