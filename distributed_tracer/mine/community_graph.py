"""CommunityGraph: the graph whose communities are wanted, and how well communities hold together in it.

Axes: F feature, N node, Y community.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from .cluster_edges import ClusterEdges

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Fit = Callable[[Ints], tuple[Floats, Floats]]
MakeGraph = Callable[[ClusterEdges, Floats], "CommunityGraph"]
"""Makes the graph of some edges, given the weight of each cluster."""


@dataclass(frozen=True, eq=False)
class CommunityGraph:
    """A symmetric graph of features."""

    adjacency: csr_array
    present_F: npt.NDArray[np.bool_]
    """Whether the feature has any edge in the clusters that count."""
    fit: Fit
    """Returns the cohesion of each community [Y] and the fit of each feature [F], given labels; NaN for a community of
    one feature and for a feature in none."""


def membership(label_F: Ints) -> csr_array:
    """Return 1 for each community and each of its features [Y, F]."""
    own = np.flatnonzero(label_F >= 0)
    shape = (int(label_F.max(initial=-1)) + 1, len(label_F))
    return coo_array((np.ones(len(own)), (label_F[own], own)), shape=shape).tocsr()


def present(edges: ClusterEdges, source: Ints, target: Ints) -> npt.NDArray[np.bool_]:
    """Return which features are an end of some pair."""
    found = np.zeros(len(edges.site_N), dtype=bool)
    found[source] = found[target] = True
    return found[: edges.num_features]
