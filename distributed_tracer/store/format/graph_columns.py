"""Converts a Graph to the columns of the store's format, and back.

Both directions are exact, to the bit for NaN too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import StoreError
from ...graph.graph import Graph, Scores, Target
from ...graph.nodes import ActiveTable, NodeKind, NodeTable
from .added_columns import added_columns_of, computed_of, scales_of
from .schema import COLUMNS, SCORES, Columns


def columns_of(graph: Graph) -> Columns:
    """Return one prompt's rows of every array of the format.

    Raises StoreError, which names the prompt and the column, if the graph violates the Graph contract (dtypes, lengths,
    edge sources that are no nodes) or if its metadata cannot be written as JSON.
    """
    columns: Columns = {
        **_prompt_columns(graph),
        "nodes/kind": graph.nodes.kind_N,
        "nodes/layer": graph.nodes.layer_N,
        "nodes/position": graph.nodes.position_N,
        "nodes/feature": graph.nodes.feature_N,
        "nodes/activation": graph.nodes.activation_N,
        "nodes/in_degree": np.diff(graph.indptr).astype(np.int32),
        "nodes/row_abs_sum": graph.row_abs_sum_N,
        "nodes/row_abs_sum_all": graph.row_abs_sum_all_N,
        "nodes/row_abs_dropped": graph.row_abs_dropped_N,
        "nodes/constant": graph.constant_N,
        "nodes/influence": graph.influence_N,
        "edges/source": graph.source_E.view(np.uint32) if graph.source_E.dtype == np.int32 else graph.source_E,
        "edges/weight": graph.weight_E,
        "active/layer": graph.active.layer_A,
        "active/position": graph.active.position_A,
        "active/feature": graph.active.feature_A,
        "active/activation": graph.active.activation_A,
        **added_columns_of(graph),
    }
    _check(graph, columns)
    return columns


def _prompt_columns(graph: Graph) -> Columns:
    """Return the columns that do not grow with the number of nodes: the prompt, its targets and its tokens."""
    labels = [_utf8(target.label) for target in graph.targets]
    strings = [_utf8(string) for string in graph.token_strings]
    return {
        "prompts/id": _utf8(graph.prompt_id),
        "prompts/text": _utf8(graph.text or ""),
        "prompts/has_text": np.array([graph.text is not None], dtype=np.uint8),
        "prompts/metadata": _utf8(_metadata_json(graph)),
        "prompts/num_layers": np.array([graph.num_layers], dtype=np.int32),
        "prompts/constant_node": np.array([graph.constant_node], dtype=np.uint8),
        "prompts/scores": np.array([[getattr(graph.scores, name) for name in SCORES]], dtype=np.float64),
        "prompts/error_share": np.array(graph.scores.error_share_L, dtype=np.float64),
        "prompts/path_length": np.array(graph.scores.path_length_H, dtype=np.float64),
        "targets/token_id": np.array([target.token_id for target in graph.targets], dtype=np.int32),
        "targets/position": np.array([target.position for target in graph.targets], dtype=np.int32),
        "targets/weight": np.array([target.weight for target in graph.targets], dtype=np.float64),
        "targets/value": np.array([target.value for target in graph.targets], dtype=np.float64),
        "targets/label_size": _sizes(labels),
        "targets/label": _joined(labels),
        "tokens/token": graph.tokens_P,
        "tokens/string_size": _sizes(strings),
        "tokens/string": _joined(strings),
    }


def graph_of(columns: Mapping[str, npt.NDArray[Any]]) -> Graph:
    """Return the graph whose rows `columns` are.

    If the columns of active features are absent, the feature nodes replace them.

    Raises ValueError if the columns contradict each other, so that no later computation reads beyond the ends of
    arrays.
    """
    _check_rows(columns)
    nodes = NodeTable(
        kind_N=columns["nodes/kind"],
        layer_N=columns["nodes/layer"],
        position_N=columns["nodes/position"],
        feature_N=columns["nodes/feature"],
        activation_N=columns["nodes/activation"],
    )
    indptr = np.zeros(len(nodes) + 1, dtype=np.int64)
    np.cumsum(columns["nodes/in_degree"], out=indptr[1:])
    return Graph(
        prompt_id=_text(columns["prompts/id"]),
        text=text_of(columns),
        tokens_P=columns["tokens/token"],
        token_strings=_split(columns["tokens/string"], columns["tokens/string_size"]),
        num_layers=int(columns["prompts/num_layers"][0]),
        targets=targets_of(columns),
        nodes=nodes,
        indptr=indptr,
        source_E=columns["edges/source"].astype(np.int32),
        weight_E=columns["edges/weight"],
        row_abs_sum_N=columns["nodes/row_abs_sum"],
        row_abs_sum_all_N=columns["nodes/row_abs_sum_all"],
        row_abs_dropped_N=columns["nodes/row_abs_dropped"],
        constant_N=columns["nodes/constant"],
        influence_N=columns["nodes/influence"],
        active=_active_of(columns, nodes),
        scores=scores_of(columns),
        constant_node=bool(columns["prompts/constant_node"][0]),
        metadata=metadata_of(columns),
        scales=scales_of(columns),
    )


def id_of(columns: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the id of a prompt from its columns."""
    return _text(columns["prompts/id"])


