"""EvaluationWorker: evaluates stored graphs with the model of one process, and writes the results. It does not use Ray.

Executors treat it like any worker. A unit names a prompt, whose graph is read from the store. Results are durable as
soon as they are written: nothing is committed. If a worker dies after it wrote and before it replied, its results are
still found in the store.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..artifacts.files_in_use import Content, What
from ..config import JobConfig
from ..graph.graph import Graph
from ..plan.work import Outcome, WorkUnit
from ..runtime.prompt_attempt import LoadedModel, PromptAttempts
from ..runtime.reply import WorkerReply
from ..store.backend.retry import retry_until
from ..store.evaluations import EvaluatedPrompt, new_check, write_check
from ..store.format.digest import graph_digest
from ..store.reader import open_store
from ..table import Table
from ..transcoder.shard import Shard
from .metric import Metric

CASES_AT_ONCE = (32, 4)
"""Number of interventions in one pass, and in a second attempt if memory did not suffice."""


class EvaluationWorker:
    """Evaluates graphs one after another and writes the results of several at a time, as the limits for parts say."""

    loaded: LoadedModel

    def __init__(
        self,
        metric: Metric,
        made_by: Mapping[str, Any],
        config: JobConfig,
        threads: int,
        shard: Shard = Shard(),  # noqa: B008  (Shard is frozen)
        expected: Mapping[What, Content] | None = None,
        number: int = 0,
    ) -> None:
        """Load the model and transcoders and open the store.

        Raises InputError as `LoadedModel` does, and StoreError if the store cannot be read.
        """
        self._metric, self._made_by, self._config, self._number = metric, made_by, config, number
        self.loaded = LoadedModel(config, threads, shard, expected)
        self._attempts = PromptAttempts(self.loaded, self._evaluate, lambda unit: CASES_AT_ONCE, "read")
        self._store = open_store(config.store.store)
        self._results: list[tuple[EvaluatedPrompt, Table]] = []
        self._first_added = time.monotonic()
        self.loaded.phases.start("idle")

    def trace(self, *units: WorkUnit) -> WorkerReply:
        """Evaluate graphs, and write the results if there are enough of them.

        Only writing raises StoreError; FilesChanged is raised if the results may be those of another model.
        """
        outcomes = self._attempts.run(units)
        return WorkerReply(outcomes, durable=self._write() if self._full else ())

    def flush(self) -> WorkerReply:
        """Write the results that are not written yet. Raises StoreError, FilesChanged."""
        return WorkerReply(durable=self._write())

    @property
    def _full(self) -> bool:
        limits, seconds = self._config.store, time.monotonic() - self._first_added
        return len(self._results) >= limits.part_prompts or seconds >= limits.part_seconds

    def _evaluate(self, unit: WorkUnit, cases_at_once: int, outcome: Outcome) -> Outcome:
        """Evaluate the graph of one prompt, keep the results, and return the outcome with the graph's size."""
        prompt_id, loaded = unit.prompt.id, self.loaded
        graph = self._graph(prompt_id)
        loaded.phases.start(self._metric.name)
        table = self._metric.evaluate_graph(graph, loaded.model, loaded.transcoders, cases_at_once)
        if not self._results:
            self._first_added = time.monotonic()
        asked = self._store.entry(prompt_id).asked
        self._results.append((EvaluatedPrompt(prompt_id, asked, graph_digest(graph).hex()), table))
        return replace(outcome, num_nodes=len(graph.nodes), num_edges=graph.num_edges)

    def _graph(self, prompt_id: str) -> Graph:
        found: list[Graph] = []
        retry_until(lambda: found.append(self._store.graph(prompt_id)), self._config.store.retry_seconds)
        return found[0]

    def _write(self) -> tuple[str, ...]:
        """Write the results as one object and return the ids of their prompts."""
        if not self._results:
            return ()
        self.loaded.files.check()
        self.loaded.phases.start("store")
        prompts, tables = zip(*self._results, strict=True)
        made_by = {**self._made_by, "worker": self.loaded.name}
        check = new_check(self._metric.name, self._metric.settings, made_by, prompts, tables, self._number)
        write_check(self._store.root, check, self._config.store.retry_seconds)
        self._results = []
        self.loaded.phases.start("idle")
        return tuple(prompt.id for prompt in prompts)
