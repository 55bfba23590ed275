"""Export of one graph as a dense numpy archive, for tools that need a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from .atomic import check_file, new_file


def export_npz(graph: Graph, path: str | Path) -> None:
    """Write a graph to `path` atomically, as int64 and float32 arrays. Raises ConfigError if it does not end in .npz.

    `tokens [P]`; `target_ids [K]` (-1 where a target is not one token), `target_probs [K]` (the targets' weights);
    `active_features [A, 3]` (layer, position, feature), `activation_values [A]`, `selected_features [F]` (indices into
    the active ones); `adjacency [M, M]` (row = explained node; order: selected features, errors layer-major, tokens,
    targets); in that order `constant [M]` (0 where there is none) and `influence [M]` (0 for pruned nodes).
    """
    check_npz(path)
    write_npz(graph, Path(path), GraphContext())


def write_npz(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write a graph as `export_npz` does; return what is to be said about it: nothing."""
    with new_file(destination) as file:
        # Numbers alone: nothing is pickled. Some versions of numpy store `allow_pickle` as one more array.
        np.savez_compressed(file, **npz_arrays(graph))  # type: ignore[arg-type]  # none has a parameter's name
    return []


def check_npz(path: str | Path) -> None:
    """Raise ConfigError for a file that `export_npz` would not write, before any work is done for it."""
    destination = Path(path)
    if destination.suffix.lower() != ".npz":
        raise ConfigError(f"a graph is exported as a numpy archive, whose name ends in .npz, unlike {str(path)!r}")
    check_file(destination)


def npz_arrays(graph: Graph) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays that `export_npz` writes, by name."""
    active = graph.active
    index_N = graph.dense_index_N()
    constant_M, influence_M = np.zeros((2, graph.dense_size()), dtype=np.float32)
    constant_M[index_N] = np.nan_to_num(graph.constant_N, nan=0.0)
    influence_M[index_N] = graph.influence_N
    return {
        "tokens": graph.tokens_P.astype(np.int64),
        "target_ids": np.array([target.token_id for target in graph.targets], dtype=np.int64),
        "target_probs": np.array([target.weight for target in graph.targets], dtype=np.float32),
        "active_features": np.stack([active.layer_A, active.position_A, active.feature_A], axis=1).astype(np.int64),
        "activation_values": active.activation_A,
        "selected_features": graph.selected_features().astype(np.int64),
        "adjacency": graph.adjacency(),
        "constant": constant_M,
        "influence": influence_M,
    }
