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
    """A metric that was written for the version before: its class has `kind` or `rows`."""

    name: str
    metric: Any
    method: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        settings: Mapping[str, Any] = self.metric.settings
        return settings

    def evaluate_graph(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return the results for one graph."""
        found: Table = getattr(self.metric, self.method)(graph, model, transcoders, cases_at_once)
        return found


def present_metric(metric: Metric) -> Metric:
    """Return a metric with the present names, and warn if its class defines the former ones: `kind` and `rows`."""
    names = {former: _in_use(metric, former, now) for former, now in (("kind", "name"), ("rows", "evaluate_graph"))}
    if names.keys().isdisjoint(names.values()):
        return metric
    warnings.warn(
        f"{type(metric).__name__}: the members kind and rows of a metric are now name and evaluate_graph",
        DeprecationWarning,
        stacklevel=5,
    )
    return _FormerMetric(getattr(metric, names["kind"]), metric, names["rows"])


def _in_use(metric: Metric, former: str, now: str) -> str:
    """Return that of two names which the class of a metric defines, or the nearest of its base classes."""
    owner = next((cls for cls in type(metric).__mro__ if {former, now} & vars(cls).keys()), Metric)
    return now if now in vars(owner) else former
