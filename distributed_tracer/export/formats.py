"""The formats in which graphs are exported: which ending each has, where it can be written, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ConfigError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..names import unknown
from .atomic import check_file, check_folder
from .circuit_tracer import write_circuit_tracer
from .graphml import write_graphml
from .node_link import write_node_link
from .npz import write_npz
from .page import write_page
from .parquet import check_parquet, write_parquet
from .pictures import check_drawing, write_png, write_svg
from .viewer import Viewer, write_folder_file


@dataclass(frozen=True)
class Format:
    """One format. `check` raises ConfigError for a path that cannot be written. `write` returns lines that say what
    the file lacks. `finish` is called with a folder and all files of the format in it. `variant` says which of several
    files of the format is written, where there are several."""

    name: str
    ending: str
    check: Callable[[Path], None]
    write: Callable[[Graph, Path, GraphContext], list[str]]
    finish: Callable[[Path, Iterable[Path]], None] | None = None
    variant: str = ""


def _check_parquet_folder(path: Path) -> None:
    check_folder(path)
    check_parquet()


FORMATS = {
    format.name: format
    for format in (
        Format("npz", ".npz", check_file, write_npz),
        Format("graphml", ".graphml", check_file, write_graphml),
        Format("parquet", ".parquet", _check_parquet_folder, write_parquet),
        Format("json", ".json", check_file, write_node_link),
        Format("viewer", ".json", check_file, Viewer().write, write_folder_file),
        Format("circuit-tracer", ".pt", check_file, write_circuit_tracer),
        Format("html", ".html", check_file, write_page),
        Format("svg", ".svg", check_drawing, write_svg),
        Format("png", ".png", check_drawing, write_png),
    )
}
"""Every format, by name. Of several with one ending, the first is meant by a file's name alone."""
COLOURED = ("html", "svg", "png")
"""Formats that show the communities of a context as colours."""


def export_graph(
    graph: Graph, path: str | Path, format: str | None = None, context: GraphContext | None = None
) -> list[str]:
    """Write a graph to `path` atomically, in the format that its ending says, or in `format`: `FORMATS` has them all.

    `context` is what else is known, as in `Store.context`; some formats write labels and groups from it. Return lines
    that say what could not be kept; mostly none. Raises ConfigError if `format` is given and is not the format of the
    ending, and for a path that cannot be written.
    """
    chosen = check_export(path, format)
    return [*chosen.write(graph, Path(path), context or GraphContext()), *(others(chosen) if format is None else [])]


def check_export(path: str | Path, format: str | None = None) -> Format:
    """Return the format in which `export_graph` would write a file, or raise its ConfigError, before any work."""
    chosen = _format(path, format)
    chosen.check(Path(path))
    return chosen


def format_named(name: str) -> Format:
    """Return the format of this name. Raises ConfigError for an unknown one."""
    if name not in FORMATS:
        raise ConfigError(unknown("format", name, FORMATS))
    return FORMATS[name]


def for_viewer(format: Format, viewer: Viewer) -> Format:
    """Return the format `viewer` as it is written for one viewer. Raises ConfigError for another format."""
    if format.name != "viewer":
        raise ConfigError(f"only the format viewer is written for a viewer: {format.name} is the same for all readers")
    return replace(format, write=viewer.write, variant=repr(viewer))


def others(format: Format) -> list[str]:
    """Return a line that says which other formats have the ending of this one, if there are any."""
    names = [other.name for other in FORMATS.values() if other.ending == format.ending and other is not format]
    return [f"{format.ending} is {format.name} here: --format {' or '.join(names)} is another"] if names else []


def _format(path: str | Path, name: str | None) -> Format:
    ending = Path(path).suffix.lower()
    for format in FORMATS.values() if name is None else [format_named(name)]:
        if format.ending == ending:
            return format
    if name is None:
        endings = " or ".join(dict.fromkeys(format.ending for format in FORMATS.values()))
        raise ConfigError(f"the name of an exported graph ends in {endings}, unlike {str(path)!r}")
    known = ", ".join(f"{format.name} ({format.ending})" for format in FORMATS.values())
    raise ConfigError(
        f"the name of a graph in the format {name} ends in {FORMATS[name].ending}, unlike {str(path)!r}; "
        f"the formats are {known}"
    )
