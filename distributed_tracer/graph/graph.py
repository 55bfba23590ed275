"""Graph: the attribution graph of one prompt, whole or pruned, in plain numpy arrays. All parts of the package use it.

Axes: P position, N node, E edge, A active feature, L layer, M node in dense order. The name `path_length_H` ends in an
older letter for the number of edges walked: see `shapes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..notebook import drawing
from ..table_stream import Batch, TableStream
from ..text import counted, html_facts, listed, short
from .columns import EDGE_COLUMNS, KINDS, NODE_COLUMNS, edge_columns, node_columns
from .nodes import ActiveTable, NodeKind, NodeTable
from .norm_scales import NormScales


@dataclass(frozen=True)
class Target:
    """One target that a graph explains, resolved. `token_id` is -1 if the target is not the logit of one token."""

    label: str
    token_id: int
    weight: float
    position: int
    value: float
    """The target's value in the model, which is what its row and its constant add up to."""


@dataclass(frozen=True)
class Scores:
    """The scores of one graph, computed before pruning."""

    replacement: float
    """The influence of tokens, divided by the influence of tokens and errors."""
    completeness: float
    """The influence-weighted share of incoming |edges| that does not come from errors."""
    constant_share: float
    """The share of all influence that ends in the constant node; 0 if there is no such node."""
    error_share_L: tuple[float, ...]
    """For the errors of each layer, the share of the influence that ends in errors, tokens and the constant."""
    path_length_H: tuple[float, ...]
    """The share of the influence ending in errors, tokens and the constant that arrives over 1, 2, ... edges. The
    shares add up to 1."""
    closing_error: float
    """The largest |sum of a full row + constant + bias - pre-activation| / max(1, |pre-activation|) over all rows."""


class GraphTables(NamedTuple):
    """The nodes and the edges of one graph: two pyarrow.Tables, or two pandas.DataFrames."""

    nodes: Any
    edges: Any

    def __repr__(self) -> str:
        return f"GraphTables(nodes: {counted(len(self.nodes), 'row')}, edges: {counted(len(self.edges), 'row')})"


