"""Worker: holds the loaded model and transcoders of one process, and the part of the store that it is filling.

This module does not use Ray.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..artifacts.files_in_use import Content, FilesInUse, What
from ..config import JobConfig, TraceConfig
from ..errors import FilesChanged, InputError, OutOfMemory, TracerError, WorkerLost
from ..graph.graph import Graph
from ..model.load import load_model
from ..plan.work import Outcome, WorkUnit
from ..prompt import Prompt
from ..store.format.part_manifest import PartManifest
from ..store.writer import PartWriter
from ..trace.attribute import attribute_dense
from ..trace.edge_block_io import SerializedBlock
from ..trace.rows import RowComputer
from ..transcoder.base import Transcoders
from ..transcoder.load import check_fits, load_transcoders
from ..transcoder.loaded import LoadedTranscoders
from ..transcoder.shard import Shard
from .failures import first_line, is_out_of_memory, release_memory, traceback_summary
from .reply import WorkerReply
from .shared_rows import HelperPool, HelperSession, SharedRowComputer
from .telemetry.logs import CURRENT_PROMPT
from .telemetry.phases import TRACE, PhaseTimer

ONEDNN_CACHE = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
"""Environment variable and value that set how many compiled kernels oneDNN keeps. oneDNN compiles one kernel for each
size of a bfloat16 product, which takes a millisecond and 0.1 MB. By default it keeps only 1,024; prompts of many
lengths need more. oneDNN reads the variable at a process's first such product."""
DETERMINISTIC_MKL = ("MKL_CBWR", "AUTO,STRICT")
"""Environment variable and value that make MKL add in the same order for any number of threads, so that a graph does
not depend on how many workers share a machine. On AMD processors this does not hold for small products; see the setting
`threads`. MKL reads the variable at a process's first matrix product. It costs less than 5% (135 M parameters, one
core)."""


