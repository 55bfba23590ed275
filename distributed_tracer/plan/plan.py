"""Plan: turns prompts and sizes into work units with bytes and seconds, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal

from ..config import DecoderPlace, JobConfig
from ..errors import PlanDoesNotFit
from ..moved import call_successor
from ..shapes import ModelShape, TranscoderShape
from ..text import format_bytes as _size
from .cost import Cost, cost_of, resident_bytes, sweep_item_bytes, transcoder_bytes
from .decoders import FreeMemory, decoder_place
from .machine import WorkerResources, worker_resources
from .precision import Note, precision_notes
from .prompt_queue import PromptQueue
from .sizing import FEWEST_SWEEP_ROWS, num_sweep_rows, with_round_size
from .work import WorkUnit

RoundSizeOrigin = Literal["given", "store", "device"]


@dataclass(frozen=True, eq=False)
class Plan:
    """The cost of all prompts that are left to do. Work units are created lazily from them, the longest first."""

    prompts: PromptQueue
    costs: Mapping[int, Cost]
    """Cost of a prompt by its number of tokens, for every number that occurs, the longest first."""
    model: ModelShape
    transcoders: TranscoderShape
    config: JobConfig
    """The configuration with the round size as a number: what workers and the store get."""
    machine: WorkerResources
    round_size_origin: RoundSizeOrigin = "given"
    """Where the round size comes from: the configuration, the store that is continued, or the kind of device."""
    decoders: DecoderPlace | None = None
    """Where every worker keeps decoders; None if it is not configured and the memory of workers is not known here, so
    that each worker decides."""

    @property
    def prompt_bytes(self) -> int:
        """Bytes of the costliest prompt that fits into memory, weights not included; 0 if none does."""
        return max((cost.bytes.total for length, cost in self.costs.items() if self._fits(length)), default=0)

    @property
    def decoder_bytes(self) -> int:
        """Bytes of the decoders on each worker, wherever they live."""
        return transcoder_bytes(self.transcoders, self.config.model.forward_dtype, self.config.run.slices)[0]

    @property
    def resident_bytes(self) -> int:
        """Bytes of the weights that every worker holds on its device. Decoders count if it is not known where they
        live."""
        return sum(self.weight_bytes)

    @property
    def weight_bytes(self) -> tuple[int, int]:
        """Bytes of the model's weights and of the transcoders' weights on each worker."""
        return _weights(self.model, self.transcoders, self.config, self.decoders or "device")

    def units(self) -> Iterator[WorkUnit]:
        """Yield all units that are left, the longest first, whether they fit into memory or not."""
        return (unit for length in self.prompts.lengths() for unit in self._of_length(length))

    def fitting(self) -> Iterator[WorkUnit]:
        """Yield the units that are expected to fit into memory, the longest first."""
        lengths = [length for length in self.prompts.lengths() if self._fits(length)]
        return (unit for length in lengths for unit in self._of_length(length))

    def too_large(self) -> Iterator[tuple[WorkUnit, str]]:
        """Yield the units that do not fit into memory, each with a sentence on what is missing and what may help."""
        for length in self.prompts.lengths():
            if not self._fits(length):
                reason = self._why_too_large(self.costs[length])
                yield from ((unit, reason) for unit in self._of_length(length))

    def total(self) -> tuple[int, float]:
        """Return the number of units that fit into memory, and the seconds that one worker needs for all of them."""
        counts = {n: count for n, count in self.prompts.lengths().items() if self._fits(n)}
        return sum(counts.values()), sum(count * self.seconds(n) for n, count in counts.items())

    def check_fits(self) -> None:
        """Raise PlanDoesNotFit if the weights alone exceed the free memory of a worker, or decoders that are to live in
        main memory exceed that."""
        free = self.machine.free_bytes
        if free is not None and self.resident_bytes > free:
            model, transcoders = self.weight_bytes
            raise PlanDoesNotFit(
                f"the weights need {_size(self.resident_bytes)} on each worker (model {_size(model)}, transcoders "
                f"{_size(transcoders)}); {_size(free)} are free. Try fewer --workers, --forward-dtype bfloat16, more "
                f"--gpus-per-worker, {'--decoders auto, ' if self.decoders == 'device' else ''}or --slices, so that "
                "workers share the transcoders."
            )
        host = self.machine.free_host_bytes
        if free is not None and self.machine.on_gpu and self.decoders == "host" and self.decoder_bytes > host:
            raise PlanDoesNotFit(
                f"the decoders need {_size(self.decoder_bytes)} of main memory on each worker; {_size(host)} are free. "
                "Try --decoders auto or files, fewer --workers on a machine, or --slices."
            )

    def notes(self) -> Iterator[Note]:
        """Yield warnings and hints about the configured precisions on the workers' processor."""
        return precision_notes(self.config.model, self.config.trace, self.machine)

    def describe(self) -> str:
        """Return the plan as text. Deprecated: the function `plan_text` does the same."""
        text: str = call_successor("report.plan", "plan_text", self)
        return text

    def _of_length(self, length: int) -> Iterator[WorkUnit]:
        cost = self.costs[length]
        for prompt in self.prompts.with_length(length):
            yield WorkUnit(prompt, self.seconds(length), cost.bytes.total, cost.sweep_rows)

    def seconds(self, length: int) -> float:
        """Return the seconds that one worker needs for a prompt of `length` tokens, a number that occurs."""
        return self.costs[length].num_operations / self.machine.operations_per_second

    def _fits(self, length: int) -> bool:
        free = self.machine.free_bytes
        return free is None or self.resident_bytes + self.costs[length].bytes.total <= free

    def _why_too_large(self, cost: Cost) -> str:
        part, size = cost.bytes.largest()
        needed, free = self.resident_bytes + cost.bytes.total, self.machine.free_bytes or 0
        remedy = f"--sweep-rows {max(1, cost.sweep_rows // 4)}"
        if part in ("rows", "assembly"):
            remedy = f"--max-feature-nodes {max(1, cost.num_rows // 4)} or --keep-row-mass 0.99 (they change the graph)"
        return (
            f"{cost.num_tokens} tokens need {_size(needed)} on a worker, weights included; {_size(free)} are free. "
            f"Largest part: {part}, {_size(size)}. Try {remedy}, fewer workers on a machine, or a lower "
            f"--expected-active than {self.config.run.expected_active:g} if fewer features fire."
        )


