"""Commands that exchange graphs with other tools: export."""

from __future__ import annotations

from typing import Annotated

import tyro

from ..text import printable
from .app import StorePath

ExportFormat = Annotated[str | None, tyro.conf.arg(metavar="npz|graphml|parquet|json")]


def export(path: StorePath, prompt: str, out: str, format: ExportFormat = None) -> int:
    """Write one graph to a file for other tools.

    Args:
        path: Directory or URL of a store.
        prompt: Id of the prompt.
        out: File to write, which ends in the name of a format, as in graph.npz. An existing file is replaced. A name
            that ends in .parquet is a new folder with nodes.parquet and edges.parquet.
        format: Format of the file. Its name says it already, and both must agree. npz is a NumPy archive with a dense
            matrix; graphml is XML for tools that show and measure graphs; json is the node-link form of networkx.
    """
    from ..export.formats import check_export, export_graph
    from ..store.reader import open_store

    check_export(out, format)
    store = open_store(path)
    notes = export_graph(store.graph(prompt), out, format, store.context(prompt))
    print("\n".join(map(printable, [f"wrote {out}", *notes])))
    return 0
