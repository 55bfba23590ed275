"""Export of one graph as Parquet: a folder with nodes.parquet and edges.parquet."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from ..documents.json_text import to_json_types
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..table_folder import import_parquet
from .atomic import new_folder
from .node_labels import as_objects

_SCHEMA_KEY = b"distributed_tracer"


def check_parquet() -> None:
    """Raise ConfigError if pyarrow is not installed."""
    import_parquet("writing Parquet")


def write_parquet(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write the tables of `Graph.to_arrow` into a new folder; return what is to be said about it: nothing.

    If the context has labels, nodes have a column `labels`: a list of structs with `text` and `source`. The metadata of
    both files has `Graph.attributes` as JSON under the key `distributed_tracer`. In columns, half
    surrogates are replaced as in the store's tables.
    """
    parquet = import_parquet("writing Parquet")
    described = {_SCHEMA_KEY: json.dumps(to_json_types(graph.attributes()), allow_nan=False).encode("ascii")}
    with new_folder(destination) as folder:
        tables = graph.to_arrow()
        if len(context.labels):
            tables = tables._replace(nodes=_with_labels(graph, tables.nodes, context.labels))
        for name, table in tables._asdict().items():
            parquet.write_table(table.replace_schema_metadata(described), folder / f"{name}.parquet")
    return []


def _with_labels(graph: Graph, nodes: Any, labels: Labels) -> Any:
    """Return the table of nodes with a column of labels."""
    arrow = import_module("pyarrow")
    struct = arrow.struct([("text", arrow.string()), ("source", arrow.string())])
    values = [
        [{key: text.encode("utf-8", "replace").decode() for key, text in label.items()} for label in of_node]
        for of_node in (as_objects(attributes, labels) for attributes in graph.node_attributes())
    ]
    return nodes.append_column("labels", arrow.array(values, arrow.list_(struct)))
