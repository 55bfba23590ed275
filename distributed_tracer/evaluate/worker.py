"""EvaluationWorker: the model and transcoders of one process, and its results that are not written yet. No Ray here.

Executors treat it like any worker: a unit names a prompt, whose graph is read from the store, and a part is an object
with results. Results count as soon as they are written, so part manifests only inform the driver. If a worker dies
after writing but before it replies, its results are still found in the store.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ..artifacts.files_in_use import Content, FilesInUse, What
from ..config import JobConfig
from ..errors import FilesChanged, InputError, StoreUnavailable, WorkerLost
from ..graph.graph import Graph
from ..model.load import load_model
from ..plan.work import Outcome, WorkUnit
from ..runtime.failures import first_line, is_out_of_memory, release_memory, traceback_summary
from ..runtime.reply import WorkerReply
from ..runtime.shared_rows import HelperPool
from ..runtime.telemetry.logs import CURRENT_PROMPT
from ..runtime.telemetry.phases import PhaseTimer
from ..runtime.worker import DETERMINISTIC_MKL, ONEDNN_CACHE
from ..store.backend.retry import retry_until
from ..store.evaluations import EvaluatedPrompt, new_check, write_check
from ..store.format.digest import graph_digest
from ..store.format.part_manifest import PartManifest, PromptSummary
from ..store.object_names import file_of, id_of
from ..store.reader import open_store
from ..table import Table
from ..transcoder.base import Transcoders
from ..transcoder.load import check_fits, load_transcoders
from ..transcoder.loaded import LoadedTranscoders
from ..transcoder.shard import Shard
from .metric import Metric

CASES_AT_ONCE = (32, 4)
"""Number of interventions in one pass, and in a second attempt if memory did not suffice."""


class EvaluationWorker:
    """Evaluates graphs one after another and writes the results of several at a time, as the limits for parts say."""

    kept: LoadedTranscoders
    transcoders: Transcoders

    def __init__(
        self,
        measure: Metric,
        made_by: Mapping[str, Any],
        config: JobConfig,
        threads: int,
        part: Shard = Shard(),  # noqa: B008  (frozen)
        expected: Mapping[What, Content] | None = None,
        number: int = 0,
    ) -> None:
        """Load the model and transcoders and open the store.

        Raises InputError if the model or transcoders cannot be loaded, do not fit each other, or differ from what is
        `expected`; raises StoreError if the store cannot be read.
        """
        os.environ.setdefault(*DETERMINISTIC_MKL)
        os.environ.setdefault(*ONEDNN_CACHE)
        torch.set_num_threads(threads)
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.assistants = HelperPool()  # evaluation does not support helpers
        self._measure, self._made_by, self._config, self._number = measure, made_by, config, number
        self._phases = PhaseTimer()
        self.files = FilesInUse(config.model.model, config.transcoders.transcoders, expected)
        with self.files.loading():
            self._model = load_model(config.model.model, config.model.forward_dtype, config.model.device_map)
            self.transcoders = self.kept = load_transcoders(
                config.transcoders.transcoders, config.model.forward_dtype, self._model.input_device, part
            )
            check_fits(self.kept.shape, self._model.shape)
        self._store = open_store(config.store.store)
        self._found: list[tuple[EvaluatedPrompt, Table]] = []
        self._since = time.monotonic()
        self._phases.start("idle")

    def trace(self, *units: WorkUnit) -> WorkerReply:
        """Evaluate graphs, and write the results if there are enough of them.

        Only writing raises StoreError; FilesChanged is raised if the results may be those of another model.
        """
        outcomes = [outcome for unit in units for outcome in self._each(unit)]
        if any(outcome.status == "failed" for outcome in outcomes):
            self.files.check()  # changed files may be the reason
        limits = self._config.store
        full = len(self._found) >= limits.part_prompts or time.monotonic() - self._since >= limits.part_seconds
        return WorkerReply(tuple(outcomes), self._write() if full else None)

    def flush(self) -> WorkerReply:
        """Write the results that are not written yet. Raises StoreError, FilesChanged."""
        return WorkerReply(receipt=self._write())

    def _each(self, unit: WorkUnit) -> Iterator[Outcome]:
        first, last = (partial(self._try, unit, count) for count in CASES_AT_ONCE)
        yield (outcome := first())
        if outcome.status == "retried":
            release_memory()
            outcome = last()
            yield replace(outcome, status="failed") if outcome.status == "retried" else outcome

    def _try(self, unit: WorkUnit, cases_at_once: int) -> Outcome:
        """Make one attempt, and add the time that the worker spent in each phase since the last attempt."""
        self._phases.start("read")
        at_work = CURRENT_PROMPT.set((unit.prompt.id, self._phases))
        try:
            outcome = self._attempt(unit, cases_at_once)
        finally:
            CURRENT_PROMPT.reset(at_work)
            self._phases.start("idle")
        return replace(outcome, phase_seconds=self._phases.pop())

    def _attempt(self, unit: WorkUnit, cases_at_once: int) -> Outcome:
        started, prompt_id = time.perf_counter(), unit.prompt.id
        outcome = Outcome(
            prompt_id, "failed", attempt=unit.attempt, expected_seconds=unit.expected_seconds, worker=self.name
        )
        try:
            graph = self._graph(prompt_id)
            self._phases.start(self._measure.kind)
            table = self._measure.rows(graph, self._model, self.transcoders, cases_at_once)
        except (WorkerLost, StoreUnavailable, FilesChanged):
            raise  # these concern another worker or the whole store, not this prompt
        except InputError as error:
            return replace(outcome, phase=self._phases.now, reason=str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            if is_out_of_memory(error):
                return replace(outcome, status="retried", phase=self._phases.now, reason=reason)
            return replace(outcome, phase=self._phases.now, reason=f"{reason} ({traceback_summary(error)})")
        if not self._found:
            self._since = time.monotonic()
        asked = self._store.entry(prompt_id).asked
        self._found.append((EvaluatedPrompt(prompt_id, asked, graph_digest(graph).hex()), table))
        seconds = time.perf_counter() - started
        return replace(outcome, status="traced", seconds=seconds, num_nodes=len(graph.nodes), num_edges=graph.num_edges)

    def _graph(self, prompt_id: str) -> Graph:
        found: list[Graph] = []
        retry_until(lambda: found.append(self._store.graph(prompt_id)), self._config.store.retry_seconds)
        return found[0]

    def _write(self) -> PartManifest | None:
        if not self._found:
            return None
        self.files.check()
        self._phases.start("store")
        prompts, tables = zip(*self._found, strict=True)
        made_by = {**self._made_by, "worker": self.name}
        check = new_check(self._measure.kind, self._measure.settings, made_by, prompts, tables, self._number)
        key, data = write_check(self._store.root, check, self._config.store.retry_seconds)
        self._found = []
        self._phases.start("idle")
        entries = tuple(PromptSummary(prompt.id, 0, 0, 0, 0, 0, None, None, prompt.asked) for prompt in prompts)
        return PartManifest(id_of(file_of(key)), entries, {key: (len(data), hashlib.sha256(data).hexdigest())})
