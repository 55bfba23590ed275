"""DenseGraph: a prompt's rows over the columns of its nodes, with influence and scores.

The matrix stays on the device that computed it. Only the pruned graph leaves it, or the whole graph on request.

Axes: R row of a graph (features in node order, then targets), M node in dense order (features, errors, tokens: every
node but targets), N node, K target, L layer, E edge, B row of a batch, P position, X row kept, Y column kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..graph.prune import check_thresholds
from .dense_pruning import keep

_AT_ONCE = 2**22
"""Number of matrix entries whose indices are computed together."""
_OF_NODES = ("row_abs_sum_N", "row_abs_sum_all_N", "row_abs_dropped_N", "constant_N", "influence_N")


@dataclass(frozen=True, eq=False)
class DenseGraph:
    """One prompt's graph, not pruned. `bare` is that graph without its edges."""

    bare: Graph
    edges_RM: Tensor
    """The edges in float32, zero where there is none."""
    influence_M: Tensor
    """The influence of the node of every column, in float32."""
    constant_R: Tensor
    """The |constant| of every row in float64, zero if the constant does not take part in normalisation."""
    weight_K: Tensor
    count_L: list[int]
    """The number of feature nodes in each layer."""

    @property
    def num_rows(self) -> int:
        """The number of rows: feature nodes and targets."""
        return len(self.edges_RM)

    def whole(self) -> Graph:
        """Return the graph with every edge that is not zero. The edges leave the device in blocks of rows."""
        parts = torch.split(self.edges_RM, max(1, _AT_ONCE // self.edges_RM.shape[1]))
        count_R = torch.cat([part_BM.count_nonzero(1) for part_BM in parts]).numpy(force=True)
        source_E, weight_E = np.empty(count_R.sum(), np.int32), np.empty(count_R.sum(), np.float32)
        first = 0
        for part_BM in parts:
            row_E, column_E = part_BM.nonzero(as_tuple=True)
            here = slice(first, first + len(row_E))
            source_E[here] = column_E.int().numpy(force=True)
            weight_E[here] = part_BM[row_E, column_E].numpy(force=True)
            first = here.stop
        return self._with(np.arange(len(self.bare.nodes)), count_R, source_E, weight_E)

    def pruned(self, node_threshold: float, edge_threshold: float) -> Graph:
        """Return the graph that `graph.prune.prune` would return for the whole graph.

        Raises ConfigError for a threshold that is not in (0, 1].
        """
        check_thresholds(node_threshold, edge_threshold)
        kept = keep(
            self.edges_RM,
            self.influence_M,
            self.constant_R,
            self.weight_K,
            self.count_L,
            len(self.bare.tokens_P),
            node_threshold,
            edge_threshold,
        )
        targets = self.bare.nodes.where(NodeKind.TARGET)
        return self._with(np.append(kept.column_Y, targets), kept.count_X, kept.source_E, kept.weight_E)

    def _with(
        self,
        node_N: npt.NDArray[np.int64],
        count_R: npt.NDArray[np.int64],
        source_E: npt.NDArray[np.int32],
        weight_E: npt.NDArray[np.float32],
    ) -> Graph:
        """Return the graph of the nodes `node_N`, with the edges into those of them that have rows."""
        nodes = self.bare.nodes.take(node_N)
        degree_N = np.zeros(len(nodes), dtype=np.int64)
        degree_N[(nodes.kind_N == NodeKind.FEATURE) | (nodes.kind_N == NodeKind.TARGET)] = count_R
        return replace(
            self.bare,
            nodes=nodes,
            indptr=np.concatenate([[0], np.cumsum(degree_N)]).astype(np.int64),
            source_E=source_E,
            weight_E=weight_E,
            **{name: getattr(self.bare, name)[node_N] for name in _OF_NODES},
        )
