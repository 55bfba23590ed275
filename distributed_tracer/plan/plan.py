"""Plan: prompts and sizes in, work units with bytes and seconds out, before a single weight is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import median

from ..config import JobConfig
from ..errors import PlanDoesNotFit
from ..memory import num_sweep_rows
from ..prompt import Prompt
from ..shapes import ModelShape, TranscoderShape
from .cost import Cost, cost_of, resident_bytes, sweep_item_bytes
from .machine import Machine, machine_of
from .unit import WorkUnit

_SHOWN = 5
_FEWEST_ROWS = 8
"""A sweep of fewer is slow; what does not fit then is too large for the machine."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Work units, those expected to take longest first, each with its cost."""

    units: tuple[WorkUnit, ...]
    costs: tuple[Cost, ...]
    model: ModelShape
    transcoders: TranscoderShape
    config: JobConfig
    machine: Machine

    @property
    def resident_bytes(self) -> int:
        """Weights that every worker holds."""
        return sum(resident_bytes(self.model, self.transcoders, self.config.model.forward_dtype))

    @property
    def worker_seconds(self) -> float:
        """Seconds of one worker for everything."""
        return sum(unit.expected_seconds for unit in self.units)

    def without(self, done: Set[str]) -> Plan:
        """The plan for the prompts that are not done yet."""
        left = [n for n, unit in enumerate(self.units) if unit.prompt.id not in done]
        return replace(self, units=tuple(self.units[n] for n in left), costs=tuple(self.costs[n] for n in left))

    def changed(self, asked: Mapping[str, str]) -> list[WorkUnit]:
        """Units whose id is done with a graph of something else; `asked` is `Ledger.asked()`."""
        return [unit for unit in self.units if asked.get(unit.prompt.id) not in (None, "", unit.prompt.asked)]

    def check_fits(self) -> None:
        """Raise PlanDoesNotFit if not even the weights fit into what a worker has."""
        free = self.machine.free_bytes
        if free is not None and self.resident_bytes > free:
            model, transcoders = resident_bytes(self.model, self.transcoders, self.config.model.forward_dtype)
            raise PlanDoesNotFit(
                f"the weights need {_size(self.resident_bytes)} on each worker (model {_size(model)}, transcoders "
                f"{_size(transcoders)}); {_size(free)} are free. Try fewer --workers, --forward-dtype bfloat16 or more "
                "--gpus-per-worker."
            )

    def split(self) -> tuple[list[WorkUnit], list[tuple[WorkUnit, str]]]:
        """Units that are expected to fit into memory, and the others with what they lack and what may help."""
        free = self.machine.free_bytes
        fit, rest = [], []
        for unit, cost in zip(self.units, self.costs, strict=True):
            needed = self.resident_bytes + unit.expected_bytes
            if free is None or needed <= free:
                fit.append(unit)
            else:
                rest.append((unit, self._why_too_large(cost, needed, free)))
        return fit, rest

    def describe(self) -> str:
        """Sizes, assumptions, the largest prompts, the total, and what will not fit."""
        if not self.units:
            return "nothing to do"
        return "\n".join([*self._inputs(), *self._largest(), *self._total(), *self._too_large()])

    def _inputs(self) -> list[str]:
        model, sets, dtype = self.model, self.transcoders, self.config.model.forward_dtype
        model_bytes, set_bytes = resident_bytes(model, sets, dtype)
        tokens = sorted(cost.num_tokens for cost in self.costs)
        machine = self.machine
        free = "not known here" if machine.free_bytes is None else f"{_size(machine.free_bytes)} free"
        return [
            f"model        {model.architecture}, {model.num_layers} layers x {model.d_model}, "
            f"{model.num_parameters / 1e6:,.1f} M parameters in {dtype}: {_size(model_bytes)}",
            f"transcoders  {sets.kind} {sets.activation}, {sum(sets.features_L):,} features: {_size(set_bytes)}",
            f"prompts      {len(tokens):,}; tokens min {tokens[0]}, median {median(tokens):g}, max {tokens[-1]}",
            f"each worker  {'GPU' if machine.on_gpu else 'CPU'}, memory {free}",
            f"assumed      {self.config.run.expected_active:g} active features per token and layer "
            f"(--expected-active), {machine.flops / 1e9:,.0f} GFLOP/s per worker",
        ]

    def _largest(self) -> list[str]:
        counted = ("tokens", "active", "rows", "a sweep")
        measured = ("tape", "vectors", "row buffer", "sweep", "assembly", "total", "seconds")
        lines = ["", "largest      " + "".join(f"{name:>11}" for name in (*counted, *measured))]
        for unit, cost in list(zip(self.units, self.costs, strict=True))[:_SHOWN]:
            size = cost.bytes
            cells = [f"{cost.num_tokens:,}", f"{cost.num_active:,}", f"{cost.num_rows:,}", f"{cost.sweep_rows}"]
            cells += [_size(n) for n in (size.tape, size.vectors, size.rows, size.sweep, size.assembly, size.total)]
            name = repr(unit.prompt.id)
            lines.append(f"{name[:12]:<13}" + "".join(f"{c:>11}" for c in [*cells, f"{unit.expected_seconds:,.1f}"]))
        return lines

    def _total(self) -> list[str]:
        workers = 1 if self.config.run.local else self.config.run.workers
        seconds = max(self.worker_seconds / workers, self.units[0].expected_seconds)
        return ["", f"total        about {_duration(seconds)} on {workers} worker{'s' if workers > 1 else ''}"]

    def _too_large(self) -> list[str]:
        try:
            self.check_fits()
        except PlanDoesNotFit as error:
            return ["", f"does not fit: {error}"]
        rest = self.split()[1]
        if not rest:
            return []
        lines = [f"do not fit   {len(rest):,} prompts, which would be recorded as failed; the largest:"]
        return ["", *lines, *(f"  prompt {unit.prompt.id!r}: {reason}" for unit, reason in rest[:_SHOWN])]

    def _why_too_large(self, cost: Cost, needed: int, free: int) -> str:
        part, size = cost.bytes.largest()
        remedy = f"--sweep-rows {max(1, cost.sweep_rows // 4)}"
        if part in ("rows", "assembly"):
            remedy = f"--max-feature-nodes {max(1, cost.num_rows // 4)} or --keep-row-mass 0.99 (they change the graph)"
        return (
            f"{cost.num_tokens} tokens need {_size(needed)} on a worker, weights included; {_size(free)} are free. "
            f"Largest part: {part}, {_size(size)}. Try {remedy}, fewer workers on a machine, or a lower "
            f"--expected-active than {self.config.run.expected_active:g} if fewer features fire."
        )


