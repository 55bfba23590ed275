"""Endpoints of downloads: a graph in the formats of `export`, and a brief of it for programs and agents."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...export.formats import FORMATS, Format
from ...export.safe_names import safe_name
from ...report.brief import DEFAULT, LEAST, brief_summary, brief_text
from ..endpoint import Endpoint, File, Json, Param, Text
from ..node_names import parse_key
from ..served_store import ServedStore
from .graphs import PROMPT

MOST_BYTES = 256 << 20
"""Largest file that is made; `distributed-tracer export` has no such limit."""
_BYTES_PER_EDGE = {"graphml": 150, "json": 100, "viewer": 120}
"""Upper estimates for formats that write every edge as text, before anything is written."""
_TYPES = {
    ".json": "application/json",
    ".graphml": "application/xml",
    ".html": "application/octet-stream",  # a page of another origin's trust: saved, never shown here
    ".svg": "application/octet-stream",
    ".png": "image/png",
}
WORDS = {
    "html": "A page to mail: one file that opens anywhere, without network.",
    "viewer": "JSON of graph viewers: circuit-tracer, Neuronpedia, Anthropic's.",
    "circuit-tracer": "The .pt file of circuit-tracer.",
    "npz": "NumPy arrays with a dense matrix.",
    "parquet": "Tables of nodes and edges for pandas, Polars, DuckDB: a zip of two files.",
    "graphml": "XML for networkx, igraph, Gephi, Cytoscape.",
    "json": "Node-link JSON for networkx and D3.",
    "svg": "A drawing of the whole graph, with outlines.",
    "png": "A drawing of the whole graph, in pixels.",
}
_MOST_NODES = 200


def formats(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the formats of downloads, and why one cannot be written here."""
    found = []
    with tempfile.TemporaryDirectory(prefix="distributed_tracer_") as folder:
        for name, said in WORDS.items():
            ending = ".zip" if name == "parquet" else FORMATS[name].ending
            try:
                FORMATS[name].check(Path(folder) / f"graph{FORMATS[name].ending}")
                missing = ""
            except ConfigError as error:
                missing = str(error)
            found.append({"name": name, "ending": ending, "said": said, "missing": missing})
    return Json({"formats": found})


def export(served: ServedStore, query: Mapping[str, Any]) -> File:
    """Return a graph as a file. Nothing stays on this machine's disk."""
    prompt, format_ = query["prompt"], FORMATS[query["format"]]
    graph, context = served.graph(prompt), served.context(prompt)
    _check_size(format_.name, len(graph.nodes), graph.num_edges)
    with tempfile.TemporaryDirectory(prefix="distributed_tracer_") as folder:
        path = Path(folder) / f"{safe_name(prompt)}{format_.ending}"
        format_.check(path)
        format_.write(graph, path, context)
        content = _zipped(path) if path.is_dir() else _read(path)
    name = f"{path.stem}.zip" if format_.name == "parquet" else path.name
    return File(content, _type_of(format_), name)


def summary(served: ServedStore, query: Mapping[str, Any]) -> Json | Text:
    """Return a brief of a graph or of some of its nodes, within a budget."""
    prompt = query["prompt"]
    graph, context = served.graph(prompt), served.context(prompt)
    nodes = [parse_key(text) for text in query["node"]] or None
    if query["characters"] is not None and query["tokens"] is not None:
        raise ConfigError("characters and tokens exclude each other: give one budget")
    unit = "characters" if query["tokens"] is None else "tokens"
    budget = query[unit] if query[unit] is not None else DEFAULT
    if query["format"] == "text":
        return Text(brief_text(graph, context, budget, nodes, unit))  # type: ignore[arg-type]
    return Json(brief_summary(graph, context, budget, nodes, unit))  # type: ignore[arg-type]


def _check_size(name: str, num_nodes: int, num_edges: int) -> None:
    """Refuse what would be larger than MOST_BYTES, before it is written: dense matrices above all."""
    dense = {"npz": 4 * num_nodes**2, "circuit-tracer": 4 * num_nodes**2}
    expected = dense.get(name, _BYTES_PER_EDGE.get(name, 0) * num_edges)
    if expected > MOST_BYTES:
        raise _too_large(name, expected)


def _read(path: Path) -> bytes:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise _too_large(path.suffix, size)
    return path.read_bytes()


def _zipped(folder: Path) -> bytes:
    found = BytesIO()
    with zipfile.ZipFile(found, "w") as file:  # stored: Parquet is compressed already
        for path in sorted(folder.iterdir()):
            file.writestr(zipfile.ZipInfo(f"{folder.stem}/{path.name}"), _read(path))
    return found.getvalue()


def _too_large(what: str, size: int) -> ConfigError:
    return ConfigError(
        f"the graph as {what} takes about {size:,} bytes, and this server makes files of at most {MOST_BYTES:,}: "
        "`distributed-tracer export` has no such limit"
    )


def _type_of(format_: Format) -> str:
    return "application/zip" if format_.name == "parquet" else _TYPES.get(format_.ending, "application/octet-stream")


_SUMMARY = (
    PROMPT,
    Param("characters", f"Largest number of characters; default: {DEFAULT:,}.", "integer", least=LEAST["characters"]),
    Param("tokens", "Largest number of tokens instead, which are estimated.", "integer", least=LEAST["tokens"]),
    Param("node", f"Nodes, of which the brief is then: feature:2:10:46. At most {_MOST_NODES}.", "strings"),
    Param("format", "Form of the reply.", default="json", choices=("json", "text")),
)
ENDPOINTS = (
    Endpoint("/export_formats", "Formats in which a graph can be downloaded.", formats, tags=("exports",)),
    Endpoint(
        "/export",
        f"A graph as a file of at most {MOST_BYTES >> 20} MiB, in a format of `distributed-tracer export`.",
        export,
        (PROMPT, Param("format", "Name of the format.", required=True, choices=tuple(WORDS))),
        returns="application/octet-stream",
        alone=True,
        tags=("exports",),
    ),
    Endpoint(
        "/summary",
        "A brief of a graph within a budget, for programs and language-model agents.",
        summary,
        _SUMMARY,
        slow=True,
        tags=("exports",),
    ),
    Endpoint(
        "/prompts/{prompt:path}/summary",
        "The same brief, with the prompt in the path: ids with % or a trailing / need the parameter instead.",
        summary,
        _SUMMARY,
        slow=True,
        tags=("exports",),
    ),
)
