"""Metric: what is computed from each graph. It is plain, picklable data and imports torch only where it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..graph.graph import Graph
from ..table import Table

if TYPE_CHECKING:
    from ..model.model import Model
    from ..transcoder.base import Transcoders


class Metric(Protocol):
    """The interface of one kind of evaluation."""

    @property
    def kind(self) -> str:
        """Name of the folder for the results."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        ...

    def rows(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return the results for one graph. `cases_at_once` trades memory for speed and changes nothing else."""
        ...
