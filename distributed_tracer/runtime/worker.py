"""Worker: a process's model and transcoders, kept loaded, and the part of the store it is filling. No Ray in here."""

from __future__ import annotations

import gc
import os
import socket
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch

from ..config import JobConfig, TraceConfig
from ..errors import InputError, OutOfMemory
from ..graph.graph import Graph
from ..graph.prune import prune
from ..model.load import load_model
from ..plan.unit import WorkUnit
from ..store.writer import PartWriter
from ..trace.attribute import attribute
from ..transcoder.load import check_fits, load_transcoders
from .events import Outcome, Reply

KERNELS_KEPT = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
"""oneDNN compiles a kernel for each size of a bfloat16 product, a millisecond and 0.1 MB each, and by itself keeps only
1,024; prompts of many lengths need more. Read at a process's first such product."""
SAME_BITS = ("MKL_CBWR", "AUTO,STRICT")
"""Makes Intel's MKL add in one order whatever the number of threads, so that a graph does not depend on how many
workers share a machine. Read at a process's first matrix product; costs less than 5% (135 M parameters, one core)."""

_PACKAGE = Path(__file__).parents[1]


class Worker:
    """Traces prompts one after another and writes their graphs to the store, a part at a time.

    Raises InputError if model or transcoders cannot be loaded or do not fit each other.
    """

    def __init__(self, config: JobConfig, threads: int) -> None:
        os.environ.setdefault(*SAME_BITS)
        os.environ.setdefault(*KERNELS_KEPT)
        torch.set_num_threads(threads)
        self.config = config
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._model = load_model(config.model.model, config.model.forward_dtype, config.model.device_map)
        self._transcoders = load_transcoders(
            config.transcoders.transcoders, config.model.forward_dtype, str(self._model.input_device)
        )
        check_fits(self._transcoders.shape, self._model.shape)
        self._part = PartWriter(config.store.store, config.store)
        self._phase = "trace"

    def trace(self, unit: WorkUnit) -> Reply:
        """Trace one prompt; write a part if that filled it. Only a store that cannot be written raises (StoreError)."""
        setting = self.config.trace.sweep_rows
        sweep_rows = unit.sweep_rows if setting == "auto" else setting
        outcomes = [self._try(unit, sweep_rows, last=sweep_rows == 1)]
        if outcomes[0].status == "retried":
            _release_memory()
            outcomes.append(self._try(unit, sweep_rows // 2, last=True))
        receipt = self._part.flush() if self._part.full else None
        return Reply(tuple(outcomes), receipt)

    def flush(self) -> Reply:
        """Write what is traced. Raises StoreError."""
        return Reply(receipt=self._part.flush())

    def graph_of(self, unit: WorkUnit, config: TraceConfig) -> Graph:
        """What is stored for one prompt."""
        graph = attribute(unit.prompt, self._model, self._transcoders, config)
        if config.keep_all:
            return graph
        self._phase = "prune"
        return prune(graph, config.node_threshold, config.edge_threshold)

    def _try(self, unit: WorkUnit, sweep_rows: int, last: bool) -> Outcome:
        self._phase = "trace"
        started = time.perf_counter()
        expected = unit.expected_seconds
        outcome = Outcome(unit.prompt.id, "failed", attempt=unit.attempt, expected_seconds=expected, worker=self.name)
        try:
            graph = self.graph_of(unit, replace(self.config.trace, sweep_rows=sweep_rows))
            self._phase = "store"
            self._part.add(graph, unit.prompt.asked)
        except InputError as error:
            return replace(outcome, phase=self._phase, reason=str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {_first_line(error)}"
            if not _is_out_of_memory(error):
                return replace(outcome, phase=self._phase, reason=f"{reason} ({_where(error)})")
            reason += f" (with sweep_rows={sweep_rows})"
            return replace(outcome, status="failed" if last else "retried", phase=self._phase, reason=reason)
        return replace(
            outcome,
            status="traced",
            seconds=time.perf_counter() - started,
            num_nodes=len(graph.nodes),
            num_edges=graph.num_edges,
            replacement=graph.scores.replacement,
            completeness=graph.scores.completeness,
        )


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error):
        return True  # torch has no type of its own for a full main memory
    return isinstance(error, OutOfMemory | torch.OutOfMemoryError | MemoryError)


def _release_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _where(error: Exception) -> str:
    """The innermost three places of ours in a traceback: a bug is found from the store's record alone."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(f.filename).parents]
    places = (f"{Path(f.filename).relative_to(_PACKAGE)}:{f.lineno} {f.name}" for f in reversed(frames[-3:]))
    return "at " + ", called from ".join(places)
