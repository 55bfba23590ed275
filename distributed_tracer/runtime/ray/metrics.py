"""Metrics: a run's counts for Prometheus, exported by Ray, which names them `ray_tracer_...`.

They are kept in the driver, because the outcomes of workers contain everything. cluster/grafana-dashboard.json displays
them. Ray takes 5 to 12 microseconds for each value, so values are added up here and handed over once a second.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...plan.work import Outcome
from ...store.format.part_manifest import PartManifest

if TYPE_CHECKING:
    from .replicas import ReplicaHandle

_log = logging.getLogger(__name__)

SECONDS = 1.0
_BOUNDARIES = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


@dataclass(frozen=True)
class Metric:
    """The definition of one metric, which has at most one tag."""

    kind: Literal["Counter", "Gauge", "Histogram"]
    help: str
    tag: str = ""


METRICS = {
    "tracer_prompts_done": Metric("Counter", "Prompts whose graphs are committed"),
    "tracer_prompts_failed": Metric("Counter", "Prompts given up by workers, by phase", "phase"),
    "tracer_prompts_retried": Metric("Counter", "Times that a prompt was tried again, by phase", "phase"),
    "tracer_prompts_left": Metric("Gauge", "Prompts not done and not given up, those at workers among them"),
    "tracer_prompts_in_flight": Metric("Gauge", "Prompts that workers were asked for and have not answered"),
    "tracer_replicas": Metric("Gauge", "Workers, by state: ready or starting", "state"),
    "tracer_rows": Metric("Counter", "Rows of graphs computed, kept after pruning or not"),
    "tracer_stored_bytes": Metric("Counter", "Bytes of committed parts"),
    "tracer_phase_seconds": Metric("Counter", "Seconds of all workers together, by phase", "phase"),
    "tracer_prompt_seconds": Metric("Histogram", "Seconds per traced prompt"),
    "tracer_gpu_peak_bytes": Metric("Gauge", "Most GPU memory that a worker has used", "worker"),
}
"""All metrics by the name that is given to Ray, which exports a counter with `_total` at the end of its name."""


class Metrics:
    """Collects the metrics of one run. If Ray refuses them, they stop; they never end the run."""

    def __init__(self, num_prompts: int = 0) -> None:
        self._left = num_prompts
        self._counts: Counter[tuple[str, str]] = Counter()
        self._gauges: dict[tuple[str, str], float] = {}
        self._seconds: list[float] = []
        self._made: dict[str, Any] = {}
        self._due = 0.0
        self._refused = False

    def count(self, outcome: Outcome) -> None:
        """Count one outcome of a prompt."""
        counts = self._counts
        if self._refused:
            return
        if outcome.status == "done":
            counts["tracer_prompts_done", ""] += 1
            self._left -= 1
            return
        for phase, seconds in outcome.phase_seconds.items():
            counts["tracer_phase_seconds", phase] += seconds  # type: ignore[assignment]  # Counter is typed with int
        if outcome.status == "traced":
            counts["tracer_rows", ""] += outcome.num_rows
            self._seconds.append(outcome.seconds)
        else:
            counts[f"tracer_prompts_{outcome.status}", outcome.phase or ""] += 1
            self._left -= outcome.status == "failed"
        if outcome.gpu_peak_bytes:
            self._gauges["tracer_gpu_peak_bytes", outcome.worker] = outcome.gpu_peak_bytes

    def commit(self, manifests: Iterable[PartManifest]) -> None:
        """Count the bytes of committed parts."""
        self._counts["tracer_stored_bytes", ""] += sum(manifest.num_bytes for manifest in manifests)

    def watch(self, replicas: Iterable[ReplicaHandle]) -> None:
        """Hand the values over to Ray if a second has passed; the driver calls this in every turn of its loop."""
        if time.monotonic() < self._due:
            return
        self._look_at(list(replicas))
        self._send()

    def end(self) -> None:
        """Hand over the last values at the end of a run, while Ray is still connected."""
        self._look_at([])
        self._send()

    def _look_at(self, replicas: list[ReplicaHandle]) -> None:
        ready = sum(replica.loaded for replica in replicas)
        self._gauges["tracer_replicas", "ready"] = ready
        self._gauges["tracer_replicas", "starting"] = len(replicas) - ready
        num_in_flight = sum(len(call) for replica in replicas for call in replica.queue.calls)
        self._gauges["tracer_prompts_in_flight", ""] = num_in_flight
        self._gauges["tracer_prompts_left", ""] = self._left

    def _send(self) -> None:
        """Hand all values over to Ray; after an error, log it and send nothing more."""
        if self._refused:
            return
        self._due = time.monotonic() + SECONDS
        try:
            self._hand_over()
        except Exception as error:  # any error of Ray: a run is worth more than its metrics
            self._refused, self._due = True, float("inf")
            _log.warning("no more metrics: %s: %s", type(error).__name__, error)

    def _hand_over(self) -> None:
        if not self._made:
            self._made = {name: _make(name, metric) for name, metric in METRICS.items()}
        for (name, tag), count in self._counts.items():
            if count:
                self._made[name].inc(count, _tags(name, tag))
        for (name, tag), value in self._gauges.items():
            self._made[name].set(value, _tags(name, tag))
        for seconds in self._seconds:
            self._made["tracer_prompt_seconds"].observe(seconds)
        self._counts.clear()
        self._gauges.clear()
        self._seconds.clear()


def _make(name: str, metric: Metric) -> Any:
    from ray.util import metrics

    keys = (metric.tag,) if metric.tag else ()
    if metric.kind == "Histogram":
        return metrics.Histogram(name, description=metric.help, boundaries=_BOUNDARIES, tag_keys=keys)
    return getattr(metrics, metric.kind)(name, description=metric.help, tag_keys=keys)


def _tags(name: str, value: str) -> dict[str, str] | None:
    return {METRICS[name].tag: value} if METRICS[name].tag else None
