"""The formats that are imported: how each is recognised, and the function that reads any of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..documents.json_text import parse_json
from ..documents.text import read_text
from ..errors import GraphFileError
from .circuit_tracer import read_circuit_tracer
from .imported_graph import ImportedGraph
from .node_link import read_node_link
from .npz import read_npz
from .parquet import read_parquet
from .token_names import NameTokens, unnamed
from .viewer_json import read_viewer

MAX_JSON_BYTES = 256 * 2**20
"""Largest JSON file that is read. A graph of ten thousand nodes with all its edges has 100 MB; parsing takes up to
twenty times the size of the file."""
PARQUET_FILES = ("nodes.parquet", "edges.parquet")
ENDINGS = (".pt", ".json", ".npz", ".parquet")


@dataclass(frozen=True)
class ImportOptions:
    """How files are read."""

    prefix: str = ""
    """Text that is put before the id of every prompt."""
    drop_unknown: bool = False
    """Whether to leave nodes out that graphs here cannot have, instead of refusing the file."""
    num_layers: int | None = None
    """Number of layers of the model, for files that do not say it."""


def is_graph_folder(path: Path) -> bool:
    """Whether a directory is one graph, as Parquet, and not a directory of files."""
    return all((path / name).is_file() for name in PARQUET_FILES)


def is_list_of_graphs(path: Path) -> bool:
    """Whether a file is what circuit-tracer and its viewers keep beside graphs: the list of their names."""
    return path.name == "graph-metadata.json"


def content_hash(path: Path) -> str:
    """Return the SHA-256 of what is in a file, or in the two files of a Parquet folder, in hex. Raises OSError."""
    digest = hashlib.sha256()
    for part in [path / name for name in PARQUET_FILES] if path.is_dir() else [path]:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def read_graph_file(
    path: Path,
    options: ImportOptions = ImportOptions(),
    name_tokens: NameTokens = unnamed,
) -> ImportedGraph:
    """Return the graph in a file, or in a Parquet folder, in the format that its ending and its content say.

    The id is the one that the file has, else its name without the ending. Raises GraphFileError, and OSError if the
    file cannot be read.
    """
    found, format, prompt_id = _read(path, options, name_tokens)
    return found.named(options.prefix + (prompt_id if prompt_id.strip() else path.stem), path.name, format)


def _read(path: Path, options: ImportOptions, name_tokens: NameTokens) -> tuple[ImportedGraph, str, str]:
    """Return the graph, the name of its format, and the id that the file has, or nothing."""
    ending = path.suffix.lower()
    if path.is_dir():
        return (found := read_parquet(path)), "parquet", _own_id(found)
    if ending == ".pt":
        return read_circuit_tracer(path, name_tokens), "circuit-tracer", ""
    if ending == ".npz":
        return read_npz(path, name_tokens), "npz", ""
    if ending != ".json":
        raise GraphFileError(f"its name ends in none of {', '.join(ENDINGS)}")
    document = parse_json(read_text(path, GraphFileError, MAX_JSON_BYTES), GraphFileError)
    if not isinstance(document, dict):
        raise GraphFileError("it is no JSON object")
    for key, format, read in _DOCUMENTS:
        if key in document and "nodes" in document:
            found = read(document, options)
            return found, format, _own_id(found)
    raise GraphFileError("it is no graph: it has neither nodes and links, as viewers have, nor nodes and edges")


_DOCUMENTS: tuple[tuple[str, str, Callable[[Mapping[str, Any], ImportOptions], ImportedGraph]], ...] = (
    ("links", "viewer", lambda document, options: read_viewer(document, options.drop_unknown, options.num_layers)),
    ("edges", "json", lambda document, _: read_node_link(document)),
)
"""A key that a document of each kind has, the name of the format, and the function that reads it."""


def _own_id(found: ImportedGraph) -> str:
    return found.graph.prompt_id


def files_below(path: Path) -> Iterator[Path]:
    """Yield the graphs that are directly in a directory, by name; other files are left out."""
    for entry in sorted(path.iterdir()):
        is_graph = is_graph_folder(entry) if entry.is_dir() else entry.suffix.lower() in ENDINGS[:-1]
        if is_graph and not entry.name.startswith(".") and not is_list_of_graphs(entry):
            yield entry
