"""LoadedModel and PromptAttempts: what every worker shares, whether it traces prompts or evaluates their graphs.

`LoadedModel` sets up the process and loads the model. `PromptAttempts` works on prompts one after another and describes
every exception as an outcome, so that a bad prompt never ends a worker. This module does not use Ray.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..artifacts.files_in_use import Content, FilesInUse, What
from ..config import DecoderPlace, JobConfig
from ..errors import FilesChanged, InputError, StoreUnavailable, WorkerLost
from ..model.load import load_model
from ..plan.cost import resident_bytes, transcoder_bytes
from ..plan.decoders import FreeMemory, PlannedDecoders, decoder_place, describe_place
from ..plan.machine import free_bytes_of, free_cpu_bytes
from ..plan.work import Outcome, Status, WorkUnit
from ..shapes import TranscoderShape
from ..transcoder.base import Transcoders
from ..transcoder.load import check_fits, load_transcoders, transcoder_shape
from ..transcoder.loaded import LoadedTranscoders
from ..transcoder.shard import Shard
from .failures import first_line, is_out_of_memory, release_memory, traceback_summary
from .telemetry.logs import CURRENT_PROMPT
from .telemetry.phases import TRACE, PhaseTimer

_log = logging.getLogger(__name__)
ONEDNN_CACHE = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
"""Environment variable and value that set how many compiled kernels oneDNN keeps. oneDNN compiles one kernel for each
size of a bfloat16 product, which takes a millisecond and 0.1 MB. By default it keeps only 1,024; prompts of many
lengths need more. oneDNN reads the variable at a process's first such product."""
DETERMINISTIC_MKL = ("MKL_CBWR", "AUTO,STRICT")
"""Environment variable and value that make MKL add in the same order for any number of threads, so that a graph does
not depend on how many workers share a machine. On AMD processors this does not hold for small products; see the setting
`threads`. MKL reads the variable at a process's first matrix product. It costs less than 5% (135 M parameters, one
core)."""


class LoadedModel:
    """The model and transcoders of one worker process, and the timer of the phases of its work.

    Decoders live where the configuration or `planned` says, or else where this process finds room for them.

    The constructor sets environment variables and the number of threads of the process. It raises InputError if model
    or transcoders cannot be loaded, if they do not fit each other, or if their files differ from `expected`, the files
    that the run began with. The phase remains `load` until the worker starts another one.
    """

    kept: LoadedTranscoders
    """The transcoders that this process holds: the whole set, or one shard."""
    transcoders: Transcoders
    """The whole set of transcoders. The code that creates a worker with one shard must set it."""

    def __init__(
        self,
        config: JobConfig,
        threads: int,
        shard: Shard,
        expected: Mapping[What, Content] | None = None,
        planned: PlannedDecoders | None = None,
    ) -> None:
        os.environ.setdefault(*DETERMINISTIC_MKL)
        os.environ.setdefault(*ONEDNN_CACHE)
        torch.set_num_threads(threads)
        self.phases = PhaseTimer()
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.files = FilesInUse(config.model.model, config.transcoders.transcoders, expected)
        source, dtype = config.transcoders.transcoders, config.model.forward_dtype
        with self.files.loading():
            free_before = free_cpu_bytes()
            self.model = load_model(config.model.model, dtype, config.model.device_map)
            shape, device = transcoder_shape(source), self.model.input_device
            check_fits(shape, self.model.shape)
            place = self._decoder_place(config, shape, shard, planned or PlannedDecoders(), free_before)
            _log.info("decoders live %s", describe_place(place, device.type == "cuda"))
            self.transcoders = self.kept = load_transcoders(source, dtype, device, shard, decoders=place)

    def _decoder_place(
        self, config: JobConfig, shape: TranscoderShape, shard: Shard, planned: PlannedDecoders, free_before: int
    ) -> DecoderPlace:
        """Return where this process keeps decoders. `free_before` is the main memory that was free before the model was
        loaded: on a CPU the weights may be views of files, which do not make the free memory smaller."""
        if config.run.decoders != "auto":
            return config.run.decoders
        if planned.place is not None:
            return planned.place
        dtype, device = config.model.forward_dtype, self.model.input_device
        decoders, others = transcoder_bytes(shape, dtype, shard.count)
        if device.type == "cuda":
            free = FreeMemory(free_bytes_of(device), free_before)
        else:
            free = FreeMemory(free_before)
            others += resident_bytes(self.model.shape, shape, dtype)[0]
        return decoder_place(decoders, others, planned.prompt_bytes, free.share_of_worker(config.run))