def text_of(columns: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """Return the text of a prompt from its columns; None if the prompt was given as tokens."""
    return _text(columns["prompts/text"]) if columns["prompts/has_text"][0] else None


def targets_of(columns: Mapping[str, npt.NDArray[Any]]) -> tuple[Target, ...]:
    """Return the targets of a prompt from its columns."""
    labels = _split(columns["targets/label"], columns["targets/label_size"])
    values = (columns[f"targets/{name}"].tolist() for name in ("token_id", "weight", "position", "value"))
    return tuple(Target(label, *row) for label, *row in zip(labels, *values, strict=True))


def scores_of(columns: Mapping[str, npt.NDArray[Any]]) -> Scores:
    """Return the scores of a prompt from its columns."""
    return Scores(
        **dict(zip(SCORES, columns["prompts/scores"][0].tolist(), strict=True)),
        error_share_L=tuple(columns["prompts/error_share"].tolist()),
        path_length_H=tuple(columns["prompts/path_length"].tolist()),
    )


def metadata_of(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the metadata of a prompt from its columns. Raises ValueError if they are not a JSON object."""
    metadata = json.loads(columns["prompts/metadata"].tobytes())
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata of prompt {_text(columns['prompts/id'])!r} is not a JSON object")
    return metadata


def _active_of(columns: Mapping[str, npt.NDArray[Any]], nodes: NodeTable) -> ActiveTable:
    if "active/layer" in columns:
        stored = (columns[f"active/{name}"] for name in ("layer", "position", "feature", "activation"))
        return replace(ActiveTable(*stored), computed_A=computed_of(columns))
    features = nodes.take(nodes.where(NodeKind.FEATURE))
    return ActiveTable(features.layer_N, features.position_N, features.feature_N, features.activation_N)


def _utf8(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _text(bytes_: npt.NDArray[np.uint8]) -> str:
    return bytes_.tobytes().decode("utf-8", "surrogatepass")


def _sizes(texts: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.int32]:
    return np.array([len(text) for text in texts], dtype=np.int32)


def _joined(texts: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    return np.concatenate([np.empty(0, dtype=np.uint8), *texts])


def _split(bytes_: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int32]) -> tuple[str, ...]:
    """Return the texts of the given sizes, in bytes, that follow one another in `bytes_`."""
    return tuple(_text(part) for part in np.split(bytes_, np.cumsum(sizes)[:-1])) if len(sizes) else ()


def _metadata_json(graph: Graph) -> str:
    try:
        return json.dumps(dict(graph.metadata), separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"metadata of prompt {graph.prompt_id!r} cannot be written as JSON: {error}") from error


def _check_rows(columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError if edges, positions, layers, targets or text sizes refer to something that does not exist.

    The positions and layers are those of nodes and, where they are stored, of active features.
    """
    check_edges(columns)
    is_target_N = columns["nodes/kind"] == NodeKind.TARGET
    num_positions, num_layers = len(columns["tokens/token"]), int(columns["prompts/num_layers"][0])
    bounds = [
        ("position", columns["nodes/position"], num_positions),
        ("layer", columns["nodes/layer"], num_layers + 1),
        ("target", columns["nodes/feature"][is_target_N], len(columns["targets/weight"])),
    ]
    if "active/layer" in columns:
        bounds.append(("position of an active feature", columns["active/position"], num_positions))
        bounds.append(("layer of an active feature", columns["active/layer"], num_layers))
    for what, values, end in bounds:
        if len(values) and not -(what == "layer") <= int(values.min()) <= int(values.max()) < end:
            raise ValueError(f"{what} {values.min()} to {values.max()} of {end}")
    for texts in ("targets/label", "tokens/string"):
        if (total := int(columns[f"{texts}_size"].sum(dtype=np.int64))) != len(columns[texts]):
            raise ValueError(f"{texts} of {total} bytes, and there are {len(columns[texts])}")


def check_edges(columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError unless a prompt's in-degrees add up to the number of its edges and all sources are its nodes."""
    source_E, in_degree_N = columns["edges/source"], columns["nodes/in_degree"]
    if (total := int(in_degree_N.sum(dtype=np.int64))) != len(source_E):
        raise ValueError(f"in-degrees add up to {total}, and there are {len(source_E)} edges")
    if len(source_E) and (last := int(source_E.max())) >= len(in_degree_N):
        raise ValueError(f"an edge comes from node {last} of {len(in_degree_N)}")


def _check(graph: Graph, columns: Columns) -> None:
    where = f"graph of prompt {graph.prompt_id!r}"
    sizes = {"prompt": 1, "node": len(graph.nodes), "edge": int(graph.indptr[-1])}
    for name, values in columns.items():
        column = COLUMNS[name]
        if values.dtype != np.dtype(column.dtype):
            raise StoreError(f"{where}: {name} is {values.dtype}, not {np.dtype(column.dtype)}")
        if len(values) != sizes.setdefault(column.axis, len(values)):
            raise StoreError(f"{where}: {name} has {len(values)} entries for {sizes[column.axis]} of its kind")
        if column.by_layer and values.shape[1:] != (graph.num_layers,):
            raise StoreError(f"{where}: {name} has shape {values.shape} for {graph.num_layers} layers")
    if len(graph.source_E) and not 0 <= int(graph.source_E.min()) <= int(graph.source_E.max()) < len(graph.nodes):
        raise StoreError(
            f"{where}: sources run from {graph.source_E.min()} to {graph.source_E.max()}, "
            f"but there are {len(graph.nodes)} nodes"
        )
