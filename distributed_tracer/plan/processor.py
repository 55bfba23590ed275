"""Processor: in which precisions a CPU or a GPU multiplies matrices faster than in float32, and in which slower.

Instruction sets and compute capabilities decide this, so nothing is measured here, and torch is not imported. The
factors for CPUs were measured; docs/engine.md ("Precision") has the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_AVX512 = frozenset({"avx512bw", "avx512vl", "avx512dq"})
"""Instruction sets with which oneDNN computes bfloat16 products by float32 instructions."""
_FASTER = {
    "bfloat16": frozenset({"amx_bf16", "avx512_bf16", "bf16"}),  # the last one is ARM's
    "float16": frozenset({"amx_fp16", "avx512_fp16"}),
}
_AS_FAST = "avx_ne_convert"
"""Instruction set that converts both precisions to float32 while it loads them: neither faster nor slower."""
_SINCE = (8, 0)
"""First compute capability of GPUs with bfloat16 and TensorFloat-32."""

LowPrecision = Literal["bfloat16", "float16", "tf32"]


@dataclass(frozen=True)
class Processor:
    """One CPU or one GPU."""

    name: str
    flags: frozenset[str] = frozenset()
    """Instruction sets of a CPU, as Linux names them."""
    capability: tuple[int, int] | None = None
    """Compute capability of a GPU; None for a CPU."""


@dataclass(frozen=True)
class Speed:
    """How fast products of one precision are on a processor, relative to float32."""

    verdict: Literal["faster", "same", "slower"]
    reason: str
    """What the processor has or lacks, to be read after its name."""
    sweep_times: float | None = None
    """How many times as long a graph takes with a sweep in this precision, where that was measured."""
    forward_times: float | None = None
    """How many times as long a forward pass takes, where that was measured."""


def cpu_of(cpuinfo: str) -> Processor | None:
    """Return the CPU that the text of /proc/cpuinfo describes, or None if it lists no instruction sets.

    If cores differ, only what all of them have counts.
    """
    lines = [[part.strip() for part in line.split(":", 1)] for line in cpuinfo.splitlines() if ":" in line]
    flags = [frozenset(value.split()) for key, value in lines if key in ("flags", "Features")]
    names = [value for key, value in lines if key == "model name"]
    return Processor(names[0] if names else "this CPU", frozenset.intersection(*flags)) if flags else None


def gpu_of(rows: Sequence[Sequence[str]]) -> Processor | None:
    """Return the GPU of the lowest compute capability, or None if there is none whose capability is known.

    `rows` has the name and the compute capability of each GPU, as nvidia-smi prints them.
    """
    found = [
        Processor(name, capability=(int(major), int(minor)))
        for name, (major, _, minor) in ((name, capability.partition(".")) for name, capability in rows)
        if major.isdigit() and minor.isdigit()
    ]
    return min(found, key=lambda gpu: gpu.capability or _SINCE, default=None)


def speed_of(precision: LowPrecision, on_gpu: bool, processor: Processor | None) -> Speed | None:
    """Return the speed of products in a precision on workers that use a CPU or a GPU; None if it is not known.

    `processor` is None if it is another machine's.
    """
    if precision == "tf32" and not on_gpu:
        return Speed("same", "has no TensorFloat-32 and computes in float32")
    if processor is None:
        return None
    if processor.capability is not None:
        return _speed_on_gpu(precision, processor.capability)
    return _speed_on_cpu(precision, processor.flags)


def _speed_on_gpu(precision: LowPrecision, capability: tuple[int, int]) -> Speed | None:
    if precision == "float16":
        return None
    has = f"has compute capability {capability[0]}.{capability[1]}"
    if capability >= _SINCE:
        return Speed("faster", has)
    lacks = f"{has}, and {precision} needs 8.0"
    return Speed("same" if precision == "tf32" else "slower", lacks)


def _speed_on_cpu(precision: LowPrecision, flags: frozenset[str]) -> Speed | None:
    wanted = _FASTER[precision]
    if found := sorted(wanted & flags):
        return Speed("faster", f"has {found[0]} instructions")
    if _AS_FAST in flags:
        return Speed("same", f"has only {_AS_FAST} instructions, which convert {precision} to float32")
    if "asimd" in flags:  # ARM
        return Speed("slower", "has no bf16 instructions") if precision == "bfloat16" else None
    lacks = f"has none of the instructions {', '.join(sorted(wanted - {'bf16'}))}"
    if precision == "float16":
        return Speed("slower", lacks, forward_times=4)
    return Speed("slower", lacks, *((2, 2) if flags >= _AVX512 else (20, 4)))
