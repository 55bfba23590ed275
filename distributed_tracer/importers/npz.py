"""Import of the NumPy archives that `export_npz` writes.

Such an archive has neither texts nor names, scores or metadata, and it does not say which of the errors without
edges were pruned. Axes: A active feature, F feature, K target, M node in dense order, N node, E edge.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from ..errors import GraphFileError
from ..graph.graph import Target
from ..graph.nodes import ActiveTable, NodeKind, NodeTable
from ..text import short
from .archives import archive_errors
from .dense_matrix import BLOCK_BYTES, edges_of
from .imported_graph import MAX_LAYERS, ImportedGraph, assemble
from .token_names import NameTokens, unnamed

_ARRAYS = {
    "tokens": ("int64", 1),
    "target_ids": ("int64", 1),
    "target_probs": ("float32", 1),
    "active_features": ("int64", 2),
    "activation_values": ("float32", 1),
    "selected_features": ("int64", 1),
    "adjacency": ("float32", 2),
    "constant": ("float32", 1),
    "influence": ("float32", 1),
}
"""dtype and number of axes of every array."""
MAX_VECTOR_BYTES = 2**30
"""Largest array beside the matrix that is read."""


def read_npz(path: Path, name_tokens: NameTokens = unnamed) -> ImportedGraph:
    """Return the graph in a NumPy archive. Raises GraphFileError.

    Targets are taken to be at the last position. A constant of 0 is taken for a missing one.
    """
    with archive_errors("a NumPy archive"), zipfile.ZipFile(path) as archive:
        return _read(archive, name_tokens)


def _read(archive: zipfile.ZipFile, name_tokens: NameTokens) -> ImportedGraph:
    names, expected = {entry.filename for entry in archive.infolist()}, {f"{name}.npy" for name in _ARRAYS}
    if names != expected:
        wrong = min(names ^ expected)
        raise GraphFileError(f"its arrays are not those of an exported graph: {short(wrong)} is missing or too many")
    arrays = {name: _vector(archive, name) for name in _ARRAYS if name != "adjacency"}
    tokens, selected_F = arrays["tokens"], arrays["selected_features"]
    active = _active(arrays["active_features"], arrays["activation_values"])
    _check_range("selected_features", selected_F, len(active))
    _check_range("tokens", tokens, 2**31, -1)
    _check_range("target_ids", arrays["target_ids"], 2**31, -1)
    num_positions, num_targets, size = len(tokens), len(arrays["target_ids"]), len(arrays["influence"])
    num_layers, rest = divmod(size - len(selected_F) - num_targets, max(1, num_positions))
    num_layers -= 1
    lengths = len(arrays["target_probs"]) == num_targets and len(arrays["constant"]) == size
    if rest or not num_positions or not 0 <= num_layers <= MAX_LAYERS or not lengths:
        raise GraphFileError(
            f"its arrays contradict each other: {len(selected_F)} features, {num_positions} tokens and {num_targets} "
            f"targets of {size} nodes"
        )
    edges = edges_of(_matrix_rows(archive, size))
    positions_K = np.full(num_targets, num_positions - 1, dtype=np.int32)
    features = active.take(selected_F)
    nodes = NodeTable.build(features, num_layers, tokens.astype(np.int32), positions_K)
    connected_M = arrays["influence"] != 0
    connected_M[edges.source_E] = connected_M[edges.target_E] = True
    kept_M = connected_M | (nodes.kind_N != NodeKind.ERROR)
    place_M = np.cumsum(kept_M) - 1
    rows_M = (nodes.kind_N == NodeKind.FEATURE) | (nodes.kind_N == NodeKind.TARGET)
    constant_M = np.where(rows_M & (arrays["constant"] != 0), arrays["constant"], np.float32("nan"))
    labels = name_tokens(arrays["target_ids"].tolist())
    graph = assemble(
        text=None,
        tokens=tokens.tolist(),
        token_strings=name_tokens(tokens.tolist()),
        num_layers=num_layers,
        targets=[
            Target(label, token, weight, num_positions - 1, float("nan"))
            for label, token, weight in zip(
                labels, arrays["target_ids"].tolist(), arrays["target_probs"].tolist(), strict=True
            )
        ],
        nodes=nodes.take(kept_M),
        source_E=place_M[edges.source_E],
        target_E=place_M[edges.target_E],
        weight_E=edges.weight_E,
        influence_N=arrays["influence"][kept_M],
        rows={"constant_N": constant_M[kept_M]},
        active=active,
    )
    return ImportedGraph(graph, "file", True)


def _active(sites_A3: npt.NDArray[np.int64], activation_A: npt.NDArray[np.float32]) -> ActiveTable:
    if sites_A3.shape[1] != 3 or len(sites_A3) != len(activation_A):
        raise GraphFileError("its active_features are no triples, one for each of its activation_values")
    layer_A, position_A, feature_A = sites_A3.T
    _check_range("layers of active_features", layer_A, MAX_LAYERS)
    _check_range("positions and indices of active_features", sites_A3[:, 1:], 2**31)
    order = np.lexsort((feature_A, position_A, layer_A))
    if (order != np.arange(len(order))).any():
        raise GraphFileError("its active_features are not in order")
    return ActiveTable(layer_A.astype(np.int16), position_A.astype(np.int32), feature_A.astype(np.int32), activation_A)


def _check_range(what: str, values: npt.NDArray[np.int64], end: int, least: int = 0) -> None:
    if values.size and not least <= int(values.min()) <= int(values.max()) < end:
        raise GraphFileError(f"its {what} are {values.min()} to {values.max()}, expected {least} to {end - 1:,}")


def _vector(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Return a whole array, whose size is checked before its numbers are decompressed."""
    with archive.open(f"{name}.npy") as file:
        shape = _shape(file, name)
        count = int(np.prod([*shape, 1], dtype=object))
        dtype = np.dtype(_ARRAYS[name][0])
        if count * dtype.itemsize > MAX_VECTOR_BYTES:
            raise GraphFileError(
                f"its {name} would have {count:,} numbers; at most {MAX_VECTOR_BYTES:,} bytes are read"
            )
        return np.frombuffer(_exactly(file, count * dtype.itemsize, name), dtype=dtype).reshape(shape).copy()


