"""Influence: how much each node matters to the targets, the sum over k of w·Â^k, where Â is |A| with normalised rows.

Each row of Â sums to 1. The formula is from Ameisen et al. 2025, "Circuit Tracing", appendix on graph pruning.
Axes: N node, E edge, W number of edges walked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csc_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Influence:
    """The influence of every node: in total, and split by the number of edges walked from a target."""

    total_N: Floats
    walked_WN: Floats


def edge_shares(target_E: Ints, weight_E: npt.NDArray[np.float32] | Floats, row_sum_N: Floats) -> Floats:
    """Return each |edge| as a share of its row's normaliser.

    The share is zero where the weight is not finite, and in rows whose normaliser is zero or not finite.
    """
    sums_E = row_sum_N[target_E]
    is_known_E = np.isfinite(weight_E) & np.isfinite(sums_E) & (sums_E > 0)
    return np.divide(np.abs(weight_E), sums_E, out=np.zeros(len(weight_E)), where=is_known_E)


def influence(target_E: Ints, source_E: Ints, share_E: Floats, start_N: Floats) -> Influence:
    """Compute influence by walking from the targets against the edges until nothing is left.

    `start_N` has the weights of the targets. Edges only lead to lower layers, so the walk ends after as many steps as
    the longest path has edges. Raises RuntimeError for a graph with a cycle.
    """
    walked: list[Floats] = []
    shares_NN = coo_array((share_E, (source_E, target_E)), shape=(len(start_N), len(start_N))).tocsc()
    mass_N = start_N
    while mass_N.any():
        if len(walked) > len(start_N):
            raise RuntimeError("the graph has a cycle: influence does not converge")
        end = int(np.flatnonzero(mass_N)[-1]) + 1  # features are sorted by layer: soon the last ones carry nothing
        mass_N = _first(shares_NN, end) @ mass_N[:end]
        walked.append(mass_N)
    walked_WN = np.array(walked[:-1] or [np.zeros(len(start_N))])  # the last step carried nothing
    return Influence(walked_WN.sum(0), walked_WN)


def _first(shares_NN: csc_array, end: int) -> csc_array:
    """Return the first `end` columns without a copy, which scipy's own slicing would make."""
    stored = slice(shares_NN.indptr[end])
    part = (shares_NN.data[stored], shares_NN.indices[stored], shares_NN.indptr[: end + 1])
    return csc_array(part, shape=(shares_NN.shape[0], end))
