"""Import of the folder that `export --format parquet` writes: all columns of nodes and edges, exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..documents.json_text import parse_json
from ..documents.text import shortened
from ..errors import GraphFileError
from ..graph.columns import KINDS
from ..graph.nodes import NodeTable
from ..text import printable
from .dense_matrix import MAX_EDGES
from .imported_graph import ImportedGraph
from .node_link import graph_of_tables

_KEY = b"distributed_tracer"
_NODES = {
    "kind": None,
    "layer": "int16",
    "position": "int32",
    "feature": "int32",
    "activation": "float32",
    "row_abs_sum": "float32",
    "row_abs_sum_all": "float32",
    "row_abs_dropped": "float32",
    "constant": "float32",
    "influence": "float32",
}
_EDGES = {"source": "int32", "target": "int32", "weight": "float32"}
_MAX_ROWS_PER_BYTE = 64
"""Largest number of rows for each byte of a file: every node or edge has a number of its own, which takes space. A
small file may declare any number of equal rows, which would fill the memory."""
_LONGEST = 300


def read_parquet(folder: Path) -> ImportedGraph:
    """Return the graph in a folder of two Parquet files. Raises GraphFileError, also if pyarrow is not installed."""
    nodes, described = _columns(folder / "nodes.parquet", _NODES)
    edges, _ = _columns(folder / "edges.parquet", _EDGES)
    document = parse_json(described, GraphFileError)
    if not isinstance(document, dict):
        raise GraphFileError("its schema describes no graph")
    unknown = sorted({str(kind) for kind in nodes["kind"]} - set(KINDS))
    if unknown:
        raise GraphFileError(f"a node is of the kind {shortened(unknown[0])}; kinds are {', '.join(KINDS)}")
    table = NodeTable(
        np.array([KINDS.index(kind) for kind in nodes["kind"]], dtype=np.uint8),
        *(nodes[name] for name in ("layer", "position", "feature", "activation")),
    )
    return graph_of_tables(
        document,
        table,
        {"influence_N": nodes["influence"]},
        {
            "source_E": edges["source"].astype(np.int64),
            "target_E": edges["target"].astype(np.int64),
            "weight_E": edges["weight"],
        },
        {f"{name}_N": nodes[name] for name in ("row_abs_sum", "row_abs_sum_all", "row_abs_dropped", "constant")},
    )


def _columns(path: Path, wanted: Mapping[str, str | None]) -> tuple[dict[str, Any], bytes]:
    """Return columns of a file, as NumPy arrays or, for texts, lists; and the attributes of the graph, as JSON."""
    try:
        pyarrow_parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise GraphFileError("reading Parquet needs pyarrow: pip install 'distributed-tracer[parquet]'") from error
    if not path.is_file():
        raise GraphFileError(f"it has no {path.name}")
    try:
        with pyarrow_parquet.ParquetFile(path) as file:
            schema, num_rows = file.schema_arrow, file.metadata.num_rows
            _check(schema, num_rows, path, wanted)
            table = file.read(columns=list(wanted), use_threads=False)
        table.validate(full=True)  # otherwise an index may lead beyond the end of a dictionary
        found = {name: _values(table.column(name), dtype) for name, dtype in wanted.items()}
    except GraphFileError:
        raise
    except Exception as error:  # pyarrow raises errors of many classes for damaged files
        message = printable(" ".join(f"{type(error).__name__}: {error}".split()))[:_LONGEST]
        raise GraphFileError(f"its {path.name} cannot be read: {message}") from error
    return found, (schema.metadata or {}).get(_KEY, b"{}")


def _check(schema: Any, num_rows: int, path: Path, wanted: Mapping[str, str | None]) -> None:
    """Raise GraphFileError for columns that an exported graph does not have, before any of them is read."""
    if missing := [name for name in wanted if name not in schema.names]:
        raise GraphFileError(f"its {path.name} has no column {missing[0]}")
    if not 0 <= num_rows <= min(MAX_EDGES, _MAX_ROWS_PER_BYTE * path.stat().st_size):
        raise GraphFileError(f"its {path.name} would have {num_rows:,} rows in {path.stat().st_size:,} bytes")
    pyarrow = import_module("pyarrow")
    for name, dtype in wanted.items():
        found = schema.field(name).type
        is_text = pyarrow.types.is_dictionary(found) and pyarrow.types.is_string(found.value_type)
        is_text = is_text or pyarrow.types.is_string(found)
        if (dtype is None and not is_text) or (dtype is not None and str(found) != _ARROW[dtype]):
            raise GraphFileError(f"column {name} of its {path.name} is {printable(str(found))[:_LONGEST]}")


_ARROW = {"int16": "int16", "int32": "int32", "float32": "float"}


def _values(column: Any, dtype: str | None) -> Any | Sequence[str]:
    if dtype is None:
        return column.to_pylist()
    if column.null_count:
        raise GraphFileError("a column has missing values")
    return column.to_numpy().astype(dtype, copy=False)
