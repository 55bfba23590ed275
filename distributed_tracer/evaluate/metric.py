"""Metric: what is computed from each graph. It is plain, picklable data and imports torch only where it computes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..graph.graph import Graph
from ..table import Table

if TYPE_CHECKING:
    from ..model.model import Model
    from ..transcoder.base import Transcoders


class Metric(Protocol):
    """The interface of one kind of evaluation."""

    @property
    def name(self) -> str:
        """Name of the metric, in lower-case letters and `_`: the folder for its results, and a phase of the worker."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        ...

    def evaluate_graph(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return the results for one graph. `cases_at_once` trades memory for speed and changes nothing else."""
        ...


@dataclass(frozen=True)
class _FormerMetric:
    """A metric that was written for the version before."""

    name: str
    metric: Any

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        settings: Mapping[str, Any] = self.metric.settings
        return settings

    def evaluate_graph(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return the results for one graph."""
        found: Table = self.metric.rows(graph, model, transcoders, cases_at_once)
        return found


def present_metric(metric: Any) -> Metric:
    """Return a metric with the present names, and warn if its class has the former ones: `kind` and `rows`."""
    names = {"rows", "evaluate_graph"}
    owner = next((cls for cls in type(metric).__mro__ if names & vars(cls).keys()), None)
    if owner is None or "evaluate_graph" in vars(owner):
        present: Metric = metric
        return present
    warnings.warn(
        f"{owner.__name__}: the members kind and rows of a metric are now name and evaluate_graph",
        DeprecationWarning,
        stacklevel=5,
    )
    return _FormerMetric(metric.kind, metric)
