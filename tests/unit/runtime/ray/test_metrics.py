"""What is handed to Ray. That Prometheus finds it is in `tests/end_to_end/test_submitted_job.py`."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest

from distributed_tracer.plan.work import Outcome
from distributed_tracer.runtime.ray.metrics import METRICS, Metrics

DASHBOARD = Path(__file__).parents[4] / "cluster" / "grafana-dashboard.json"
_SUFFIXES = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    exported = {f"ray_{name}{suffix}": name for name, metric in METRICS.items() for suffix in _SUFFIXES[metric.kind]}
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {name for query in queries for name in re.findall(r"ray_\w+", query)}
    assert used <= exported.keys()
    assert {exported[name] for name in used} == METRICS.keys()


def test_the_dashboard_takes_whatever_prometheus_there_is() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    (variable,) = (v for v in dashboard["templating"]["list"] if v["type"] == "datasource")
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {f"${{{variable['name']}}}"}
    tags = {metric.tag for metric in METRICS.values()} - {""}
    grouped = re.findall(r"by \(([^)]*)\)", json.dumps(dashboard))
    assert {tag for tags in grouped for tag in tags.split(", ")} <= tags | {"le"}


def test_counting_costs_next_to_nothing() -> None:
    metrics = Metrics(20_000)
    phases = {"idle": 0.1, "encode": 0.1, "rows": 0.1, "prune": 0.1, "store": 0.1}
    traced = Outcome("p", "traced", seconds=1.0, num_rows=100, phase_seconds=phases)
    done = Outcome("p", "done", seconds=1.0, num_rows=100, phase_seconds=phases)
    started = time.perf_counter()
    for _ in range(20_000):
        metrics.count(traced)
        metrics.count(done)
    assert (time.perf_counter() - started) / 20_000 < 100e-6  # 3 microseconds when measured


def test_where_ray_refuses_metrics_end_with_one_warning_and_the_run_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise RuntimeError("no exporter")

    monkeypatch.setattr("ray.util.metrics.Counter", refuse)
    metrics = Metrics(1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            metrics.count(Outcome("p", "traced"))
            metrics.watch([])
    assert [record.getMessage() for record in caplog.records] == ["no more metrics: RuntimeError: no exporter"]
