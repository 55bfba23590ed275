"""Difference between two graphs of one prompt, on the nodes that both have.

This module is also imported in the peer's environment, which has no distributed_tracer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
"""The arrays that `export_npz` writes. Used here: `active_features`, `selected_features`, `target_ids`, `adjacency`."""


@dataclass(frozen=True)
class Difference:
    """Shares of the selected features and targets that both graphs have, and the difference of common edges."""

    features_in_common: float
    targets_in_common: float
    largest: float
    """Largest |difference| of an edge, relative to the reference's largest |edge|; NaN without common rows."""


def graph_difference(reference: Arrays, other: Arrays) -> Difference:
    """Compare unpruned graphs, matched by (layer, position, feature) and target id; errors and tokens by order.

    Raises ValueError if the graphs differ in the number of layers or positions.
    """
    features = _common(_selected(reference), _selected(other))
    targets = _common(reference["target_ids"], other["target_ids"])
    middle = [len(g["adjacency"]) - len(g["selected_features"]) - len(g["target_ids"]) for g in (reference, other)]
    if middle[0] != middle[1]:
        raise ValueError(f"errors and tokens are {middle[0]} in one graph, {middle[1]} in the other")
    edges = []
    for graph, kept_features, kept_targets in zip((reference, other), features.index, targets.index, strict=True):
        first = len(graph["selected_features"])
        columns = np.concatenate([kept_features, np.arange(first, first + middle[0])])
        rows = np.concatenate([kept_features, first + middle[0] + kept_targets])
        edges.append(graph["adjacency"][np.ix_(rows, columns)])
    largest = float(np.abs(edges[1] - edges[0]).max() / np.abs(edges[0]).max()) if edges[0].size else float("nan")
    return Difference(features.share, targets.share, largest)


@dataclass(frozen=True)
class _Common:
    index: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
    share: float


def _common(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> _Common:
    """Return the indices in each of two lists of what both have, and its share of the longer list."""
    _, in_a, in_b = np.intersect1d(a, b, return_indices=True)
    return _Common((in_a, in_b), len(in_a) / max(1, len(a), len(b)))


def _selected(graph: Arrays) -> npt.NDArray[np.int64]:
    """Return one number per selected feature."""
    layer, position, feature = graph["active_features"][graph["selected_features"]].astype(np.int64).T
    return np.asarray((layer << 51) | (position << 31) | feature)
