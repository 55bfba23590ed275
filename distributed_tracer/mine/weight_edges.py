"""PairEdges: what the stored edges between chosen pairs of features are made of, averaged over clusters.

Axes: X pair of features, E edge, N node, L layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .activity import Activity, Floats, Ints
from .scan import ScannedRange, scan_ranges
from .weight_pairs import PairValues

_ROWS = 1 << 20
_LAYER = 1 << 32
_RECORD = np.dtype(
    [
        *(("pair", "<i8"), ("rank", "<i8"), ("num_same", "<f8"), ("num_split", "<f8"), ("weight", "<f8")),
        *(("direct", "<f8"), ("num_apart", "<f8"), ("apart", "<f8")),
    ]
)
"""Sums over the edges of a pair in a prompt: at one position, of these the ones that can be split, and apart."""


@dataclass(frozen=True, eq=False)
class PairEdges:
    """Stored edges of each pair [X]. Means are over instances in a prompt, prompts of a cluster, then clusters, in the
    unit of PairValues; NaN if there are none."""

    num_same: Ints
    """Edges at one position, over prompts."""
    clusters: Ints
    """Clusters with an edge at one position whose parts are known."""
    clusters_with_sign: Ints
    """Of these, the clusters whose mean edge has the sign of the virtual weight."""
    edge: Floats
    direct: Floats
    attention: Floats
    num_apart: Ints
    """Edges between different positions."""
    apart: Floats
    """Mean of these edges, which attention carries altogether."""


def pair_edges(activity: Activity, pairs: PairValues) -> PairEdges:
    """Read all edges of the chosen prompts once, and return those between the pairs."""
    lookup = _Lookup(pairs)
    ranges = scan_ranges(activity.prompts, _ROWS)
    records = np.concatenate([_of_range(activity, pairs, lookup, scanned) for scanned in ranges])
    cluster = activity.cluster_of_rank[records["rank"]]
    records = records[np.lexsort((records["rank"], cluster, records["pair"]))]
    number = len(pairs.weight)
    split = records[records["num_split"] > 0]
    means = {name: split[name] / split["num_split"] for name in ("weight", "direct")}
    of_cluster, pair_of = _cluster_means(activity, split, means)
    sign = np.sign(pairs.weight)[pair_of]
    apart = records[records["num_apart"] > 0]
    of_apart, apart_pair = _cluster_means(activity, apart, {"apart": apart["apart"] / apart["num_apart"]})
    edge, direct = (_mean(of_cluster[name], pair_of, number) / pairs.target_size for name in ("weight", "direct"))
    return PairEdges(
        num_same=np.bincount(records["pair"], records["num_same"], number).astype(np.int64),
        clusters=np.bincount(pair_of, minlength=number),
        clusters_with_sign=np.bincount(pair_of[np.sign(of_cluster["weight"]) == sign], minlength=number),
        edge=edge,
        direct=direct,
        attention=edge - direct,
        num_apart=np.bincount(records["pair"], records["num_apart"], number).astype(np.int64),
        apart=_mean(of_apart["apart"], apart_pair, number) / pairs.target_size,
    )


class _Lookup:
    """Finds the pair of an edge by the features of its two ends."""

    def __init__(self, pairs: PairValues) -> None:
        source = pairs.source_layer * _LAYER + pairs.source_feature
        target = pairs.target_layer * _LAYER + pairs.target_feature
        self._codes = np.unique(np.concatenate([source, target]))
        key_X = np.searchsorted(self._codes, source) * len(self._codes) + np.searchsorted(self._codes, target)
        self._order = np.argsort(key_X)
        self._keys = key_X[self._order]

    def features(self, nodes: dict[str, npt.NDArray[np.generic]]) -> Ints:
        """Return a number for the feature of each node, -1 for those of no pair [N]."""
        code_N = nodes["layer"].astype(np.int64) * _LAYER + nodes["feature"].astype(np.int64)
        found_N = _found(self._codes, code_N)
        return np.where(nodes["kind"] == NodeKind.FEATURE, found_N, -1)

    def pairs(self, source_E: Ints, target_E: Ints) -> Ints:
        """Return the number of the pair of each edge, -1 for none [E]."""
        place_E = _found(self._keys, np.where(source_E < 0, -1, source_E * len(self._codes) + target_E))
        return np.where(place_E < 0, -1, self._order[place_E]) if len(self._order) else place_E


def _found(known: Ints, wanted: Ints) -> Ints:
    """Return the place of each wanted number in `known`, which is ascending; -1 where it is not there."""
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, place, -1)


def _of_range(activity: Activity, pairs: PairValues, lookup: _Lookup, scanned: ScannedRange) -> npt.NDArray[np.void]:
    """Return the records of a range. Every prompt is in one range, and its edges are in the order of its graph."""
    feature_N = lookup.features(scanned.nodes)
    source_E, weight_E = scanned.edges()
    kept = np.flatnonzero((feature_N[source_E] >= 0) & (feature_N[scanned.target_E] >= 0) & np.isfinite(weight_E))
    source_E, target_E, weight_E = source_E[kept], scanned.target_E[kept], weight_E[kept].astype(np.float64)
    pair_E = lookup.pairs(feature_N[source_E], feature_N[target_E])
    own = np.flatnonzero(pair_E >= 0)
    source_E, target_E, weight_E, pair_E = source_E[own], target_E[own], weight_E[own], pair_E[own]
    position_N, rank_E = scanned.nodes["position"], scanned.rank_N[target_E].astype(np.int64)
    same_E = position_N[source_E] == position_N[target_E]
    scales = activity.scales[activity.first_site[rank_E] + position_N[source_E]].astype(np.float64)
    row_E = np.arange(len(pair_E))
    read_E = scales[row_E, 0, pairs.target_layer[pair_E]]
    products_EL = pairs.products[pair_E]
    written_E = np.zeros(len(pair_E))
    for layer in range(activity.num_layers):
        has = products_EL[:, layer] != 0
        written_E[has] += scales[has, 1, layer] * products_EL[has, layer]
    activation_E = scanned.nodes["activation"][source_E].astype(np.float64)
    direct_E = np.where(same_E, activation_E * read_E * written_E, np.nan)
    split_E = np.isfinite(direct_E)
    key, place = np.unique(pair_E * len(activity.prompts) + rank_E, return_inverse=True)
    records = np.zeros(len(key), dtype=_RECORD)
    records["pair"], records["rank"] = np.divmod(key, len(activity.prompts))
    for name, values in {
        "num_same": same_E,
        "num_split": split_E,
        "weight": np.where(split_E, weight_E, 0.0),
        "direct": np.where(split_E, direct_E, 0.0),
        "num_apart": ~same_E,
        "apart": np.where(same_E, 0.0, weight_E),
    }.items():
        records[name] = np.bincount(place, values, len(key))
    return records


def _cluster_means(
    activity: Activity, records: npt.NDArray[np.void], values: dict[str, Floats]
) -> tuple[dict[str, Floats], Ints]:
    """Return the mean over the prompts of each pair's clusters, and the pairs; records are sorted by both."""
    key = records["pair"] * activity.num_clusters + activity.cluster_of_rank[records["rank"]]
    distinct, place, count = np.unique(key, return_inverse=True, return_counts=True)
    means = {name: np.bincount(place, of, len(distinct)) / count for name, of in values.items()}
    return means, distinct // max(1, activity.num_clusters)


def _mean(values: Floats, pair: Ints, number: int) -> Floats:
    count = np.bincount(pair, minlength=number)
    sums = np.bincount(pair, values, number)
    found: Floats = np.divide(sums, count, out=np.full(number, np.nan), where=count > 0)
    return found
