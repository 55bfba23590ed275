"""Worker: traces prompts with the model of one process, and fills a part of the store with their graphs.

This module does not use Ray.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..artifacts.files_in_use import Content, What
from ..config import JobConfig, TraceConfig
from ..errors import TracerError
from ..graph.graph import Graph
from ..plan.decoders import PlannedDecoders
from ..plan.work import Outcome, WorkUnit
from ..prompt import Prompt
from ..store.format.part_manifest import PartManifest
from ..trace.attribute import attribute_dense
from ..trace.edge_block_io import SerializedBlock
from ..trace.rows import RowComputer
from ..transcoder.shard import Shard
from .overlapped_writer import OverlappedWriter, overlap_helps
from .prompt_attempt import LoadedModel, PromptAttempts
from .reply import WorkerReply
from .shared_rows import HelperPool, HelperSession, SharedRowComputer


class Worker:
    """Traces prompts one after another and writes their graphs to the store, one part at a time.

    The constructor raises InputError as `LoadedModel` does.
    """

    loaded: LoadedModel
    helpers: HelperPool
    """Idle workers that were offered to this worker as helpers."""

    def __init__(
        self,
        config: JobConfig,
        threads: int,
        shard: Shard = Shard(),  # noqa: B008  (Shard is frozen)
        expected: Mapping[What, Content] | None = None,
        planned: PlannedDecoders | None = None,
    ) -> None:
        self.config = config
        self.loaded = LoadedModel(config, threads, shard, expected, planned)
        self.helpers = HelperPool()
        self._attempts = PromptAttempts(self.loaded, self._trace, self._sweep_rows, "encode", "sweep_rows")
        self._session: HelperSession | None = None
        overlap = overlap_helps(config.store.store, self.loaded.model.input_device.type, threads)
        self._writer = OverlappedWriter(config.store, self.loaded.name, self.loaded.files.check, overlap)
        self._num_rows = 0
        self.loaded.phases.start("idle")

    def trace(self, *units: WorkUnit) -> WorkerReply:
        """Trace prompts, and write the current part, or begin to, if they filled it.

        A prompt that cannot be traced is reported as a failed outcome. The reply has the manifest of a part once it is
        written, which may be several calls later. Writing a part raises StoreError or OutOfMemory, and FilesChanged if
        the traced graphs may belong to two different models: at the latest in the next call.
        """
        self._session = None
        self._writer.raise_failure()
        outcomes = self._attempts.run(units)
        return WorkerReply(outcomes, self._store(self._writer.advance))

    def flush(self) -> WorkerReply:
        """Wait for the part that is being written; if there is none, write the traced graphs as a part.

        Call this again while prompts are not durable. Raises StoreError, OutOfMemory or FilesChanged.
        """
        return WorkerReply(manifest=self._store(self._writer.flush))

    def open_session(self, prompt: Prompt, config: TraceConfig) -> str:
        """Prepare to compute rows of a prompt that another worker traces.

        Return the fingerprint of the prompt's active features, as computed by this process.
        """
        self._session = None  # release its memory before the next session allocates its own
        self._session = HelperSession(prompt, self.loaded.model, self.loaded.transcoders, config)
        return self._session.fingerprint

    def compute_batch(self, fingerprint: str, chosen_F: npt.NDArray[np.int64], number: int) -> SerializedBlock:
        """Compute batch `number` of the features `chosen_F`, for the prompt that `open_session` prepared.

        Raises TracerError if the prepared prompt has another fingerprint, and FilesChanged if weights changed.
        """
        if self._session is None or self._session.fingerprint != fingerprint:
            raise TracerError("this worker has been given something else to do")
        block = self._session.block(torch.tensor(chosen_F, device=self.loaded.transcoders.device), number)
        self.loaded.files.check()
        return block

    def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
        """Trace one prompt and return its graph as it is stored: pruned, unless `config.keep_all` is set."""
        phases = self.loaded.phases

        def open_rows(*opened: Any) -> SharedRowComputer:
            phases.start("rows")
            return SharedRowComputer(RowComputer(*opened), unit.prompt, config, self.helpers, phases.step)

        dense = attribute_dense(unit.prompt, self.loaded.model, self.loaded.transcoders, config, open_rows)
        self._num_rows = dense.num_rows
        if config.keep_all:
            return dense.whole()
        phases.start("prune")
        return dense.pruned(config.node_threshold, config.edge_threshold)

    def _store(self, write: Callable[[], PartManifest | None]) -> PartManifest | None:
        """Return what `write` returns. Its time counts as phase `store`, that of waiting for a part in flight, too."""
        self.loaded.phases.start("store")
        manifest = write()
        self.loaded.phases.start("idle")
        return manifest

    @property
    def steps(self) -> float:
        """A number that grows with every phase and every batch of rows.

        While the worker writes to the store, which has its own time limits, or is idle, the number is the clock.
        """
        phases = self.loaded.phases
        return time.monotonic() if phases.now in ("store", "idle") else float(phases.steps)

    def _sweep_rows(self, unit: WorkUnit) -> tuple[int, ...]:
        """Return the rows of a sweep to try: the configured or planned number, and then half of it."""
        setting = self.config.trace.sweep_rows
        sweep_rows = unit.sweep_rows if setting == "auto" else setting
        return (sweep_rows, sweep_rows // 2) if sweep_rows > 1 else (sweep_rows,)

    def _trace(self, unit: WorkUnit, sweep_rows: int, outcome: Outcome) -> Outcome:
        """Trace one prompt, add its graph to the part, and return the outcome with the graph's sizes and scores."""
        graph = self.graph_of(unit, replace(self.config.trace, sweep_rows=sweep_rows))
        self.loaded.phases.start("store")
        self._writer.add(graph, unit.prompt.content_hash)
        return replace(
            outcome,
            num_rows=self._num_rows,
            num_nodes=len(graph.nodes),
            num_edges=graph.num_edges,
            replacement=graph.scores.replacement,
            completeness=graph.scores.completeness,
        )
