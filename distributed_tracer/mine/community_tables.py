"""The tables of a result of communities, from the partitions of each level and their runs.

Axes: F feature, N node, Y community.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..table import Table
from .cluster_edges import ClusterEdges, FeatureActs
from .community_graph import Floats, Ints
from .community_runs import Level
from .partition_likeness import adjusted_information, membership_information

LEAST_STABILITY = 0.5
"""A community that overlaps its best matches less than this on average is called unstable: it dissolves (Hennig 2007).
"""
MOST_INFORMATION = 0.5
"""A community of which the layer, or the position, says more than this is called a layer, or a position."""


def kept_labels(level: Level) -> Ints:
    """Return the labels of a level [F], -1 for communities of one feature. Communities are numbered by size, so the
    others keep their numbers."""
    size = np.bincount(level.label_F[level.label_F >= 0], minlength=1)
    return np.where((level.label_F >= 0) & (size[level.label_F] > 1), level.label_F, -1)


def first_numbers(labels: Sequence[Ints]) -> list[int]:
    """Return the number of the first community of each level."""
    counts = [int(label_F.max(initial=-1)) + 1 for label_F in labels]
    return [int(number) for number in np.cumsum([0, *counts])[:-1]]


def parents(label_F: Ints, coarser_F: Ints) -> tuple[Ints, Floats]:
    """Return the label on the coarser level of most members of each community, the first of equal ones, and their share
    of all members; -1 where no member has one."""
    num, width = int(label_F.max(initial=-1)) + 1, int(coarser_F.max(initial=-1)) + 1
    own = label_F >= 0
    size = np.bincount(label_F[own], minlength=num)
    both = own & (coarser_F >= 0)
    code, counts = np.unique(label_F[both] * max(1, width) + coarser_F[both], return_counts=True)
    community, parent = np.divmod(code, max(1, width))
    order = np.lexsort((parent, -counts, community))
    order = order[np.append(True, np.diff(community[order]) != 0)[: len(order)]]
    found, share = np.full(num, -1, dtype=np.int64), np.full(num, np.nan)
    found[community[order]] = parent[order]
    share[community[order]] = counts[order] / size[community[order]]
    return found, share


class CommunityTables:
    """Makes the tables of communities, members, levels and runs."""

    def __init__(
        self, levels: Sequence[Level], edges: ClusterEdges, acts: FeatureActs, distance_F: Ints, alpha: float
    ) -> None:
        """`distance_F` has the class of the usual distance from the end of each feature."""
        self.levels, self._acts, self._distance_F = levels, acts, distance_F
        self.labels = [kept_labels(level) for level in levels]
        self.first = first_numbers(self.labels)
        self._alpha = alpha
        self._layer_F = edges.layer_N[: edges.num_features].astype(np.int64)

    def communities(self, names: Sequence[str], acting_Y: Ints) -> Table:
        """Return the table of communities, given name and number of clusters of each."""
        parts = [self._communities(number) for number in range(len(self.levels))]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = ("community", "level", "resolution", "parent", "parent_share")
        then = ("size", "verdict", "cohesion", "stability", "stability_low", "p_identity", "p_edges")
        last = ("influence", "layers", "first_layer", "last_layer", "layer_information", "position_information")
        rest = {name: columns[name] for name in then} | {"clusters": acting_Y}
        return Table(
            {name: columns[name] for name in order}
            | {"name": list(names)}
            | rest
            | {name: columns[name] for name in last}
        )

    def _communities(self, number: int) -> dict[str, Any]:
        level, label_F, begin = self.levels[number], self.labels[number], self.first[number]
        num = int(label_F.max(initial=-1)) + 1
        own = label_F >= 0
        size = np.bincount(label_F[own], minlength=num)
        parent, share = np.full(num, -1, dtype=np.int64), np.full(num, np.nan)
        if number:
            parent, share = parents(label_F, self.labels[number - 1])
            parent = np.where(parent >= 0, parent + self.first[number - 1], -1)
        overlaps = [one[:num] for one in level.overlaps]
        low, high = np.full(num, 1 << 30, dtype=np.int64), np.full(num, -1, dtype=np.int64)
        np.minimum.at(low, label_F[own], self._layer_F[own])
        np.maximum.at(high, label_F[own], self._layer_F[own])
        in_layers = np.unique(label_F[own] << 32 | self._layer_F[own]) >> 32
        found: dict[str, Any] = {
            "community": np.arange(num) + begin,
            "level": np.full(num, number, dtype=np.int64),
            "resolution": np.full(num, level.resolution),
            "parent": parent,
            "parent_share": share,
            "size": size.astype(np.int64),
            "cohesion": level.cohesion_Y[:num],
            "stability": _of_known(overlaps, num, None),
            "stability_low": _of_known(overlaps, num, 0.1),
            "p_identity": level.p_values("identity")[:num],
            "p_edges": level.p_values("edges")[:num],
            "influence": np.bincount(label_F[own], self._acts.influence_F[own], num).astype(np.float64),
            "layers": np.bincount(in_layers, minlength=num).astype(np.int64),
            "first_layer": low,
            "last_layer": high,
            "layer_information": membership_information(label_F, self._layer_F, num),
            "position_information": membership_information(label_F, self._distance_F, num),
        }
        return found | {"verdict": self._verdicts(found)}

    def _verdicts(self, of: Mapping[str, Any]) -> Any:
        verdict = np.full(len(of["size"]), "significant", dtype=object)
        verdict[of["position_information"] > MOST_INFORMATION] = "a position"
        verdict[of["layer_information"] > MOST_INFORMATION] = "a layer"
        verdict[of["stability"] < LEAST_STABILITY] = "unstable"
        verdict[of["p_identity"] > self._alpha] = "not significant"
        verdict[np.isnan(of["p_identity"])] = "unknown"
        return verdict

    def members(self, feature_F: Ints) -> Table:
        """Return the table of members: by community, then the best fit first; `feature_F` has their indices."""
        parts = []
        for number, (level, label_F) in enumerate(zip(self.levels, self.labels, strict=True)):
            own = np.flatnonzero(label_F >= 0)
            own = own[np.lexsort((own, -level.fit_F[own], label_F[own]))]
            seen = level.seen_F[own]
            stability = np.divide(level.kept_F[own], seen, out=np.full(len(own), np.nan), where=seen > 0)
            parts.append(
                (label_F[own] + self.first[number], np.full(len(own), number), own, stability, level.fit_F[own])
            )
        community, level_of, feature, stability, fit = (np.concatenate(one) for one in zip(*parts, strict=True))
        return Table(
            {
                "community": community,
                "level": level_of,
                "layer": self._layer_F[feature],
                "feature": feature_F[feature],
                "stability": stability,
                "fit": fit,
                "influence": self._acts.influence_F[feature],
                "clusters": self._acts.clusters_F[feature],
            }
        )

    def level_table(self, communities: Table, seed: int) -> Table:
        """Return a row for each level."""
        rows = []
        for number, (level, label_F) in enumerate(zip(self.levels, self.labels, strict=True)):
            own, rng = label_F >= 0, np.random.default_rng((seed, 9, number))
            runs = [run for run in level.runs if run.kind in ("seed", "bootstrap")]
            of_level = communities["level"] == number
            counts = np.array([run.communities for run in runs])
            indices = np.array([run.rand_index for run in runs])
            row: dict[str, Any] = {
                "level": number,
                "resolution": level.resolution,
                "features": int(np.count_nonzero(level.label_F >= 0)),
                "communities": int(of_level.sum()),
                "significant": int((communities["verdict"][of_level] == "significant").sum()),
                "communities_low": _quantile(counts, 0.1),
                "communities_high": _quantile(counts, 0.9),
                "ari": _mean(indices),
                "ari_low": _quantile(indices, 0.1),
                "nmi": _mean(np.array([run.information for run in runs])),
                "quality": level.quality,
            }
            for kind in ("identity", "edges"):
                null = np.array([run.quality for run in level.runs if run.kind == kind])
                null = null[~np.isnan(null)]
                deviation = float(null.std(ddof=1)) if len(null) > 1 else 0.0
                row[f"quality_{kind}"] = _mean(null)
                row[f"z_{kind}"] = (level.quality - float(null.mean())) / deviation if deviation > 0 else np.nan
            for name, class_F in (("layer", self._layer_F), ("position", self._distance_F)):
                row[f"{name}_information"] = adjusted_information(label_F[own], class_F[own], rng)
            rows.append(row)
        return Table({name: np.array([row[name] for row in rows]) for name in rows[0]})

    def run_table(self) -> Table:
        """Return a row for each run of each level."""
        rows = [(number, run) for number, level in enumerate(self.levels) for run in level.runs]
        return Table(
            {
                "level": np.array([number for number, _ in rows], dtype=np.int64),
                "kind": [run.kind for _, run in rows],
                "run": np.array([run.number for _, run in rows], dtype=np.int64),
                "communities": np.array([run.communities for _, run in rows], dtype=np.int64),
                "largest": np.array([run.largest for _, run in rows], dtype=np.int64),
                "quality": np.array([run.quality for _, run in rows], dtype=np.float64),
                "ari": np.array([run.rand_index for _, run in rows], dtype=np.float64),
                "nmi": np.array([run.information for _, run in rows], dtype=np.float64),
            }
        )


def _of_known(overlaps: Sequence[Floats], num: int, quantile: float | None) -> Floats:
    """Return the mean, or a quantile, of the known overlaps of each community; NaN without any."""
    found = np.full(num, np.nan)
    for community in range(num):
        own = np.array([one[community] for one in overlaps])
        own = own[~np.isnan(own)]
        if len(own):
            found[community] = own.mean() if quantile is None else np.quantile(own, quantile)
    return found


def _mean(values: Any) -> float:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(known.mean()) if len(known) else float("nan")


def _quantile(values: Any, quantile: float) -> float:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(np.quantile(known, quantile)) if len(known) else float("nan")