def make_plan(
    prompts: Sequence[Prompt],
    model: ModelShape,
    transcoders: TranscoderShape,
    config: JobConfig,
    machine: Machine | None = None,
) -> Plan:
    """Work units for tokenized prompts, longest first. `machine` is what a worker has; found out if not given."""
    machine = machine or machine_of(config)
    by_length: dict[int, Cost] = {}
    pairs: list[tuple[WorkUnit, Cost]] = []
    for prompt in prompts:
        assert prompt.tokens is not None, "a plan is made of tokenized prompts"
        length = len(prompt.tokens)
        if length not in by_length:
            by_length[length] = _cost(length, model, transcoders, config, machine)
        cost = by_length[length]
        pairs.append((WorkUnit(prompt, cost.flops / machine.flops, cost.bytes.total, cost.sweep_rows), cost))
    pairs.sort(key=lambda pair: -pair[0].expected_seconds)
    units, costs = zip(*pairs, strict=True) if pairs else ((), ())
    return Plan(units, costs, model, transcoders, config, machine)


def _cost(
    num_tokens: int, model: ModelShape, transcoders: TranscoderShape, config: JobConfig, machine: Machine
) -> Cost:
    """With the rows that a sweep is told to have, or half as many until they fit into what is free."""
    trace, dtype = config.trace, config.model.forward_dtype
    weights = sum(resident_bytes(model, transcoders, dtype))

    def cost(rows: int) -> Cost:
        return cost_of(num_tokens, model, transcoders, trace, dtype, config.run.expected_active, rows)

    item, device = sweep_item_bytes(trace, dtype), "cuda" if machine.on_gpu else "cpu"
    rows, free = num_sweep_rows(trace.sweep_rows, model, num_tokens, item, device), machine.free_bytes
    while trace.sweep_rows == "auto" and rows > _FEWEST_ROWS and free and weights + cost(rows).bytes.total > free:
        rows //= 2
    return cost(rows)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
