"""Metric: what is found out of each graph. Plain picklable data; imports torch where it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..graph.graph import Graph
from ..table import Table

if TYPE_CHECKING:
    from ..model.model import Model
    from ..transcoder.base import Transcoders


class Metric(Protocol):
    """One kind of figures."""

    @property
    def kind(self) -> str:
        """Name of the folder for its figures."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides the figures beside graph and model, for JSON."""
        ...

    def rows(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Figures of one graph. `cases_at_once` trades memory for speed and changes nothing else."""
        ...