class Worker:
    """Traces prompts one after another and writes their graphs to the store, one part at a time.

    The constructor raises InputError if model or transcoders cannot be loaded, if they do not fit each other, or if
    their files differ from `expected`, the files that the run began with.
    """

    kept: LoadedTranscoders
    """The transcoders that this process holds: the whole set, or one shard."""
    transcoders: Transcoders
    """The whole set of transcoders, used for tracing. The code that creates a worker with one shard must set it."""
    assistants: HelperPool
    """Idle workers that were offered to this worker as helpers."""

    def __init__(
        self,
        config: JobConfig,
        threads: int,
        part: Shard = Shard(),  # noqa: B008  (Shard is frozen)
        expected: Mapping[What, Content] | None = None,
    ) -> None:
        os.environ.setdefault(*DETERMINISTIC_MKL)
        os.environ.setdefault(*ONEDNN_CACHE)
        torch.set_num_threads(threads)
        self.config = config
        self._phases = PhaseTimer()
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.files = FilesInUse(config.model.model, config.transcoders.transcoders, expected)
        with self.files.loading():
            self._model = load_model(config.model.model, config.model.forward_dtype, config.model.device_map)
            self.transcoders = self.kept = load_transcoders(
                config.transcoders.transcoders, config.model.forward_dtype, self._model.input_device, part
            )
            check_fits(self.kept.shape, self._model.shape)
        self.assistants = HelperPool()
        self._assisting: HelperSession | None = None
        self._part = PartWriter(config.store.store, config.store)
        self._num_rows = 0
        self._phases.start("idle")

    def trace(self, *units: WorkUnit) -> WorkerReply:
        """Trace prompts, and write the current part if they filled it.

        A prompt that cannot be traced is reported as a failed outcome. Writing the part raises StoreError or
        OutOfMemory; FilesChanged is raised if the traced graphs may belong to two different models.
        """
        self._assisting = None
        outcomes = [outcome for unit in units for outcome in self._trace(unit)]
        if any(outcome.status == "failed" for outcome in outcomes):
            self.files.check()  # changed files may be the cause of the failure
        return WorkerReply(tuple(outcomes), self.flush().receipt if self._part.full else None)

    def flush(self) -> WorkerReply:
        """Write the traced graphs as a part. Raises StoreError, OutOfMemory or FilesChanged."""
        self._phases.start("store")
        receipt = self._write()
        self._phases.start("idle")
        return WorkerReply(receipt=receipt)

    def assist(self, prompt: Prompt, config: TraceConfig) -> str:
        """Prepare to compute rows of a prompt that another worker traces.

        Return the fingerprint of the prompt's active features, as computed by this process.
        """
        self._assisting = None  # release its memory before the next session allocates its own
        self._assisting = HelperSession(prompt, self._model, self.transcoders, config)
        return self._assisting.fingerprint

    def assist_with(self, fingerprint: str, chosen_F: npt.NDArray[np.int64], number: int) -> SerializedBlock:
        """Compute batch `number` of the features `chosen_F`, for the prompt that `assist` prepared.

        Raises TracerError if the prepared prompt has another fingerprint, and FilesChanged if weights changed.
        """
        if self._assisting is None or self._assisting.fingerprint != fingerprint:
            raise TracerError("this worker has been given something else to do")
        block = self._assisting.block(torch.tensor(chosen_F, device=self.transcoders.device), number)
        self.files.check()
        return block

    def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
        """Trace one prompt and return its graph as it is stored: pruned, unless `config.keep_all` is set."""

        def open_rows(*opened: Any) -> SharedRowComputer:
            self._phases.start("rows")
            return SharedRowComputer(RowComputer(*opened), unit.prompt, config, self.assistants, self._phases.step)

        dense = attribute_dense(unit.prompt, self._model, self.transcoders, config, open_rows)
        self._num_rows = dense.num_rows
        if config.keep_all:
            return dense.whole()
        self._phases.start("prune")
        return dense.pruned(config.node_threshold, config.edge_threshold)

    @property
    def steps(self) -> float:
        """A number that grows with every phase and every batch of rows.

        While the worker writes to the store, which has its own time limits, or is idle, the number is the clock.
        """
        return time.monotonic() if self._phases.now in ("store", "idle") else float(self._phases.steps)

    @property
    def _phase(self) -> str:
        """The name of the current phase in failure records."""
        return "trace" if self._phases.now in TRACE else self._phases.now

    def _trace(self, unit: WorkUnit) -> Iterator[Outcome]:
        setting = self.config.trace.sweep_rows
        sweep_rows = unit.sweep_rows if setting == "auto" else setting
        yield (outcome := self._try(unit, sweep_rows, last=sweep_rows == 1))
        if outcome.status == "retried":
            release_memory()
            yield self._try(unit, sweep_rows // 2, last=True)

    def _write(self) -> PartManifest | None:
        if len(self._part):
            self.files.check()
        try:
            return self._part.flush()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"{self.name} has no memory left to write a part: {type(error).__name__}: {first_line(error)}. "
                "What is committed stays. Try a smaller --part-prompts or --part-edges, or fewer workers on a machine."
            ) from error

    def _try(self, unit: WorkUnit, sweep_rows: int, last: bool) -> Outcome:
        """Trace one prompt once; the outcome includes the seconds by phase since the previous outcome."""
        self._phases.start("encode")
        at_work = CURRENT_PROMPT.set((unit.prompt.id, self._phases))
        try:
            outcome = self._attempt(unit, sweep_rows, last)
        finally:
            CURRENT_PROMPT.reset(at_work)
            self._phases.start("idle")
        return replace(outcome, phase_seconds=self._phases.pop(), gpu_peak_bytes=_gpu_peak_bytes())

    def _attempt(self, unit: WorkUnit, sweep_rows: int, last: bool) -> Outcome:
        started = time.perf_counter()
        outcome = Outcome(
            unit.prompt.id,
            "failed",
            attempt=unit.attempt,
            expected_seconds=unit.expected_seconds,
            worker=self.name,
        )
        try:
            graph = self.graph_of(unit, replace(self.config.trace, sweep_rows=sweep_rows))
            self._phases.start("store")
            self._part.add(graph, unit.prompt.content_hash)
        except (WorkerLost, FilesChanged):
            raise  # the cause is another worker or the weight files, not this prompt
        except InputError as error:
            return replace(outcome, phase=self._phase, reason=str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            if not is_out_of_memory(error):
                return replace(outcome, phase=self._phase, reason=f"{reason} ({traceback_summary(error)})")
            reason += f" (with sweep_rows={sweep_rows})"
            return replace(outcome, status="failed" if last else "retried", phase=self._phase, reason=reason)
        return replace(
            outcome,
            status="traced",
            seconds=time.perf_counter() - started,
            num_rows=self._num_rows,
            num_nodes=len(graph.nodes),
            num_edges=graph.num_edges,
            replacement=graph.scores.replacement,
            completeness=graph.scores.completeness,
        )


def _gpu_peak_bytes() -> int:
    """Return the peak memory of the GPU that was used most, since this process began; 0 if it uses no GPU."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # untyped in torch
        return 0
    return max(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count()))