def make_plan(
    prompts: PromptQueue,
    model: ModelShape,
    transcoders: TranscoderShape,
    config: JobConfig,
    machine: WorkerResources | None = None,
    recorded: Mapping[str, Any] | None = None,
) -> Plan:
    """Plan the prompts that are left to do. `machine` is what one worker has; if None, it is found out here.

    `recorded` is the identity of the store that the run continues, if it exists. A round size of "auto" becomes the
    number in it, or else the number for the device of the workers.
    """
    machine = machine or worker_resources(config)
    config, origin = _with_round_size(config, machine, recorded or {})
    costs = {length: _cost(length, model, transcoders, config, machine) for length in prompts.lengths()}
    setting = config.run.decoders
    plan = Plan(prompts, costs, model, transcoders, config, machine, origin, decoders="files")
    return replace(plan, decoders=_place(plan) if setting == "auto" else setting)


def _place(plan: Plan) -> DecoderPlace | None:
    """Return where decoders live, given the plan with decoders in their files. They take no room from a prompt that
    fits then.

    If a model is spread over several GPUs, decoders are on one of them, and so is an equal share of the model.
    """
    machine = plan.machine
    if machine.free_bytes is None:
        return None
    num_gpus = max(1.0, machine.num_gpus)
    model, others = plan.weight_bytes
    free = FreeMemory(int(machine.free_bytes / num_gpus), machine.free_host_bytes)
    return decoder_place(plan.decoder_bytes, others + ceil(model / num_gpus), plan.prompt_bytes, free)


def _with_round_size(
    config: JobConfig, machine: WorkerResources, recorded: Mapping[str, Any]
) -> tuple[JobConfig, RoundSizeOrigin]:
    """Return the configuration with the round size as a number, and where the number comes from."""
    if config.trace.round_size != "auto":
        return config, "given"
    trace = recorded.get("trace")
    number = trace.get("round_size") if isinstance(trace, Mapping) else None
    number = number if type(number) is int and number >= 1 else None  # a store may hold anything; True is an int
    return replace(config, trace=with_round_size(config.trace, machine.device, number)), "store" if number else "device"


def _cost(
    num_tokens: int, model: ModelShape, transcoders: TranscoderShape, config: JobConfig, machine: WorkerResources
) -> Cost:
    """Return the cost of a prompt with the configured rows of a sweep.

    If `sweep_rows` is "auto", the number of rows is halved until the prompt fits into the free memory.
    """
    trace, dtype = config.trace, config.model.forward_dtype
    setting = config.run.decoders
    weights = sum(_weights(model, transcoders, config, "files" if setting == "auto" else setting))

    item, device = sweep_item_bytes(trace, dtype), machine.device

    def cost(rows: int) -> Cost:
        return cost_of(num_tokens, model, transcoders, trace, dtype, config.run.expected_active, rows, device)

    rows, free = num_sweep_rows(trace.sweep_rows, model, num_tokens, item, device), machine.free_bytes
    while trace.sweep_rows == "auto" and rows > FEWEST_SWEEP_ROWS and free and weights + cost(rows).bytes.total > free:
        rows //= 2
    return cost(rows)


def _weights(
    model: ModelShape, transcoders: TranscoderShape, config: JobConfig, decoders: DecoderPlace
) -> tuple[int, int]:
    return resident_bytes(model, transcoders, config.model.forward_dtype, config.run.slices, decoders)
