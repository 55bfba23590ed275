"""Agreement of edges with the model: exact where nothing else reacts, and as a correlation where everything does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from ..graph.graph import Graph
from ..table import Table
from .ablation import AblationResult

Floats = npt.NDArray[np.float64]


def agreement_by_distance(probed: list[tuple[Graph, AblationResult]]) -> Table:
    """Return a table of agreement with a row per number of layers from source to target, over all edges of all graphs.

    The last row, `all`, covers every distance. For edges and what their targets lost where everything reacts, the
    columns are Spearman's rank correlation, cosine, and the share of equal signs; NaN where there are fewer than two
    edges or nothing varies. `difference` is the largest difference found where nothing reacts, as a share of the
    largest edge of its graph.
    """
    edges = [np.zeros((0, 4)), *(_edges(graph, probes) for graph, probes in probed)]
    distance_E, weight_E, reacting_E, difference_E = np.concatenate(edges).T
    rows = list(_rows(distance_E, weight_E, reacting_E, difference_E))
    names = ("distance", "edges", "difference", "spearman", "cosine", "sign")
    columns = zip(*rows, strict=True)
    return Table(dict(zip(names, map(list, columns), strict=True)))


def _edges(graph: Graph, probes: AblationResult) -> Floats:
    """Return an array [E, 4]: layers apart, weight, loss where everything reacts, and difference where nothing does."""
    layer_N = graph.nodes.layer_N.astype(np.int64)
    scale = np.abs(probes.weight_E).max(initial=0.0)
    difference_E = np.abs(probes.direct_E - probes.weight_E) / (scale or 1.0)
    distance_E = layer_N[probes.target_E] - layer_N[probes.source_E]
    return np.stack([distance_E.astype(np.float64), probes.weight_E, probes.reacting_E, difference_E], axis=1)


def _rows(
    distance_E: Floats, weight_E: Floats, reacting_E: Floats, difference_E: Floats
) -> Iterator[tuple[object, ...]]:
    every = np.ones(len(distance_E), dtype=bool)
    masks = [(int(distance), distance_E == distance) for distance in np.unique(distance_E)]
    for name, mask in [*masks, ("all", every)]:
        weights, losses = weight_E[mask], reacting_E[mask]
        yield (
            name,
            int(mask.sum()),
            float(difference_E[mask].max(initial=0.0)),
            _correlation(rankdata(weights), rankdata(losses)),
            _cosine(weights, losses),
            float((np.sign(weights) == np.sign(losses)).mean()) if len(weights) else float("nan"),
        )


def _correlation(first: Floats, second: Floats) -> float:
    return _cosine(first - first.mean(), second - second.mean()) if len(first) else float("nan")


def _cosine(first: Floats, second: Floats) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else float("nan")
