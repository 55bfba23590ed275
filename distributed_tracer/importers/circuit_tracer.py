"""Import of the `.pt` files that circuit-tracer's `Graph.to_pt` writes, of all of its versions up to 0.4.

Such a file has the whole matrix of edges, so influence and scores follow from it as `trace` computes them. It has no
names of tokens. Axes: A active feature, F feature, K target, N node, E edge, M node in dense order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import plain_values
from ..documents.text import shortened
from ..errors import GraphFileError
from ..graph.context import GraphContext
from ..graph.graph import Target
from ..graph.nodes import ActiveTable, NodeTable
from .complete_scores import with_complete_scores
from .dense_matrix import blocks_of, edges_of
from .imported_graph import MAX_LAYERS, ImportedGraph, assemble
from .token_names import NameTokens, unnamed
from .torch_file import Instance, torch_values

_TARGET = "circuit_tracer.attribution.targets LogitTarget"
_CONFIGS = (
    "circuit_tracer.utils.tl_nnsight_mapping UnifiedConfig",
    "transformer_lens.HookedTransformerConfig HookedTransformerConfig",
    "transformer_lens.config.HookedTransformerConfig HookedTransformerConfig",
)
"""Classes of the model's configuration: since 2026, and in earlier versions, by two names of one class."""
_ALLOWED = (_TARGET, *_CONFIGS)
_KEYS = {
    *("input_string", "adjacency_matrix", "cfg", "active_features", "logit_targets", "logit_tokens"),
    *("logit_probabilities", "vocab_size", "input_tokens", "selected_features", "activation_values", "scan"),
}


def read_circuit_tracer(path: Path, name_tokens: NameTokens = unnamed) -> ImportedGraph:
    """Return the graph in a `.pt` file of circuit-tracer. Raises GraphFileError."""
    found = torch_values(path, _ALLOWED)
    if not isinstance(found, dict) or "adjacency_matrix" not in found:
        raise GraphFileError("it is a file of torch without a graph: it has no adjacency_matrix")
    if unknown := sorted(str(key) for key in found if key not in _KEYS):
        raise GraphFileError(f"it has the entry {shortened(unknown[0])}, which graphs of circuit-tracer do not have")
    config = _config(found.get("cfg"))
    num_layers = plain_values.integer(config.get("n_layers"), "n_layers of its cfg", GraphFileError)
    if not 0 < num_layers <= MAX_LAYERS:
        raise GraphFileError(f"its model would have {num_layers:,} layers; at most {MAX_LAYERS:,} are possible")
    tokens = _whole(found, "input_tokens", 1).tolist()
    targets = _targets(found, config, len(tokens), name_tokens)
    active, selected_F = _features(found, num_layers)
    matrix = _array(found, "adjacency_matrix", 2)
    size = len(selected_F) + (num_layers + 1) * len(tokens) + len(targets)
    if matrix.shape != (size, size):
        raise GraphFileError(
            f"its adjacency_matrix is {list(matrix.shape)}; {len(selected_F)} features, {len(tokens)} tokens, "
            f"{num_layers} layers and {len(targets)} targets are {size} nodes"
        )
    positions_K = np.full(len(targets), len(tokens) - 1, dtype=np.int32)
    nodes = NodeTable.build(active.take(selected_F), num_layers, np.array(tokens, dtype=np.int32), positions_K)
    edges = edges_of(blocks_of(matrix))
    if not np.isfinite(edges.weight_E).all():
        raise GraphFileError("its adjacency_matrix has numbers that are not finite")
    order_A = np.lexsort((active.feature_A, active.position_A, active.layer_A))
    graph = assemble(
        text=_text(found),
        tokens=tokens,
        token_strings=name_tokens(tokens),
        num_layers=num_layers,
        targets=targets,
        nodes=nodes,
        **edges._asdict(),
        active=active.take(order_A),
        name=lambda node: _place(nodes, node),
    )
    context = GraphContext(model=_name(config.get("model_name")), transcoders=_scan(found.get("scan")))
    return ImportedGraph(with_complete_scores(graph), "computed", True, context)


def _config(config: Any) -> Mapping[str, Any]:
    """Return the model's configuration as plain values."""
    if not isinstance(config, Instance) or config.name not in _CONFIGS:
        raise GraphFileError(f"its cfg is no configuration of a model, but {shortened(config)}")
    return config.state


