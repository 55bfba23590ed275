"""Statistics of motifs: one graph against its draws, and all graphs together, with the cluster as the unit.

Axes: B row of a batch (a draw), E edge, X motif, I prompt by rank, Y cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np

from .clusters import Clusters, interval_of_means
from .edge_swaps import SwapBlocks, draw_graphs
from .motif_counts import MOTIFS, count_motifs
from .motif_graphs import Null, PromptGraph
from .permutation import flip_signs, p_of_largest
from .statistics import ROUND_OFF, Floats, Mask, known_mean, q_values

VALUES = ("observed", "null_mean", "null_sd", "z", "log_ratio", "p", "p_low", "rank")
"""What is known of each motif of a graph under a null."""
OF_NULL = ("edges", "left_out", "exchangeable", "fixed", "moved", "acceptance")
"""What is known of the draws of a graph under a null."""
_LEVEL = 0.05
_KEPT: Mapping[Null, frozenset[str]] = {
    "position": (unsigned := frozenset({"ffl", "bi_fan", "chains"})),
    "signed": frozenset(
        unsigned | {name for name in MOTIFS if name.startswith("ffl_") and not name.endswith("_share")}
    ),
    "layer": frozenset(),
}


@dataclass(frozen=True)
class NullSettings:
    """How graphs are drawn."""

    draws: int
    steps: int
    seed: int


@dataclass(frozen=True, eq=False)
class GraphTest:
    """A graph against its draws under one null: VALUES [VALUES, motifs], and OF_NULL."""

    values: Floats
    of_null: Floats


def graph_against_draws(
    own: PromptGraph, prompt_id: str, observed: Floats, null: Null, settings: NullSettings
) -> GraphTest:
    """Compare a graph, in which motifs were counted, with draws. The draws depend on the prompt's id and the seed."""
    name = sha256(f"{null}:{prompt_id}".encode("utf-8", "surrogatepass")).digest()
    rng = np.random.default_rng([settings.seed, *np.frombuffer(name, dtype=np.uint32).tolist()])
    graph = own.graph
    label_E = graph.is_positive_E.astype(np.int64) if null == "signed" else None
    blocks = SwapBlocks.of(graph.source_E, graph.target_E, own.groups[null], label_E)
    drawn = draw_graphs(blocks, graph.source_E, settings.draws, settings.steps, rng)
    is_moved_E = (drawn.source_BE != graph.source_E).any(axis=0)
    differs = is_moved_E.any()
    counts = count_motifs(graph, drawn.source_BE) if differs else np.tile(observed, (settings.draws, 1))
    size = max(1, len(graph.source_E))
    shares = (len(blocks.edge_X) / size, blocks.is_fixed_E.sum() / size, is_moved_E.sum() / size)
    of_null = np.array([len(graph.source_E), own.num_left_out, *shares, drawn.acceptance])
    return GraphTest(compare(observed, counts, rng), of_null)


def compare(observed: Floats, drawn_BX: Floats, rng: np.random.Generator) -> Floats:
    """Return VALUES of each motif, given the observed numbers and those of the draws.

    Everything but the numbers themselves is NaN where the observed graph and all draws have the same number, as they
    then say nothing, and where a number is not known. `rank` is -1 if the observed number is the smallest and 1 if it
    is the largest; ties are broken at random, so that it is uniform, and symmetric about 0, if the observed graph is
    one of the draws.
    """
    all_BX = np.concatenate([observed[None], drawn_BX])
    num_draws, least = len(drawn_BX), ROUND_OFF * np.abs(all_BX).max(axis=0)
    is_known = all_BX.max(axis=0) - all_BX.min(axis=0) > least
    below = (drawn_BX < observed - least).sum(axis=0)
    above = (drawn_BX > observed + least).sum(axis=0)
    ties = num_draws - below - above
    place = below + np.floor(rng.random(len(observed)) * (ties + 1))
    mean, deviation = drawn_BX.mean(axis=0), drawn_BX.std(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(deviation > least, (observed - mean) / deviation, np.nan)
        log_ratio = np.where((observed > 0) & (mean > 0), np.log(observed / mean), np.nan)
    tested = [z, log_ratio, (1 + above + ties) / (num_draws + 1), (1 + below + ties) / (num_draws + 1)]
    tested.append(2 * place / num_draws - 1)
    return np.stack([observed, mean, deviation, *(np.where(is_known, values, np.nan) for values in tested)])


def is_controlled(null: Null, motif: str) -> bool:
    """Return whether the draws keep all that can make a motif frequent without the motif being one.

    That is positions; for motifs with signs, how many positive and negative edges a node has; and for sums of shares,
    how strong its edges are, which no null keeps.
    """
    return motif in _KEPT[null]


def over_graphs(
    values: Mapping[str, Floats], clusters: Clusters, null: Null, permutations: int, seed: int
) -> dict[str, Floats]:
    """Return the statistics of each motif over clusters, given VALUES [prompts, MOTIFS] under one null.

    A graph's value is its rank, a cluster's value the mean of its graphs. If observed graphs are like the draws, each
    cluster's value is as likely with one sign as with the other one; so signs are flipped. Motifs that the null
    controls are corrected for each other, and so are the others.
    """
    is_kept = np.array([is_controlled(null, motif) for motif in MOTIFS])
    is_known = ~np.isnan(values["rank"])
    means = {
        name: _cluster_means(np.where(is_known, values[name], np.nan), clusters)
        for name in ("observed", "null_mean", "z", "log_ratio", "rank")
    }
    test = flip_signs(means["rank"], permutations, seed)
    of_log, low, high = _intervals(means["log_ratio"])
    with np.errstate(invalid="ignore"):
        extreme = [np.where(is_known, values[name] <= _LEVEL, np.nan) for name in ("p", "p_low")]
    return {
        "graphs": is_known.sum(axis=0).astype(np.float64),
        "graphs_unknown": (~is_known).sum(axis=0).astype(np.float64),
        "clusters": (~np.isnan(means["rank"])).sum(axis=0).astype(np.float64),
        "observed": known_mean(means["observed"]),
        "null_mean": known_mean(means["null_mean"]),
        "log_ratio": of_log,
        "low": low,
        "high": high,
        "z": known_mean(means["z"]),
        "more": known_mean(extreme[0]),
        "fewer": known_mean(extreme[1]),
        "rank": known_mean(means["rank"]),
        "p": test.p,
        "q": _in_families(test.p, is_kept, "bh"),
        "q_by": _in_families(test.p, is_kept, "by"),
        "p_max": p_of_largest([test]),
    }


def _in_families(p: Floats, is_kept: Mask, method: Literal["bh", "by"]) -> Floats:
    q = np.full(len(p), np.nan)
    for family in (is_kept, ~is_kept):
        q[family] = q_values(p[family], method)
    return q


def _cluster_means(values_IX: Floats, clusters: Clusters) -> Floats:
    """Return the mean of the known values of each cluster [clusters, motifs]; NaN for a cluster without any."""
    means_YX = np.full((len(clusters), values_IX.shape[1]), np.nan)
    for motif, value_I in enumerate(values_IX.T):
        is_known_I = ~np.isnan(value_I)
        has_any = clusters.sizes(is_known_I) > 0
        means_YX[has_any, motif] = clusters.means(value_I, is_known_I)
    return means_YX


def _intervals(means_YX: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean of the known values of each column, and Student's 95% confidence interval of it."""
    mean, low, high = np.array([interval_of_means(own[~np.isnan(own)]) for own in means_YX.T]).T
    return mean, low, high
