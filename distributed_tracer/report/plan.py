"""Report of a plan, for people who decide whether to start the run."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from ..errors import PlanDoesNotFit
from ..plan.decoders import describe_place
from ..plan.plan import Plan
from ..text import counted, format_bytes, printable

_SHOWN = 5
_COUNTED = ("tokens", "active", "rows", "a sweep")
_ORIGINS = {
    "given": "as configured",
    "store": "as in the store that the run continues",
    "device": "as usual for such workers (--round-size)",
}
_MEASURED = ("cache", "vectors", "row buffer", "sweep", "assembly", "total", "seconds")


def plan_text(plan: Plan) -> str:
    """Return the sizes of the inputs, what is assumed, the largest prompts, the total, and prompts that do not fit."""
    if not plan.prompts.lengths():
        return "nothing to do"
    return "\n".join([*_inputs(plan), *_largest(plan), *_total(plan), *_too_large(plan)])


def _inputs(plan: Plan) -> list[str]:
    model, sets, run, machine = plan.model, plan.transcoders, plan.config.run, plan.machine
    model_bytes, set_bytes = map(format_bytes, plan.weight_bytes)
    shared = f" on each of {run.slices} workers" if run.slices > 1 else ""
    lengths = plan.prompts.lengths()
    free = "not known here" if machine.free_bytes is None else f"{format_bytes(machine.free_bytes)} free"
    kind = "GPU" if machine.on_gpu else "CPU"
    name = f" ({printable(machine.processor.name)})" if machine.processor else ""
    return [
        f"model        {model.architecture}, {model.num_layers} layers x {model.d_model}, "
        f"{model.num_parameters / 1e6:,.1f} M parameters in {plan.config.model.forward_dtype}: {model_bytes}",
        f"transcoders  {sets.kind} {sets.activation}, {sum(sets.features_L):,} features: {set_bytes}{shared}",
        f"decoders     {_decoders(plan)}{shared}",
        f"prompts      {sum(lengths.values()):,}; tokens min {min(lengths)}, median {_median(lengths):g}, "
        f"max {max(lengths)}",
        f"each worker  {kind}{name}, memory {free}",
        f"rounds       {plan.config.trace.features_per_round:,} features, {_ORIGINS[plan.round_size_origin]}",
        f"assumed      {run.expected_active:g} active features per token and layer (--expected-active), "
        f"{machine.operations_per_second / 1e9:,.0f} GFLOP/s per worker",
        *(f"{note.severity:<13}{printable(note.text)}" for note in plan.notes()),
    ]


def _decoders(plan: Plan) -> str:
    size = format_bytes(plan.decoder_bytes)
    if plan.decoders is None:
        return f"{size}; each worker decides where they live when it sees its memory (--decoders)"
    return f"{size} {describe_place(plan.decoders, plan.machine.on_gpu)}"


def _largest(plan: Plan) -> list[str]:
    lines = ["", "largest      " + "".join(f"{name:>11}" for name in (*_COUNTED, *_MEASURED))]
    for unit in islice(plan.units(), _SHOWN):
        cost = plan.costs[len(unit.prompt.tokens or ())]
        size = cost.bytes
        sizes = (size.forward_cache, size.vectors, size.rows, size.sweep, size.assembly, size.total)
        cells = [f"{cost.num_tokens:,}", f"{cost.num_active:,}", f"{cost.num_rows:,}", f"{cost.sweep_rows}"]
        cells += [*map(format_bytes, sizes), f"{unit.expected_seconds:,.1f}"]
        lines.append(f"{repr(unit.prompt.id)[:12]:<13}" + "".join(f"{cell:>11}" for cell in cells))
    return lines


def _total(plan: Plan) -> list[str]:
    workers = 1 if plan.config.run.local else plan.config.run.workers
    seconds = max(plan.total()[1] / workers, max(map(plan.seconds, plan.prompts.lengths())))
    return ["", f"total        about {_duration(seconds)} on {counted(workers, 'worker')}"]


def _too_large(plan: Plan) -> list[str]:
    try:
        plan.check_fits()
    except PlanDoesNotFit as error:
        return ["", f"does not fit: {error}"]
    count = sum(plan.prompts.lengths().values()) - plan.total()[0]
    if not count:
        return []
    lines = [f"do not fit   {count:,} prompts, which would be recorded as failed; the largest:"]
    largest = islice(plan.too_large(), _SHOWN)
    return ["", *lines, *(f"  prompt {unit.prompt.id!r}: {reason}" for unit, reason in largest)]


def _median(count_of: Mapping[int, int]) -> float:
    """Return the median of numbers, given how many times each number occurs."""
    seen, half = 0, sum(count_of.values()) / 2
    middle = []
    for value, count in sorted(count_of.items()):
        if seen <= half <= seen + count:
            middle.append(value)
        seen += count
    return (middle[0] + middle[-1]) / 2


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
