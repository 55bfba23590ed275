"""Leiden: partitions of a weighted graph that maximise modularity. It needs the optional package graspologic-native.

Modularity at resolution g is the sum over communities of inside / total - g (degree / total)^2, where `total` is the
sum of all degrees (Reichardt and Bornholdt 2006). The algorithm is that of Traag, Waltman and van Eck 2019, "From
Louvain to Leiden: guaranteeing well-connected communities". Other libraries were rejected for their licenses, or since
a fixed seed did not give the same partition twice.

Axes: N node.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..errors import ConfigError

Ints = npt.NDArray[np.int64]
_ITERATIONS = 3
"""Cycles of the algorithm, each of which begins with the partition of the one before."""
_SEEDS = 1 << 32


def import_leiden() -> Any:
    """Return the module with the algorithm. Raises ConfigError, which says what to install, if there is none."""
    try:
        return import_module("graspologic_native")
    except ImportError as error:
        raise ConfigError(
            "communities need graspologic-native: pip install 'distributed-tracer[communities]'"
        ) from error


def leiden(graph: csr_array, resolution: float, seed: int) -> Ints:
    """Return the community of each node [N] of a symmetric graph; -1 for a node without a neighbour.

    Communities are numbered by size, the largest first, then by their first node. The same graph, resolution and seed
    give the same partition; the algorithm runs on one thread.
    """
    num_nodes = graph.shape[0]
    label_N = np.full(num_nodes, -1, dtype=np.int64)
    if not graph.nnz:
        return label_N
    graph.sort_indices()
    _, found = import_leiden().leiden_csr(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        graph.data.astype(np.float64),
        num_nodes,
        resolution=resolution,
        iterations=_ITERATIONS,
        seed=seed % _SEEDS,
    )
    label_N[list(found)] = list(found.values())
    label_N[np.diff(graph.indptr) == 0] = -1
    return by_size(label_N)


def by_size(label_N: Ints) -> Ints:
    """Return the labels numbered by the number of their nodes, then by their first node; -1 stays."""
    own = np.flatnonzero(label_N >= 0)
    _, first, inverse, counts = np.unique(label_N[own], return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(first))
    found = np.full(len(label_N), -1, dtype=np.int64)
    found[own] = rank[inverse]
    return found


def modularity(graph: csr_array, label_N: Ints, resolution: float) -> float:
    """Return the modularity of a partition; NaN for a graph without edges."""
    degree_N = np.asarray(graph.sum(axis=1)).ravel()
    if not (total := float(degree_N.sum())) > 0:
        return float("nan")
    num = int(label_N.max(initial=-1)) + 1
    own = label_N >= 0
    degrees = np.bincount(label_N[own], degree_N[own], num)
    row = np.repeat(label_N, np.diff(graph.indptr))
    inside = float(graph.data[row == label_N[graph.indices]].sum())
    return inside / total - resolution * float(np.square(degrees / total).sum())
