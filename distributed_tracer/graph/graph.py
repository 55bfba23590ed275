"""Graph: one prompt's attribution graph, whole or pruned. Plain numpy; the currency of the whole system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..text import counted, html_facts, listed, short
from .nodes import ActiveTable, NodeKind, NodeTable


@dataclass(frozen=True)
class Target:
    """One explained target, resolved. `token_id` is -1 where the target is not one token's logit."""

    label: str
    token_id: int
    weight: float
    position: int
    value: float
    """The target's own value in the model: what its row adds up to with the constant."""


@dataclass(frozen=True)
class Scores:
    """What one graph says about itself, computed before pruning."""

    replacement: float
    """Token influence / (token + error influence)."""
    completeness: float
    """Influence-weighted share of incoming |edges| that does not come from errors."""
    constant_share: float
    """Share of all influence that ends in the constant node; 0 if there is none."""
    error_share_L: tuple[float, ...]
    """Share of the influence that ends in errors, tokens and the constant: here the errors of each layer."""
    path_length_H: tuple[float, ...]
    """Share of the same influence that arrives over 1, 2, ... edges; adds up to 1."""
    closing_error: float
    """Largest |sum of a full row + constant + bias - pre-activation| / max(1, |pre-activation|) over all rows."""


@dataclass(frozen=True, eq=False)
class Graph:
    """One attribution graph. Row = the explained node, column = where the effect comes from.

    Edges are in compressed rows: those into node n are `source_E[indptr[n]:indptr[n+1]]` (node numbers,
    ascending) with `weight_E`. Row attributes are NaN for nodes without a row (errors, tokens):
    `row_abs_sum_N` is the sum of |edge| over all of the graph's nodes before pruning (with the constant, if it
    takes part), by which influence normalises; `row_abs_sum_all_N` also counts active features that were not
    selected, and edges that were dropped because the row's larger ones carried `keep_row_mass` of it:
    `row_abs_dropped_N` is the sum of those. `constant_N` is the effect of biases and of what the zeroed positions
    write.
    """

    prompt_id: str
    text: str | None
    tokens_P: npt.NDArray[np.int32]
    token_strings: tuple[str, ...]
    """The name of each: readable, and different for different tokens; a byte that is no text by itself is `<0xE6>`."""
    num_layers: int
    targets: tuple[Target, ...]
    nodes: NodeTable
    indptr: npt.NDArray[np.int64]
    source_E: npt.NDArray[np.int32]
    weight_E: npt.NDArray[np.float32]
    row_abs_sum_N: npt.NDArray[np.float32]
    row_abs_sum_all_N: npt.NDArray[np.float32]
    row_abs_dropped_N: npt.NDArray[np.float32]
    constant_N: npt.NDArray[np.float32]
    influence_N: npt.NDArray[np.float32]
    active: ActiveTable
    scores: Scores
    constant_node: bool
    """Whether the constant takes part in normalisation."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        facts = self._facts()
        counts = ", ".join(facts[name] for name in ("tokens", "layers", "nodes", "edges"))
        labels = listed([target.label for target in self.targets])
        return f"<Graph {facts['prompt']}: {facts['text']}, {counts}; targets {labels or 'none'}; {facts['scores']}>"

    def _repr_html_(self) -> str:
        """For notebooks; what comes from the prompt is escaped."""
        return html_facts("attribution graph", self._facts())

    def _facts(self) -> dict[str, str]:
        kinds = ", ".join(counted(len(self.nodes.where(kind)), kind.name.lower()) for kind in NodeKind)
        return {
            "prompt": short(self.prompt_id),
            "text": "given as tokens" if self.text is None else short(self.text),
            "tokens": counted(len(self.tokens_P), "token"),
            "layers": counted(self.num_layers, "layer"),
            "targets": listed([f"{target.label} (weight {target.weight:.3f})" for target in self.targets], 10),
            "nodes": f"{counted(len(self.nodes), 'node')} ({kinds})",
            "edges": counted(self.num_edges, "edge"),
            "scores": f"replacement {self.scores.replacement:.3f}, completeness {self.scores.completeness:.3f}",
        }

    @property
    def num_edges(self) -> int:
        return len(self.source_E)

    def row(self, node: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Sources and weights of the edges into `node`."""
        part = slice(int(self.indptr[node]), int(self.indptr[node + 1]))
        return self.source_E[part], self.weight_E[part]

    def target_E(self) -> npt.NDArray[np.int32]:
        """The explained node of every edge, beside `source_E`."""
        return np.repeat(np.arange(len(self.nodes), dtype=np.int32), np.diff(self.indptr))

    def target_weights_N(self) -> npt.NDArray[np.float64]:
        """The targets' weights at their nodes, zero elsewhere: where influence starts."""
        weights_N = np.zeros(len(self.nodes))
        targets = self.nodes.where(NodeKind.TARGET)
        weights_N[targets] = [self.targets[k].weight for k in self.nodes.feature_N[targets]]
        return weights_N

    def selected_features(self) -> npt.NDArray[np.int64]:
        """Index into `active` of every feature node, in node order."""
        features = self.nodes.take(self.nodes.where(NodeKind.FEATURE))
        wanted = _site_key(features.layer_N, features.position_N, features.feature_N)
        return np.searchsorted(_site_key(self.active.layer_A, self.active.position_A, self.active.feature_A), wanted)

    def dense_index_N(self) -> npt.NDArray[np.int64]:
        """Where each node is among all, pruned or not: features, errors (layer-major), tokens, targets."""
        features, num_positions = self.nodes.where(NodeKind.FEATURE), len(self.tokens_P)
        num_features = len(features)
        full = np.empty(len(self.nodes), dtype=np.int64)
        full[features] = np.arange(num_features)
        errors, tokens = self.nodes.where(NodeKind.ERROR), self.nodes.where(NodeKind.TOKEN)
        layer = self.nodes.layer_N[errors].astype(np.int64)  # int16 overflows: 30 layers x 2,000 positions
        full[errors] = num_features + layer * num_positions + self.nodes.position_N[errors]
        first_token = num_features + self.num_layers * num_positions
        full[tokens] = first_token + self.nodes.position_N[tokens]
        targets = self.nodes.where(NodeKind.TARGET)
        full[targets] = first_token + num_positions + self.nodes.feature_N[targets]
        return full

    def dense_size(self) -> int:
        """How many nodes `dense_index_N` counts: features kept, and every error, token and target."""
        num_features = int(np.count_nonzero(self.nodes.kind_N == NodeKind.FEATURE))
        return num_features + (self.num_layers + 1) * len(self.tokens_P) + len(self.targets)

    def adjacency(self) -> npt.NDArray[np.float32]:
        """Dense `[M, M]` float32, rows and columns in the order of `dense_index_N`."""
        full, size = self.dense_index_N(), self.dense_size()
        dense = np.zeros((size, size), dtype=np.float32)
        dense[full[self.target_E()], full[self.source_E]] = self.weight_E
        return dense


def _site_key(
    layer: npt.NDArray[np.int16], position: npt.NDArray[np.int32], feature: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """One ascending integer per (layer, position, feature): 12, 20 and 31 bits."""
    return (layer.astype(np.int64) << 51) | (position.astype(np.int64) << 31) | feature.astype(np.int64)
