"""Decoders: where the decoders of transcoders live while prompts are traced. The only rule for it is here.

A prompt needs the decoder rows of its active features only, so decoders, which are most of a set's weights, may live
where there is room for them. `Plan` applies the rule to the memory that it sees, a worker to its own memory if the plan
cannot see it, and `load_transcoders` if there is no plan. This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..config import DecoderPlace, RunConfig
from .machine import most_workers_here

_PLANNED_SHARE = Fraction(9, 10)
"""Share of a device's free memory that weights and the costliest prompt may take. The rest is for what no plan counts:
memory that the allocator cannot use because it is in pieces, and working memory of libraries."""
_UNPLANNED_SHARE = Fraction(4, 10)
"""Share of a device's free memory that weights may take if no prompt is planned: they leave more than half of it."""
_HOST_SHARE = Fraction(1, 2)
"""Share of the free main memory that the decoders of a worker on a GPU may take. The rest is for files that are being
read, graphs that are not written yet, and the programs themselves."""


@dataclass(frozen=True)
class PlannedDecoders:
    """What a plan passes to workers: where decoders live, and the bytes that the costliest prompt needs.

    Both are None in a run without a plan. The place is None, too, if the plan cannot see the memory of workers.
    """

    place: DecoderPlace | None = None
    prompt_bytes: int | None = None


@dataclass(frozen=True)
class FreeMemory:
    """The bytes that one worker may use."""

    device: int
    """Bytes on the device that holds the transcoders: a GPU, or the main memory of a worker on a CPU."""
    host: int = 0
    """Bytes of main memory beside a GPU; 0 for a worker on a CPU."""

    def share_of_worker(self, run: RunConfig) -> FreeMemory:
        """Return what is left of this for one worker if others may use the same GPU or the same machine.

        Free memory is divided by the largest number of workers that Ray may place here, so that all of them together
        take no more than there is, in whichever order they load.
        """
        num_workers = most_workers_here(run)
        if not self.host:
            return FreeMemory(self.device // num_workers)
        on_one_gpu = 1.0 if run.local or not run.gpus_per_worker else min(1.0, run.gpus_per_worker)
        return FreeMemory(int(self.device * on_one_gpu), self.host // num_workers)


def decoder_place(decoder_bytes: int, other_bytes: int, prompt_bytes: int | None, free: FreeMemory) -> DecoderPlace:
    """Return where decoders of `decoder_bytes` bytes live.

    They live on the device if they fit there beside the other weights (`other_bytes`, as far as these are not in memory
    yet) and the costliest prompt (`prompt_bytes`; None if no prompt is planned). Otherwise they live in main memory if
    the device is a GPU and they fit there, and else in their files.
    """
    share = _UNPLANNED_SHARE if prompt_bytes is None else _PLANNED_SHARE
    if decoder_bytes + other_bytes + (prompt_bytes or 0) <= share * free.device:
        return "device"
    return "host" if free.host and decoder_bytes <= _HOST_SHARE * free.host else "files"


def describe_place(place: DecoderPlace, on_gpu: bool) -> str:
    """Return words for where decoders live."""
    if place == "device":
        return "on the GPU" if on_gpu else "in memory"
    rows = "rows of active features are copied to the GPU" if on_gpu else "rows of active features are read from there"
    return f"in main memory; {rows}" if place == "host" else f"in their files; {rows}"
