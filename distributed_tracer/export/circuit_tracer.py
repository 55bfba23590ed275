"""Export of one graph as the `.pt` file of circuit-tracer, which its `Graph.from_pt` reads.

circuit-tracer is not needed, and neither is torch. Axes: N node, E edge, A active feature, P position.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..text import short
from .atomic import new_file
from .model_config import model_config
from .torch_file import Instance, Tensor, write_torch_file
from .viewer import scan_of

_CONFIG = ("circuit_tracer.utils.tl_nnsight_mapping", "UnifiedConfig")
_TARGET = ("circuit_tracer.attribution.targets", "LogitTarget")
_BLOCK_BYTES = 2**26
_LARGE = 2**30
_SPARE_BYTES = 2**24
"""Room for all that is not the matrix."""


def write_circuit_tracer(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write a graph; return what is to be said about it.

    The matrix has the selected features, every error layer by layer, tokens and targets; nodes that were pruned have
    rows and columns of zeros. It is written row by row and never in memory. What the model's config.json would say is
    None if there is none. Raises ConfigError if the disk has no room for the matrix, and for a target that is not a
    token if the size of the vocabulary is not known.
    """
    size = graph.dense_size()
    num_bytes = 4 * size**2
    free = shutil.disk_usage(destination.parent).free
    if num_bytes + _SPARE_BYTES > free:
        raise ConfigError(
            f"the matrix of {size:,} nodes takes {num_bytes:,} bytes, and {destination.parent} has {free:,} free: "
            "export to another disk, or as parquet, graphml or viewer, which have the edges alone"
        )
    config = model_config(context.model)
    vocab_size = config["d_vocab"]
    with new_file(destination) as file:
        write_torch_file(
            file,
            {
                "input_string": "".join(graph.token_strings) if graph.text is None else graph.text,
                "adjacency_matrix": Tensor((size, size), np.float32, _rows(graph)),
                "cfg": Instance(*_CONFIG, state={**config, "n_layers": graph.num_layers}),
                "active_features": _active_features(graph),
                "logit_targets": [
                    Instance(*_TARGET, args=(target.label, _vocabulary_index(graph, number, vocab_size)))
                    for number, target in enumerate(graph.targets)
                ],
                "logit_probabilities": np.array([target.weight for target in graph.targets], dtype=np.float32),
                "vocab_size": vocab_size,
                "input_tokens": graph.tokens_P.astype(np.int64),
                "selected_features": graph.selected_features().astype(np.int64),
                "activation_values": graph.active.activation_A.astype(np.float32),
                "scan": scan_of(context.transcoders) or None,
            },
        )
    notes = [f"the matrix takes {num_bytes:,} bytes of memory when it is read"] if num_bytes >= _LARGE else []
    if vocab_size is None:
        notes.append(
            f"the size of the model is not in the file: there is no config.json of {short(context.model)} here"
        )
    return notes


def _active_features(graph: Graph) -> npt.NDArray[np.int64]:
    active = graph.active
    return np.stack([active.layer_A, active.position_A, active.feature_A], axis=1).astype(np.int64)


def _vocabulary_index(graph: Graph, target: int, vocab_size: Any) -> int:
    """Return a target's token, or what circuit-tracer has instead of one: the size of the vocabulary and a number."""
    token_id = graph.targets[target].token_id
    if token_id >= 0:
        return token_id
    if vocab_size is None:
        raise ConfigError(
            f"target {short(graph.targets[target].label)} is not a token, and circuit-tracer numbers such targets from "
            "the size of the vocabulary on, which is not known here: put the model's config.json where the run had it"
        )
    return int(vocab_size) + target


def _rows(graph: Graph) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the rows of `Graph.adjacency` in blocks."""
    place_N, size = graph.dense_index_N(), graph.dense_size()
    num_rows = max(1, _BLOCK_BYTES // (4 * max(size, 1)))
    for first in range(0, size, num_rows):
        rows = np.zeros((min(num_rows, size - first), size), dtype=np.float32)
        low, high = np.searchsorted(place_N, (first, first + len(rows)))  # nodes are in the dense order
        part = slice(int(graph.indptr[low]), int(graph.indptr[high]))
        target_E = np.repeat(place_N[low:high] - first, np.diff(graph.indptr[low : high + 1]))
        rows[target_E, place_N[graph.source_E[part]]] = graph.weight_E[part]
        yield rows
