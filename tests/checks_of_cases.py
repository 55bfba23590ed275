"""Small stores to evaluate, changes that falsify them, and the jobs that evaluate them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jobs_of_cases import LOCAL, job, plain_rows

from distributed_tracer.config import RunConfig, StoreConfig
from distributed_tracer.evaluate.edge_effects import EdgeEffectMetric
from distributed_tracer.evaluate.job import EvaluationJob
from distributed_tracer.evaluate.metric import Metric
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.store.writer import PartWriter

FOUR = EdgeEffectMetric(sources=4)


def traced(directory: Path, count: int = 4, **metadata: str) -> Store:
    """Trace `count` graphs, with ids `p0` and so on, into a new store."""
    config = job(directory, [{**row, **metadata} for row in plain_rows(count)])
    run_job(config)
    return open_store(config.store.store)


def check_job(
    store: Store,
    run: RunConfig = LOCAL,
    metric: Metric = FOUR,
    **options: Any,
) -> EvaluationJob:
    return EvaluationJob(store.url, metric, run=run, **options)


def with_wrong_edges(graph: Graph, by: float = 0.01) -> Graph:
    """Return the graph with every edge wrong by `by` times the largest, so that any random sample of edges shows it."""
    weight_E = graph.weight_E.copy()
    weight_E += np.float32(by * np.abs(weight_E).max())
    return replace(graph, weight_E=weight_E)


def rewritten(store: Store, url: str, graphs: Iterable[Graph]) -> Store:
    """Make a store like `store` with other graphs under the same ids."""
    ledger, writer = Ledger(url), PartWriter(url, StoreConfig(url))
    ledger.create_or_check(store.info)
    for graph in graphs:
        writer.add(graph, store.entry(graph.prompt_id).asked)
    manifest = writer.flush()
    assert manifest is not None
    ledger.commit(manifest)
    return open_store(url)
