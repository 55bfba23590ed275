"""Precision notes: which configured precisions are slow on the processor of the workers, and which would be faster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..config import ModelConfig, TraceConfig
from .machine import WorkerResources
from .processor import Processor, Speed, speed_of

_SOURCE = 'docs/engine.md, "Precision"'
_FASTER = f"took 0.55 to 0.75 of the time with 135 M parameters, and changed edges by half a percent ({_SOURCE})"


@dataclass(frozen=True)
class Note:
    """A sentence or two for the person who starts a run."""

    severity: Literal["warning", "hint"]
    text: str


def precision_notes(model: ModelConfig, trace: TraceConfig, machine: WorkerResources) -> Iterator[Note]:
    """Yield a warning for each precision that is not faster than float32 on the workers' processor.

    There is a hint if the processor is not known, and one for a float32 sweep that would be faster in bfloat16.
    """
    processor = machine.processor
    name = processor.name if processor else "a GPU" if machine.on_gpu else "a CPU"
    for flag, precision in (("--forward-dtype", model.forward_dtype), ("--sweep-dtype", trace.sweep_dtype)):
        if precision == "float32" or precision == "float64":
            continue
        speed = speed_of(precision, machine.on_gpu, processor)
        if speed is not None and speed.verdict != "faster":
            text = f"{name} {speed.reason}, so that {_effect(speed, flag)}. Use {flag} float32."
            yield Note("warning", f"{flag} {precision}: {text}")
        elif speed is None and processor is None:
            unknown = "it is not known here whether the workers' processors are faster with it; `doctor` asks each node"
            yield Note("hint", f"{flag} {precision}: {unknown}")
    speed = speed_of("bfloat16", machine.on_gpu, processor)
    if speed is not None and speed.verdict == "faster" and (model.forward_dtype, trace.sweep_dtype) == ("float32",) * 2:
        yield Note("hint", f"{name} {speed.reason}: --sweep-dtype bfloat16, for a new store, {_FASTER}")


def _effect(speed: Speed, flag: str) -> str:
    """Return what the precision of a flag costs, to be read after "so that"."""
    if speed.verdict == "same":
        return "it is not faster than float32"
    what, times = ("a graph", speed.sweep_times) if flag == "--sweep-dtype" else ("a forward pass", speed.forward_times)
    if times is None:
        return "it is slower than float32 (by how much was not measured)"
    return f"{what} takes about {times:g} times as long as in float32 ({_SOURCE})"


def bfloat16_advice(processor: Processor) -> str:
    """Return a sentence on the use of bfloat16 on one machine; empty if its speed is not known."""
    speed = speed_of("bfloat16", processor.capability is not None, processor)
    if speed is None:
        return ""
    if speed.verdict == "faster":
        return f"{processor.name} {speed.reason}: --sweep-dtype bfloat16 {_FASTER}"
    return f"{processor.name} {speed.reason}, so that {_effect(speed, '--sweep-dtype')}: use --sweep-dtype float32"
