"""Estimate: what a profile will take, from sizes alone: tokens, seconds and bytes, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import JobConfig
from ..plan.cost import resident_bytes
from ..plan.machine import worker_resources
from ..text import counted, format_bytes
from .settings import ProfileJob
from .units import HarvestInputs

_SECONDS_PER_ACTIVE = 5e-7
"""Seconds to count one active feature: benchmarks/profiles.py measures it."""
_FEATURE_BYTES, _CONTEXT_BYTES, _TOKEN_BYTES = 900, 60, 4
"""Bytes on disk of a feature without its contexts, of a context and of a token, compressed; SmolLM2's were measured."""


@dataclass(frozen=True)
class ProfileEstimate:
    """What a profile will take."""

    num_texts: int
    num_tokens: int
    token_seconds: float
    """Seconds of one worker for one token."""
    layer_seconds: float
    """Seconds of one worker for the decoders of one layer; 0 if they are not examined."""
    num_layers: int
    num_workers: int
    disk_bytes: int
    """Bytes of the finished profile, if every feature is active often."""
    memory_bytes: int
    """Bytes of memory of each worker, weights included."""

    @property
    def seconds(self) -> float:
        """Seconds of all workers together, divided among them."""
        return (self.num_tokens * self.token_seconds + self.num_layers * self.layer_seconds) / self.num_workers

    def describe(self) -> str:
        """Return the plan as one line."""
        return (
            f"to examine: {counted(self.num_tokens, 'token')} of {counted(self.num_texts, 'text')}, in about "
            f"{counted(max(1, round(self.seconds)), 'second')} beside loading on {counted(self.num_workers, 'worker')} "
            f"with {format_bytes(self.memory_bytes)} of memory each; at most about {format_bytes(self.disk_bytes)} on "
            "disk"
        )


def estimate(job: ProfileJob, config: JobConfig, inputs: HarvestInputs) -> ProfileEstimate:
    """Return what the whole job will take, as if nothing of it were done."""
    model, transcoders = inputs.model, inputs.transcoders
    features, width = sum(transcoders.features_L), transcoders.d_model
    speed, active = worker_resources(config).operations_per_second, config.run.expected_active * transcoders.num_layers
    forward = 2 * (model.num_parameters + features * width)
    per_layer = features / transcoders.num_layers
    effects = 2 * per_layer * width * (model.vocab_size * bool(job.top_tokens) + 3 * per_layer * bool(job.neighbours))
    kept = min(features * job.contexts * (job.quantiles + 1), inputs.num_tokens * int(active))
    return ProfileEstimate(
        len(inputs.prompts),
        inputs.num_tokens,
        forward / speed + active * _SECONDS_PER_ACTIVE,
        effects / speed if job.effects else 0.0,
        transcoders.num_layers,
        1 if config.run.local else config.run.workers,
        features * _FEATURE_BYTES + kept * _CONTEXT_BYTES + inputs.num_tokens * _TOKEN_BYTES,
        job.memory_bytes + sum(resident_bytes(model, transcoders, config.model.forward_dtype, config.run.slices)),
    )