@dataclass(frozen=True, eq=False)
class Graph:
    """One attribution graph. A row is the node that is explained, and a column is a node from which an effect comes.

    Edges are stored in compressed sparse rows (CSR): the sources of the edges into node n are
    `source_E[indptr[n]:indptr[n+1]]` (node numbers, ascending), and `weight_E` has their weights.

    The attributes of rows are NaN for nodes without a row (errors and tokens). `row_abs_sum_N` is the sum of |edge|
    over all nodes of the graph before pruning (with the constant, if it takes part), by which influence is normalised.
    `row_abs_sum_all_N` also counts the active features that were not selected, and the edges that were dropped because
    larger edges carried `keep_row_mass` of the row. `row_abs_dropped_N` is the sum of |edge| over these dropped edges.
    `constant_N` is the effect of biases and of what the zeroed positions write.
    """

    prompt_id: str
    text: str | None
    tokens_P: npt.NDArray[np.int32]
    token_strings: tuple[str, ...]
    """The name of each token, readable and different for different tokens. A byte that is not text by itself is written
    as `<0xE6>`, for example."""
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
    """Whether the constant takes part in the normalisation of rows."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scales: NormScales | None = None
    """The frozen norm scales; None if they are not known: the graph was imported, or stored by an early version."""

    def __repr__(self) -> str:
        facts = self._facts()
        counts = ", ".join(facts[name] for name in ("tokens", "layers", "nodes", "edges"))
        labels = listed([target.label for target in self.targets])
        return f"<Graph {facts['prompt']}: {facts['text']}, {counts}; targets {labels or 'none'}; {facts['scores']}>"

    def _repr_html_(self) -> str:
        """Return the HTML that notebooks display: facts and, with matplotlib, a drawing. Text from the prompt is
        escaped."""
        return html_facts("attribution graph", self._facts()) + drawing(self)

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
        """The number of edges."""
        return len(self.source_E)

    def row(self, node: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return the sources and the weights of the edges into `node`."""
        part = slice(int(self.indptr[node]), int(self.indptr[node + 1]))
        return self.source_E[part], self.weight_E[part]

    def target_E(self) -> npt.NDArray[np.int32]:
        """Return the explained node of every edge, in the order of `source_E`."""
        return np.repeat(np.arange(len(self.nodes), dtype=np.int32), np.diff(self.indptr))

    def target_weights_N(self) -> npt.NDArray[np.float64]:
        """Return the weights of the targets at their nodes and zero elsewhere, which is where influence starts."""
        weights_N = np.zeros(len(self.nodes))
        targets = self.nodes.where(NodeKind.TARGET)
        weights_N[targets] = [self.targets[k].weight for k in self.nodes.feature_N[targets]]
        return weights_N

    def selected_features(self) -> npt.NDArray[np.int64]:
        """Return the index into `active` of every feature node, in node order."""
        features = self.nodes.take(self.nodes.where(NodeKind.FEATURE))
        wanted = site_key(features.layer_N, features.position_N, features.feature_N)
        return np.searchsorted(site_key(self.active.layer_A, self.active.position_A, self.active.feature_A), wanted)

    def dense_index_N(self) -> npt.NDArray[np.int64]:
        """Return the place of each node in the dense order, which has all errors and tokens, whether pruned or not.

        The order is: the graph's features, errors (layer-major), tokens, targets.
        """
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
        """Return the number of places in the dense order: the features kept, and every error, token and target."""
        num_features = int(np.count_nonzero(self.nodes.kind_N == NodeKind.FEATURE))
        return num_features + (self.num_layers + 1) * len(self.tokens_P) + len(self.targets)

    def adjacency(self) -> npt.NDArray[np.float32]:
        """Return the dense adjacency matrix `[M, M]` in float32, with rows and columns in the order of
        `dense_index_N`."""
        full, size = self.dense_index_N(), self.dense_size()
        dense = np.zeros((size, size), dtype=np.float32)
        dense[full[self.target_E()], full[self.source_E]] = self.weight_E
        return dense

    def node_label(self, node: int) -> str:
        """Return the name of a node for people, as in `feature 2:46 at 9`; names of tokens and targets are quoted."""
        kind = NodeKind(self.nodes.kind_N[node])
        layer, position, feature = (
            int(column[node]) for column in (self.nodes.layer_N, self.nodes.position_N, self.nodes.feature_N)
        )
        if kind is NodeKind.TARGET:
            return f"target {self.targets[feature].label!r}"
        what = {NodeKind.FEATURE: f"feature {layer}:{feature}", NodeKind.ERROR: f"error of layer {layer}"}
        return f"{what.get(kind) or f'token {self.token_strings[position]!r}'} at {position}"

    def node_attributes(self) -> Iterator[dict[str, Any]]:
        """Yield plain values for each node: kind, layer, position, feature, token (the string of the token at the
        node's position), activation, influence and label."""
        nodes = self.nodes
        columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N, nodes.activation_N, self.influence_N)
        for node, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            kind, layer, position, feature, activation, influence = values
            yield {
                "kind": KINDS[kind],
                "layer": layer,
                "position": position,
                "feature": feature,
                "token": self.token_strings[position],
                "activation": activation,
                "influence": influence,
                "label": self.node_label(node),
            }

    def edges(self) -> Iterator[tuple[int, int, float]]:
        """Yield source, target (the explained node) and weight of each edge, in the order of `source_E`."""
        return zip(self.source_E.tolist(), self.target_E().tolist(), self.weight_E.tolist(), strict=True)

    def attributes(self) -> dict[str, Any]:
        """Return plain values that describe the whole graph: prompt (its id), text, tokens (ids), token_strings,
        num_layers, targets, scores and metadata."""
        return {
            "prompt": self.prompt_id,
            "text": self.text,
            "tokens": self.tokens_P.tolist(),
            "token_strings": list(self.token_strings),
            "num_layers": self.num_layers,
            "targets": [asdict(target) for target in self.targets],
            "scores": asdict(self.scores),
            "metadata": dict(self.metadata),
        }

    def to_arrow(self) -> GraphTables:
        """Return nodes and edges as pyarrow.Tables with the columns of `Store.nodes` and `Store.edges`.

        Raises ImportError if pyarrow is not installed.
        """
        return GraphTables(*(table.to_arrow() for table in self._tables()))

    def to_pandas(self) -> GraphTables:
        """Return nodes and edges as pandas.DataFrames with the columns of `Store.nodes` and `Store.edges`.

        Raises ImportError if pandas or pyarrow is not installed.
        """
        import_module("pandas")
        return GraphTables(*(table.to_pandas() for table in self._tables()))

    def to_networkx(self) -> Any:
        """Return a networkx.DiGraph, whose nodes are the numbers of the nodes.

        An edge goes from its source to the node that it helps to explain, and has a `weight`. Nodes have the values of
        `node_attributes`, and the graph has those of `attributes`. Raises ImportError if networkx is not installed.
        """
        graph = import_module("networkx").DiGraph(**self.attributes())
        graph.add_nodes_from(enumerate(self.node_attributes()))
        graph.add_weighted_edges_from(self.edges())
        return graph

    def _tables(self) -> tuple[TableStream, TableStream]:
        """Return the tables of nodes and of edges, of one batch each."""
        rows = {
            "in_degree": np.diff(self.indptr).astype(np.int32),
            "row_abs_sum": self.row_abs_sum_N,
            "row_abs_sum_all": self.row_abs_sum_all_N,
            "row_abs_dropped": self.row_abs_dropped_N,
            "constant": self.constant_N,
            "influence": self.influence_N,
        }
        nodes = node_columns(self.prompt_id, self.nodes, rows)

        def edges() -> Iterator[Batch]:
            ends = {"source": self.source_E, "target": self.target_E()}
            yield edge_columns(EDGE_COLUMNS, nodes, ends, self.weight_E)

        return TableStream(NODE_COLUMNS, lambda: iter((nodes,))), TableStream(EDGE_COLUMNS, edges)


def site_key(
    layer: npt.NDArray[np.int16], position: npt.NDArray[np.int32], feature: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Return one integer for each (layer, position, feature), in their order, from 12, 20 and 31 bits."""
    return (layer.astype(np.int64) << 51) | (position.astype(np.int64) << 31) | feature.astype(np.int64)