@dataclass(frozen=True)
class PromptAttempts:
    """Works on prompts one after another, and attempts a prompt again with less memory if its memory did not suffice.

    `work` takes a unit, a size and an outcome. The size is a number that memory depends on and results do not, such as
    the rows of a sweep. It returns the outcome with the counts and scores of the prompt's result filled in.
    """

    loaded: LoadedModel
    work: Callable[[WorkUnit, int, Outcome], Outcome]
    sizes: Callable[[WorkUnit], Sequence[int]]
    """Returns the sizes to try for a unit, from the largest to the smallest."""
    first_phase: str
    size_name: str = ""
    """Name of the size in the reason of a prompt that ran out of memory; empty leaves the size out."""

    def run(self, units: Iterable[WorkUnit]) -> tuple[Outcome, ...]:
        """Work on each prompt and return its outcomes: *traced* or *failed*, and before that perhaps *retried*.

        Raises errors that do not concern a prompt: WorkerLost, StoreUnavailable, and FilesChanged. Changed files may be
        the cause of a failure, so they are checked if a prompt failed.
        """
        outcomes = tuple(outcome for unit in units for outcome in self._until_memory_suffices(unit))
        if any(outcome.status == "failed" for outcome in outcomes):
            self.loaded.files.check()
        return outcomes

    def _until_memory_suffices(self, unit: WorkUnit) -> Iterator[Outcome]:
        *larger, smallest = self.sizes(unit)
        for size in larger:
            yield (outcome := self._attempt(unit, size, "retried"))
            if outcome.status != "retried":
                return
            release_memory()
        yield self._attempt(unit, smallest, "failed")

    def _attempt(self, unit: WorkUnit, size: int, out_of_memory: Status) -> Outcome:
        """Make one attempt; the outcome includes the seconds by phase since the previous outcome."""
        phases = self.loaded.phases
        phases.start(self.first_phase)
        before = CURRENT_PROMPT.set((unit.prompt.id, phases))
        try:
            outcome = self._outcome(unit, size, out_of_memory)
        finally:
            CURRENT_PROMPT.reset(before)
            phases.start("idle")
        return replace(outcome, phase_seconds=phases.pop(), gpu_peak_bytes=_gpu_peak_bytes())

    def _outcome(self, unit: WorkUnit, size: int, out_of_memory: Status) -> Outcome:
        started, name = time.perf_counter(), self.loaded.name
        outcome = Outcome(
            unit.prompt.id, "failed", attempt=unit.attempt, expected_seconds=unit.expected_seconds, worker=name
        )
        try:
            found = self.work(unit, size, outcome)
        except (WorkerLost, StoreUnavailable, FilesChanged):
            raise  # the cause is another worker, the store or the weight files, not this prompt
        except InputError as error:
            return replace(outcome, phase=self._phase, reason=str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            if not is_out_of_memory(error):
                return replace(outcome, phase=self._phase, reason=f"{reason} ({traceback_summary(error)})")
            reason += f" (with {self.size_name}={size})" if self.size_name else ""
            return replace(outcome, status=out_of_memory, phase=self._phase, reason=reason)
        return replace(found, status="traced", seconds=time.perf_counter() - started)

    @property
    def _phase(self) -> str:
        """The name of the current phase in failure records."""
        now = self.loaded.phases.now
        return "trace" if now in TRACE else now


def keep_to_share(config: JobConfig) -> None:
    """Limit the GPU memory of this process to its share of each GPU that it sees: `gpus_per_worker`, less than 1.

    A worker that needs more then runs out of memory itself, and tries again with fewer rows. Without a limit it could
    leave too little for its neighbour, whose prompts would fail although they fit. The share is that of the whole
    memory; the plan counts on the same share of what is free.
    """
    if config.model.device_map != "cpu" and torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(config.run.gpus_per_worker, device)


def _gpu_peak_bytes() -> int:
    """Return the peak memory of the GPU that was used most, since this process began; 0 if it uses no GPU."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # untyped in torch
        return 0
    return max(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count()))
