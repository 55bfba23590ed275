"""Export of one graph as Parquet: a folder with nodes.parquet and edges.parquet."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from .atomic import new_folder

_SCHEMA_KEY = b"distributed_tracer"


def check_parquet() -> None:
    """Raise ConfigError if pyarrow is not installed."""
    try:
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError("writing Parquet needs pyarrow: pip install 'distributed-tracer[parquet]'") from error


def write_parquet(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write the tables of `Graph.to_arrow` into a new folder; return what is to be said about it: nothing.

    The metadata of both files has `Graph.attributes` as JSON under the key `distributed_tracer`. In columns, half
    surrogates are replaced as in the store's tables.
    """
    parquet = import_module("pyarrow.parquet")
    described = {_SCHEMA_KEY: json.dumps(to_json_types(graph.attributes()), allow_nan=False).encode("ascii")}
    with new_folder(destination) as folder:
        for name, table in graph.to_arrow()._asdict().items():
            parquet.write_table(table.replace_schema_metadata(described), folder / f"{name}.parquet")
    return []
