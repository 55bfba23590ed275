"""A folder of graphs that Neuronpedia accepts; nothing is sent."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from .atomic import check_file
from .formats import Format
from .upload_rules import upload_problems
from .viewer import Viewer


def upload_format(scan: str | None = None) -> Format:
    """Return the format of a file for Neuronpedia, which is written only if nothing about it would be refused.

    `scan` is Neuronpedia's id of the model, by default the last part of the model's name in lower case. Writing raises
    ConfigError that lists all that would be refused.
    """
    viewer = Viewer("neuronpedia", scan)

    def write(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
        notes = viewer.write(graph, destination, context)
        if problems := upload_problems(destination):
            destination.unlink()
            raise ConfigError("Neuronpedia would refuse it: " + "; ".join(problems))
        return notes

    return Format("upload", ".json", check_file, write, variant=repr(viewer))
