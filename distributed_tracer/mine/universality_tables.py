"""Tables of the result of `mine universality`, made of matches and of edges between them.

Axes: F feature of store a, Y feature of store b, E edge, I item: a feature of either store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..table import Table
from .conserved_edges import QUANTITIES, ConservedEdges
from .feature_matches import FeatureMatches
from .paired_activity import SideActivity
from .paired_prompts import PairedPrompts
from .statistics import CONFIDENCE
from .universality_settings import UniversalitySettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = npt.NDArray[np.intp]
Status = Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]
"""For each store the status of all of its features, and why it is unknown."""
MOST_EDGES = 100_000
"""Number of edges in the table at most: the strongest ones."""
_MEANINGS = {
    "features_a": "known features of store a that have a match",
    "features_b": "known features of store b that have a match",
    "equal_sign": "edges of store a whose ends have matches: those with an edge of equal sign in store b",
    "strong": "edges among the strongest 5% of pairs of their layers in store a: those that are so in store b, too",
    "overlap": "signed shares of all such edges, each store's divided by their sum: smaller / larger",
}


def status_of(a: SideActivity, b: SideActivity, found: FeatureMatches, min_clusters: int) -> Status:
    """Return which features of both stores are matched, unmatched or unknown, and why."""
    own, other = found.matched
    result = {}
    for name, side, columns, is_tie, matched in (
        ("a", a, found.column_F, found.tested.is_tie_F, own),
        ("b", b, found.column_Y, found.tested.is_tie_Y, other),
    ):
        why = np.full(len(side), "shuffles change it too little: even its copy would not stand out", dtype=object)
        why[side.varying_F == 0] = "the same at each position of each template"
        why[side.clusters_F < min_clusters] = "active in too few clusters"
        why[columns] = np.where(is_tie, "two features of the other store fit equally well", "")
        why[columns[matched]] = ""
        status = np.where(why == "", "unmatched", "unknown").astype(object)
        status[columns[matched]] = "matched"
        result[name] = (status, why)
    return result


def match_table(
    a: SideActivity, b: SideActivity, found: FeatureMatches, similarity: Mapping[str, Floats], q: float
) -> Table:
    """Return a row per known feature of store a, by layer and index."""
    nearest, test = found.nearest, found.tested
    own, other = found.column_F, found.column_Y[nearest.best_F]
    margin = np.minimum(
        nearest.similarity_F - nearest.second_F, (nearest.similarity_Y - nearest.second_Y)[nearest.best_F]
    )
    matched = np.where(np.isnan(test.p_F), "unknown", np.where(test.is_matched(q), "yes", "no"))
    return Table(
        {
            "layer_a": a.layer_F[own],
            "feature_a": a.feature_F[own],
            "layer_b": b.layer_F[other],
            "feature_b": b.feature_F[other],
            "matched": matched.astype(object),
            "correlation": similarity["correlation"],
            "jaccard": similarity["jaccard"],
            "margin": np.where(np.isfinite(margin), margin, np.nan),
            "mutual": np.where(nearest.is_mutual_F, "yes", "no").astype(object),
            "p": test.p_F,
            "q": test.q_F,
            **_both("clusters", a.clusters_F[own], b.clusters_F[other]),
            **_both("sites", a.num_sites_F[own], b.num_sites_F[other]),
        }
    )


def layer_table(a: SideActivity, b: SideActivity, found: FeatureMatches, correlation_F: Floats) -> Table:
    """Return a row per pair of layers that have known features."""
    of_a, of_b = a.layer_F[found.column_F], b.layer_F[found.column_Y]
    own, other = found.matched
    rows = []
    for layer_a in np.unique(of_a).tolist():
        counts = {
            layer: int(((of_a[own] == layer_a) & (of_b[other] == layer)).sum()) for layer in np.unique(of_b).tolist()
        }
        most = max(counts.values(), default=0)
        for layer_b, number in counts.items():
            between = own[(of_a[own] == layer_a) & (of_b[other] == layer_b)]
            mean = float(correlation_F[between].mean()) if number else float("nan")
            shares = (number / int((of_a == layer_a).sum()), number / int((of_b == layer_b).sum()))
            rows.append((layer_a, layer_b, number, *shares, mean, "yes" if number == most > 0 else "no"))
    names = ("layer_a", "layer_b", "matched", "share_a", "share_b", "correlation", "nearest")
    kinds = (np.int64, np.int64, np.int64, np.float64, np.float64, np.float64, object)
    return Table(
        {
            name: np.array([row[place] for row in rows], dtype=kind)
            for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
        }
    )


def edge_table(a: SideActivity, b: SideActivity, matched: tuple[Columns, Columns], edges: ConservedEdges) -> Table:
    """Return the edges between matched features, the largest mean share of either store first."""
    target, source = edges.ends
    x, y = edges.means()
    order = np.lexsort((edges.key_E, -np.maximum(np.abs(x), np.abs(y))))[:MOST_EDGES]
    columns: dict[str, Any] = {}
    for name, end in (("source", source), ("target", target)):
        for side, activity, of_pairs in (("a", a, matched[0]), ("b", b, matched[1])):
            columns[f"{name}_layer_{side}"] = activity.layer_F[of_pairs[end[order]]]
            columns[f"{name}_feature_{side}"] = activity.feature_F[of_pairs[end[order]]]
    columns["conserved"] = edges.conserved[order]
    columns |= _both("share", x[order], y[order])
    columns |= _both("clusters", *(count[order] for count in edges.clusters))
    columns |= _both("together", *(count[order] for count in edges.together))
    return Table({**columns, "p": edges.p[order], "q": edges.q_values[order]})


def feature_table(a: SideActivity, b: SideActivity, found: FeatureMatches, status: Status) -> Table:
    """Return a row per feature of both stores that is active at a common position."""
    rows: dict[str, list[Any]] = {name: [] for name in ("store", "layer", "feature", "status", "why_unknown")}
    rows |= {name: [] for name in ("clusters", "templates_varying", "sites", "p_alone")}
    for name, side, columns, p in (("a", a, found.column_F, found.p_F), ("b", b, found.column_Y, found.p_Y)):
        p_I = np.full(len(side), np.nan)
        p_I[columns] = p
        of_side = {
            "store": np.full(len(side), name, dtype=object),
            "layer": side.layer_F,
            "feature": side.feature_F,
            "status": status[name][0],
            "why_unknown": status[name][1],
            "clusters": side.clusters_F,
            "templates_varying": side.varying_F,
            "sites": side.num_sites_F,
            "p_alone": p_I,
        }
        for column, values in of_side.items():
            rows[column].append(values)
    return Table({name: np.concatenate(values) for name, values in rows.items()})


def summary_table(
    pairs: PairedPrompts,
    sides: tuple[SideActivity, SideActivity],
    status: Status,
    found: FeatureMatches,
    ceilings: Sequence[float],
    replicated: float,
    edges: ConservedEdges,
    settings: UniversalitySettings,
) -> Table:
    """Return what is shared: features of both stores, and edges, with floors and ceilings."""
    nan = float("nan")
    rows = []
    floors = np.array([found.shares(test) for test in found.floor]).reshape(-1, 2)
    values = found.shares(found.tested)
    for place, name in enumerate("ab"):
        own = status[name][0]
        known = int(np.count_nonzero(own != "unknown"))
        interval = _interval(pairs, sides[place], own)
        floor = float(floors[:, place].mean()) if known and len(floors) else nan
        of_halves = (nan, replicated if known else nan)
        rows.append(
            (
                f"features_{name}",
                values[place],
                *interval,
                floor,
                ceilings[place],
                *of_halves,
                nan,
                known,
                len(own) - known,
            )
        )
    rows += _edge_rows(pairs, edges, settings)
    names = (
        "quantity",
        "value",
        "low",
        "high",
        "floor",
        "ceiling",
        "halves_same",
        "halves_other",
        "p",
        "number",
        "unknown",
    )
    kinds = [object, *([np.float64] * 8), np.int64, np.int64]
    columns = {name: np.array([row[place] for row in rows], dtype=kinds[place]) for place, name in enumerate(names)}
    return Table({**columns, "meaning": np.array([_MEANINGS[row[0]] for row in rows], dtype=object)})


def _edge_rows(pairs: PairedPrompts, edges: ConservedEdges, settings: UniversalitySettings) -> list[tuple[Any, ...]]:
    measured, of_itself = edges.measured(), edges.against_itself().measured()
    permuted = [edges.permuted(number, settings.seed) for number in range(settings.shuffles)]
    intervals = edges.intervals(settings.seed)
    of_halves = edges.split_halves(pairs.clusters.names, settings.seed)
    tested = int(np.count_nonzero(edges.is_tested))
    strong = int(np.count_nonzero(edges.is_strong))
    left_out = int(np.count_nonzero((edges.clusters[0] > 0) & ~edges.is_tested))
    rows = []
    for name in QUANTITIES:
        null = np.array([one[name] for one in permuted])
        null = null[~np.isnan(null)]
        value = measured[name]
        is_known = len(null) > 0 and not np.isnan(value)
        p = (1 + int(np.count_nonzero(null >= value))) / (1 + len(null)) if is_known else float("nan")
        floor = float(null.mean()) if len(null) else float("nan")
        counts = {"equal_sign": (tested, left_out), "strong": (strong, left_out), "overlap": (len(edges.key_E), 0)}
        rows.append((name, value, *intervals[name], floor, of_itself[name], *of_halves[name], p, *counts[name]))
    return rows


def _interval(pairs: PairedPrompts, side: SideActivity, status: npt.NDArray[Any]) -> tuple[float, float]:
    """Return Student's 95% interval over clusters of the share of known features that are matched.

    Each feature is divided equally among the clusters in which it is active, so that the share is a ratio of two sums
    over clusters; the variance is the usual one of such a ratio (Cochran 1977, "Sampling Techniques", chapter 6). NaN
    for fewer than two clusters with known features.
    """
    weight_I = np.divide(1.0, side.clusters_F, out=np.zeros(len(side)), where=side.clusters_F > 0)
    in_clusters = side.in_clusters(pairs)
    known, matched = (np.asarray(in_clusters @ (weight_I * own)) for own in (status != "unknown", status == "matched"))
    known, matched = known[known > 0], matched[known > 0]
    if len(known) < 2:
        return float("nan"), float("nan")
    share = float(matched.sum() / known.sum())
    number = len(known)
    variance = number / (number - 1) * float(np.square(matched - share * known).sum()) / float(known.sum()) ** 2
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, number - 1)) * math.sqrt(variance)
    return max(0.0, share - half), min(1.0, share + half)


def _both(name: str, of_a: Any, of_b: Any) -> dict[str, Any]:
    return {f"{name}_a": of_a, f"{name}_b": of_b}