def _array(found: Mapping[str, Any], name: str, axes: int) -> npt.NDArray[Any]:
    array = found.get(name)
    if not isinstance(array, np.ndarray) or array.ndim != axes:
        what = f"of shape {list(array.shape)}" if isinstance(array, np.ndarray) else f"is {shortened(array)}"
        raise GraphFileError(f"its {name} {what}, expected a tensor of {axes} axes")
    return array


def _whole(found: Mapping[str, Any], name: str, axes: int) -> npt.NDArray[np.int64]:
    """Return a tensor of whole numbers from 0 to 2^31 - 1."""
    array = _array(found, name, axes)
    if array.dtype.kind not in "iu" or (array.size and not 0 <= int(array.min()) <= int(array.max()) < 2**31):
        raise GraphFileError(f"its {name} are no whole numbers from 0 to 2^31 - 1")
    return array.astype(np.int64)


def _features(found: Mapping[str, Any], num_layers: int) -> tuple[ActiveTable, npt.NDArray[np.int64]]:
    """Return the active features, and the places among them of those that are nodes."""
    active_A3, selected_F = _whole(found, "active_features", 2), _whole(found, "selected_features", 1)
    activation_A = _array(found, "activation_values", 1)
    if active_A3.shape[1] != 3 or len(activation_A) != len(active_A3):
        raise GraphFileError(
            f"its active_features are {list(active_A3.shape)} and its activation_values {len(activation_A)}, "
            "expected layer, position and index, and an activation, of each feature"
        )
    layer_A, position_A, feature_A = active_A3.T
    if len(layer_A) and int(layer_A.max()) >= num_layers:
        raise GraphFileError(f"it has an active feature of layer {layer_A.max()}, and the model {num_layers} layers")
    if len(selected_F) and int(selected_F.max()) >= len(active_A3):
        raise GraphFileError(f"it selects feature number {selected_F.max()} of {len(active_A3)} active ones")
    if len(np.unique(active_A3, axis=0)) < len(active_A3):
        raise GraphFileError("it lists an active feature twice")
    active = ActiveTable(
        layer_A.astype(np.int16), position_A.astype(np.int32), feature_A.astype(np.int32), activation_A.astype("f4")
    )
    return active, selected_F


def _targets(
    found: Mapping[str, Any], config: Mapping[str, Any], num_tokens: int, name_tokens: NameTokens
) -> list[Target]:
    """Return the targets. circuit-tracer explains the last position. Its numbers from the vocabulary's size on stand
    for targets that are not one token; the first versions have tensors of token ids instead of targets."""
    given = found.get("logit_targets", found.get("logit_tokens"))
    if isinstance(given, np.ndarray):
        rows = [("", token) for token in given.tolist()] if given.ndim == 1 else None
    else:
        rows = [one.arguments for one in given if _is_target(one)] if isinstance(given, list) else None
        rows = rows if rows is not None and len(rows) == len(given or ()) else None
    weight_K = _array(found, "logit_probabilities", 1)
    if rows is None or len(rows) != len(weight_K):
        raise GraphFileError("its logit_targets are no targets, one for each of its logit_probabilities")
    weights = [plain_values.finite(weight, "a target's probability", GraphFileError) for weight in weight_K.tolist()]
    size = found.get("vocab_size") or config.get("d_vocab")  # neither is in files that other programs wrote
    end = 2**31 if size is None else min(plain_values.integer(size, "vocab_size", GraphFileError), 2**31)
    targets = []
    for (label, number), weight in zip(rows, weights, strict=True):
        token = plain_values.integer(number, "a target's vocab_idx", GraphFileError)
        token = token if 0 <= token < end else -1
        name = label if isinstance(label, str) and label else name_tokens([token])[0]
        targets.append(Target(name, token, weight, num_tokens - 1, float("nan")))
    return targets


def _is_target(value: Any) -> bool:
    return isinstance(value, Instance) and value.name == _TARGET and len(value.arguments) == 2


def _text(found: Mapping[str, Any]) -> str | None:
    """Return the text of the prompt; None if it was given as tokens."""
    text = found.get("input_string")
    return plain_values.text(text, GraphFileError) if isinstance(text, str) else None


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _scan(value: Any) -> str:
    """Return the name of the transcoders; a list has one for each layer."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return _name(value)


def _place(nodes: NodeTable, node: int) -> str:
    kind = ("feature", "error", "token", "target")[nodes.kind_N[node]]
    return f"{kind} {nodes.layer_N[node]}:{nodes.feature_N[node]} at {nodes.position_N[node]}"
