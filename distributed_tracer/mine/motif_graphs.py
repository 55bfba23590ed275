"""Motif graphs: the graphs of prompts, read one after another, as motifs need them.

Axes: N node, E edge, I prompt of a part range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .motif_counts import MotifGraph
from .prompts import ChosenPrompts, PromptPiece
from .scan import scan_ranges
from .statistics import Floats

Null = Literal["position", "signed", "layer"]
NULLS: tuple[Null, ...] = ("position", "signed", "layer")
"""Degrees are kept between groups of nodes of one kind, layer and position; the same for each sign by itself; between
groups of one kind and layer, whatever the positions."""
EDGES = ("all", "features")
_READ_ROWS = 1 << 20
_ROUND_OFF = 2.0**-16
"""How much larger than its row an edge may be: rows are sums in float32, of up to some thousand terms."""


@dataclass(frozen=True, eq=False)
class PromptGraph:
    """The graph of a prompt."""

    rank: int
    graph: MotifGraph
    code_N: npt.NDArray[np.int64]
    """Site of each node, as a code."""
    groups: dict[Null, npt.NDArray[np.int64]]
    """Group of each node, between which a null keeps degrees: kind, layer and position, or kind and layer."""
    num_left_out: int
    """Edges without a known weight, or with weight 0, or from a node to itself."""


def read_graphs(prompts: ChosenPrompts | PromptPiece, edges: str) -> Iterator[PromptGraph]:
    """Yield the graphs of prompts; with `edges="features"`, only their edges from features to features and targets.

    Raises StoreCorrupt for edges that the graphs cannot have.
    """
    for scanned in scan_ranges(prompts, _READ_ROWS, also=("kind", "layer")):
        source_E, weight_E = scanned.edges()
        target_E, nodes, own = scanned.target_E, scanned.nodes, scanned.part_range
        kind_N, position_N = nodes["kind"].astype(np.int64), nodes["position"].astype(np.int64)
        layer_N, row_N = nodes["layer"].astype(np.int64) + 1, nodes["row_abs_sum"].astype(np.float64)
        is_wanted_E = np.isfinite(weight_E) & (weight_E != 0) & (source_E != target_E)
        of_interest_E = np.ones(len(source_E), dtype=np.bool_)
        if edges == "features":
            of_interest_E = kind_N[source_E] == NodeKind.FEATURE
        share_E = _shares(np.where(is_wanted_E, weight_E, np.nan).astype(np.float64), row_N[target_E])
        by_layer_N = (layer_N << 2) | kind_N
        by_position_N = by_layer_N * (int(position_N.max(initial=0)) + 2) + position_N + 1
        ends = np.cumsum(own.sizes("num_edges"))
        for number, (rank, end) in enumerate(zip(scanned.rank_I.tolist(), ends.tolist(), strict=True)):
            whole = np.arange(end - own.entries[number].num_edges, end)
            whole = whole[of_interest_E[whole]]
            kept = whole[is_wanted_E[whole]]
            first = int(own.first_node[number])
            nodes_of = slice(first, first + own.entries[number].num_nodes)
            graph = MotifGraph(
                source_E[kept].astype(np.int64) - first,
                target_E[kept].astype(np.int64) - first,
                weight_E[kept] > 0,
                share_E[kept],
                kind_N[nodes_of] == NodeKind.TOKEN,
                kind_N[nodes_of] == NodeKind.TARGET,
            )
            groups: dict[Null, npt.NDArray[np.int64]] = {
                "position": (places := np.unique(by_position_N[nodes_of], return_inverse=True)[1]),
                "signed": places,
                "layer": np.unique(by_layer_N[nodes_of], return_inverse=True)[1],
            }
            yield PromptGraph(rank, graph, scanned.code_N[nodes_of], groups, len(whole) - len(kept))


def _shares(weight_E: Floats, row_E: Floats) -> Floats:
    """Return |weight| / row; NaN where one is not known, and where the edge is larger than its row, which cannot be."""
    share_E = np.divide(np.abs(weight_E), row_E, out=np.full(len(row_E), np.nan), where=row_E > 0)
    return np.where(share_E <= 1 + _ROUND_OFF, np.minimum(share_E, 1.0), np.nan)
