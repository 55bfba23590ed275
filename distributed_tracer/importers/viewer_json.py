"""Import of graph JSON for viewers: circuit-tracer's, Neuronpedia's, Anthropic's, and that of their early versions.

Nodes are read by their fields and their `feature_type`. Their ids only connect them, and are not taken apart, except
for what stands nowhere else: the id of a token. The graph in such a file is pruned, so the sums of its rows, its
scores and the active features that are no nodes are unknown. Axes: N node, E edge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import plain_values
from ..errors import GraphFileError
from ..graph.feature_numbers import FeatureNode, indices_of
from ..graph.graph import Target
from ..graph.nodes import NodeKind, NodeTable
from ..text import counted, short
from .cumulative_shares import own_shares
from .imported_graph import MAX_LAYERS, ImportedGraph, InfluenceOrigin, assemble
from .json_fields import list_of, number, object_of, single, text, whole
from .link_ends import Link, ends_of, places_by_id
from .node_link import target_of
from .viewer_context import context_of

_KINDS = {
    "cross layer transcoder": NodeKind.FEATURE,
    "unexplored node": NodeKind.FEATURE,  # so the viewers themselves take it
    "mlp reconstruction error": NodeKind.ERROR,
    "embedding": NodeKind.TOKEN,
    "logit": NodeKind.TARGET,
}
"""`feature_type` of per-layer transcoders is "cross layer transcoder", too."""
_TOKEN_ID = re.compile(r"E_([0-9]{1,9})_([0-9]{1,9})")
_ANSWER = re.compile(r'(?:[^"]*"(.*)"|(.*?)) ?k?\(p=([0-9.eE+-]+)\)\s*', re.DOTALL)
_MAX_DROPPED_NAMED = 5
_SLACK = 1e-3
"""What a sum of shares in float32 may exceed 1 by; a file may have thousands of them."""
_OWN = "distributed_tracer"
"""Key of the metadata under which graphs that this package exported have what viewers have no place for."""


@dataclass
class _Nodes:
    """The nodes of a file, by column, in the order of the file."""

    ids: list[str] = field(default_factory=list)
    kinds: list[NodeKind] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """The field `feature` of features and targets; -1 of errors, ids of tokens."""
    activations: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    fields: list[Mapping[str, Any]] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    """Ids of the nodes that were left out, with their `feature_type`."""


def read_viewer(
    document: Mapping[str, Any], drop_unknown: bool = False, num_layers: int | None = None
) -> ImportedGraph:
    """Return the graph in a viewer's document, with its groups, pins and names.

    Nodes of a kind that no graph here has (attention features, biases) make the file refused, or are left out with
    their edges if `drop_unknown` is set; the notes then say how many. The number of layers is `num_layers` if given,
    else what the metadata say, else one less than the layer of the targets, as circuit-tracer counts, unless the layer
    below the targets has nodes. Raises GraphFileError.
    """
    metadata = object_of(document, "metadata")
    strings = [text(one, "a token of prompt_tokens") for one in list_of(metadata, "prompt_tokens")]
    nodes = _read_nodes(list_of(document, "nodes"), len(strings), drop_unknown)
    layers = _num_layers(nodes, metadata, num_layers)
    indices = _place_features(nodes, metadata, layers)
    exact = metadata.get(_OWN) or {}
    exact = exact if isinstance(exact, Mapping) else {}
    tokens, targets = _tokens(nodes, len(strings), exact), _targets(nodes, exact)
    table = NodeTable(
        np.array(nodes.kinds, dtype=np.uint8),
        np.array(nodes.layers, dtype=np.int16),
        np.array(nodes.positions, dtype=np.int32),
        np.array(indices, dtype=np.int32),
        np.array(nodes.activations, dtype=np.float32),
    )
    source_E, target_E, weight_E, num_dropped = _links(list_of(document, "links"), nodes)
    shares_N = np.array(nodes.shares, dtype=np.float64)
    if are_no_shares := bool((shares_N < 0).any() or (shares_N > 1 + _SLACK).any()):
        shares_N[:] = np.nan
    prompt = metadata.get("prompt")
    graph = assemble(
        text=plain_values.text(prompt, GraphFileError) if prompt is not None else None,
        tokens=tokens,
        token_strings=strings,
        num_layers=layers,
        targets=targets,
        nodes=table,
        source_E=source_E,
        target_E=target_E,
        weight_E=weight_E,
        influence_N=np.where(table.kind_N == NodeKind.TARGET, np.float32(0), own_shares(shares_N)),
        name=lambda node: short(nodes.ids[node]),
    )
    own_id = exact.get("prompt") or metadata.get("slug")
    graph = replace(graph, prompt_id=own_id if isinstance(own_id, str) else "")
    context, notes = context_of(document, nodes.ids, _keys(nodes, indices), nodes.fields)
    if are_no_shares:
        notes.append("left out the influence of its nodes, which is no cumulative share: it is below 0 or above 1")
    if nodes.dropped:
        kinds = sorted(set(nodes.dropped.values()))
        listed = ", ".join(map(short, kinds[:_MAX_DROPPED_NAMED]))
        notes = [
            f"left out {counted(len(nodes.dropped), 'node')} of the kinds {listed}, and {num_dropped:,} edges",
            *notes,
        ]
    return ImportedGraph(graph, _origin(shares_N), False, context, tuple(notes))


def _read_nodes(given: Sequence[Any], num_positions: int, drop_unknown: bool) -> _Nodes:
    nodes = _Nodes()
    for place, node in enumerate(given):
        if not isinstance(node, Mapping):
            raise GraphFileError(f"node number {place} is no object")
        node_id = text(node.get("node_id"), f"node_id of node number {place}")
        where = f"node {short(node_id)}"
        kind_name = text(node.get("feature_type"), f"feature_type of {where}")
        kind = _KINDS.get(kind_name)
        if kind is None or (kind is NodeKind.FEATURE and kind_name == "unexplored node" and node.get("layer") == "E"):
            if not drop_unknown:
                raise GraphFileError(
                    f"{where} is of the kind {short(kind_name)}, which graphs here cannot have; --drop-unknown leaves "
                    "such nodes out, and their edges"
                )
            nodes.dropped[node_id] = kind_name
            continue
        position = whole(node.get("ctx_idx"), f"ctx_idx of {where}")
        if not 0 <= position < num_positions:
            raise GraphFileError(f"{where} is at position {position}, and there are {num_positions} prompt_tokens")
        inside = kind in (NodeKind.FEATURE, NodeKind.ERROR)
        nodes.ids.append(node_id)
        nodes.kinds.append(kind)
        nodes.layers.append(_layer(node.get("layer"), where) if inside else -1)
        nodes.positions.append(position)
        nodes.numbers.append(whole(node.get("feature"), f"feature of {where}") if kind in _NUMBERED else -1)
        nodes.activations.append(single(node.get("activation"), f"activation of {where}") if inside else float("nan"))
        nodes.shares.append(single(node.get("influence"), f"influence of {where}"))
        nodes.fields.append(node)
    return nodes


_NUMBERED = (NodeKind.FEATURE, NodeKind.TARGET)


def _layer(value: Any, where: str) -> int:
    digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5
    layer = int(value) if digits else whole(value, f"layer of {where}")
    if not 0 <= layer <= MAX_LAYERS:
        raise GraphFileError(f"{where} is in layer {layer}; layers are 0 to {MAX_LAYERS}")
    return layer


def _num_layers(nodes: _Nodes, metadata: Mapping[str, Any], given: int | None) -> int:
    """Return the number of layers of the model, which most of these files do not say."""
    of_target = [node.get("layer") for node, kind in zip(nodes.fields, nodes.kinds, strict=True) if kind == 3]
    last = max(nodes.layers, default=-1)
    own = metadata.get(_OWN)
    stated = [given, own.get("num_layers") if isinstance(own, Mapping) else None]
    stated += [metadata.get("num_layers"), metadata.get("n_layers")]
    internal = metadata.get("neuronpedia_internal_model")
    stated.append(internal.get("layers") if isinstance(internal, Mapping) else None)
    for value in stated:
        if value is not None:
            number_of = whole(value, "the number of layers")
            if not last < number_of <= MAX_LAYERS:
                raise GraphFileError(f"a node is in layer {last}, and the model would have {number_of} layers")
            return number_of
    layers = {int(str(one)) for one in of_target if str(one).isascii() and str(one).isdigit() and len(str(one)) <= 5}
    if len(layers) == 1 and last < (layer := layers.pop()) <= MAX_LAYERS:
        return max(layer - 1, last + 1)
    return last + 1


def _place_features(nodes: _Nodes, metadata: Mapping[str, Any], num_layers: int) -> list[int]:
    """Return the column `feature` of a NodeTable, and give targets their layer."""
    version = metadata.get("schema_version")
    features = [place for place, kind in enumerate(nodes.kinds) if kind is NodeKind.FEATURE]
    columns = ([column[place] for place in features] for column in (nodes.layers, nodes.positions, nodes.numbers))
    ids = [nodes.ids[place] for place in features]
    found = [FeatureNode(*values) for values in zip(ids, *columns, strict=True)]
    schema_version = 0 if version is None else whole(version, "its schema_version")
    indices = dict(zip(features, indices_of(found, schema_version), strict=True))
    column, num_targets = [], 0
    for place, kind in enumerate(nodes.kinds):
        if kind is NodeKind.TARGET:
            nodes.layers[place] = num_layers
            column.append(num_targets)
            num_targets += 1
        elif kind is NodeKind.TOKEN:
            column.append(_token_id(nodes.ids[place], nodes.positions[place]))
        else:
            column.append(indices.get(place, -1))
    return column


def _token_id(node_id: str, position: int) -> int:
    """Return the token of an embedding, which only its id has; -1 if this id does not."""
    parts = _TOKEN_ID.fullmatch(node_id)
    return int(parts[1]) if parts and int(parts[2]) == position else -1


def _tokens(nodes: _Nodes, num_positions: int, exact: Mapping[str, Any]) -> list[int]:
    """Return the token of every position; -1 where no node has it."""
    tokens = [-1] * num_positions
    if "tokens" in exact:
        tokens = [whole(token, "a token of its metadata") for token in list_of(exact, "tokens")]
        if len(tokens) != num_positions or not all(-1 <= token < 2**31 for token in tokens):
            raise GraphFileError(f"its metadata have {len(tokens)} tokens, and {num_positions} prompt_tokens")
    for node_id, kind, position in zip(nodes.ids, nodes.kinds, nodes.positions, strict=True):
        if kind is NodeKind.TOKEN:
            tokens[position] = _token_id(node_id, position)
    return tokens


def _targets(nodes: _Nodes, exact: Mapping[str, Any]) -> list[Target]:
    """Return the targets. Their strings stand in labels, as in `Output " Austin" (p=0.412)`; graphs that this package
    exported have them in their metadata as well, exactly."""
    if "targets" in exact:
        targets = [target_of(one) for one in list_of(exact, "targets")]
        if len(targets) != nodes.kinds.count(NodeKind.TARGET):
            raise GraphFileError(f"its metadata have {len(targets)} targets, and it has another number of such nodes")
        return targets
    targets = []
    for place, kind in enumerate(nodes.kinds):
        if kind is NodeKind.TARGET:
            node, where = nodes.fields[place], f"node {short(nodes.ids[place])}"
            label = text(node.get("clerp") or "", f"clerp of {where}")
            parts = _ANSWER.fullmatch(label)
            weight = number(node.get("token_prob"), f"token_prob of {where}")
            if np.isnan(weight) and parts:
                weight = _probability(parts[3])
            name = label if parts is None else parts[2] if parts[1] is None else parts[1]
            token = nodes.numbers[place] if 0 <= nodes.numbers[place] < 2**31 else -1
            targets.append(Target(name, token, weight, nodes.positions[place], float("nan")))
    return targets


def _probability(digits: str) -> float:
    try:
        return float(digits)
    except ValueError:
        return float("nan")


def _links(
    given: Sequence[Any], nodes: _Nodes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32], int]:
    """Return sources, targets and weights, and how many edges are left out with their nodes."""
    places = places_by_id(nodes.ids, nodes.kinds)
    links: list[Link] = []
    weights: list[float] = []
    for place, item in enumerate(given):
        if not isinstance(item, Mapping):
            raise GraphFileError(f"link number {place} is no object")
        link = Link(*(text(item.get(end), f"{end} of link number {place}") for end in Link._fields))
        if any(one in nodes.dropped and one not in places for one in link):
            continue
        if missing := [one for one in link if one not in places]:
            raise GraphFileError(f"link number {place} has the end {short(missing[0])}, which is no node")
        weight = single(item.get("weight"), f"weight of link number {place}")
        if np.isnan(weight):
            raise GraphFileError(f"link number {place} has no weight")
        links.append(link)
        weights.append(weight)
    ends_E2 = np.array(ends_of(links, places, nodes.kinds, nodes.layers), dtype=np.int64).reshape(-1, 2)
    return ends_E2[:, 0], ends_E2[:, 1], np.array(weights, dtype=np.float32), len(given) - len(links)


def _origin(shares_N: npt.NDArray[np.float64]) -> InfluenceOrigin:
    return "unknown" if np.isnan(shares_N).all() else "shares"


def _keys(nodes: _Nodes, indices: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return kind, layer, position and feature of each node."""
    return list(zip(map(int, nodes.kinds), nodes.layers, nodes.positions, indices, strict=True))