def _matrix_rows(archive: zipfile.ZipFile, size: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the matrix [size, size] as blocks of rows, as the archive is decompressed."""
    with archive.open("adjacency.npy") as file:
        if _shape(file, "adjacency") != (size, size):
            raise GraphFileError(f"its adjacency is not a matrix of {size} nodes")
        step = max(1, BLOCK_BYTES // (8 * max(1, size)))
        for first in range(0, size, step):
            rows = min(step, size - first)
            data = _exactly(file, 4 * rows * size, "adjacency")
            yield np.frombuffer(data, dtype=np.float32).reshape(rows, size)


def _shape(file: Any, name: str) -> tuple[int, ...]:
    """Read the header of an array, and return its shape."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # about headers of Python 2, which no exported graph has
            version = npy.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            shape, fortran, dtype = npy.read_array_header_1_0(file, max_header_size=10_000)
    except Exception as error:  # the header is a text in Python, and its parser raises errors of many classes
        raise GraphFileError(f"its array {name} has a malformed header: {type(error).__name__}") from error
    expected, axes = _ARRAYS[name]
    if dtype != np.dtype(expected) or len(shape) != axes or (fortran and axes > 1):
        raise GraphFileError(f"its array {name} is {dtype} with {len(shape)} axes, expected {expected} with {axes}")
    if min(shape, default=0) < 0:
        raise GraphFileError(f"its array {name} has a negative size: {shape}")
    return tuple(map(int, shape))


def _exactly(file: Any, num_bytes: int, name: str) -> bytes:
    data = file.read(num_bytes)
    if len(data) < num_bytes:
        raise GraphFileError(f"its array {name} is cut short: {len(data):,} of {num_bytes:,} bytes")
    return bytes(data)
