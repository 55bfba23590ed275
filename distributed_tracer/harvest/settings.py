"""Settings of a profile: `ProfileJob` is what a user asks for, `HarvestSettings` what workers need of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    Precision,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from ..errors import ConfigError
from ..profile.accumulator import Sampling
from ..profile.layer_state import Sizes

SHORTEST_CONTEXT = 8
"""Fewest tokens that a model is given to read at once: more than the leading special tokens of any architecture."""
LARGEST_RADIUS = 10_000
DEFAULT_CONTEXT = 512
_PART_SHARE = 0.4
"""Share of the memory at which a worker writes a part: while it adds or sorts, it needs as much again."""


@dataclass(frozen=True)
class ProfileJob:
    """What to profile, where to, and with which resources. Give texts with a model and transcoders, or a store."""

    out: str
    """Folder of the profile, which must be new or empty, or hold what an earlier run of this job has left."""
    model: str | None = None
    transcoders: str | None = None
    prompts: str | None = None
    """Texts in any format of prompts, on any length; see CorpusConfig."""
    store: str | None = None
    """Directory or URL of a store, whose active features are profiled without a model. A model and transcoders may be
    given too: then promoted tokens and neighbours are added."""
    prompt_format: Any = "auto"
    text_field: str = "text"
    forward_dtype: Precision = "float32"
    device_map: str = "auto"
    context_length: int | None = None
    """Number of tokens that the model reads at once; longer texts are cut. None is 512, or what the model takes."""
    contexts: int = 4
    """Number of contexts that are kept of the strongest activations, and as many in each quantile."""
    quantiles: int = 4
    """Number of intervals with equal numbers of activations from each of which contexts are sampled."""
    around: int = 16
    """Number of tokens on each side of a context's token."""
    top_tokens: int = 10
    """Number of promoted and of suppressed tokens of each feature; 0 leaves them out."""
    neighbours: int = 5
    """Number of nearest decoders of each feature; 0 leaves them out."""
    seed: int = 0
    """Seed by which contexts are sampled."""
    memory_gb: float = 4.0
    """Memory in 10^9 bytes that each worker uses for counts and contexts, without weights; more is kept on disk."""
    part_seconds: float = 300.0
    """Number of seconds after which a worker writes its counts as a part. A crash loses unwritten counts."""
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        if (self.prompts is None) == (self.store is None):
            raise ConfigError(
                "give texts (--prompts) with --model and --transcoders, or a store (--store): one of the two"
            )
        if self.prompts is not None and not (self.model and self.transcoders):
            raise ConfigError("texts are read by a model: give --model and --transcoders")
        if (self.model is None) != (self.transcoders is None):
            raise ConfigError("promoted tokens need both --model and --transcoders: give both or neither")
        if "://" in self.out:
            raise ConfigError(f"a profile is a folder that all workers see, not an address: {self.out}")
        limits = {"contexts": (1, 127), "quantiles": (1, 100), "around": (0, LARGEST_RADIUS), "seed": (0, 2**63)}
        limits |= {"top_tokens": (0, 1_000), "neighbours": (0, 1_000)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"{name} must be from {least:,} to {most:,}, not {value:,}")
        if self.context_length is not None and self.context_length < SHORTEST_CONTEXT:
            raise ConfigError(f"context_length must be at least {SHORTEST_CONTEXT}, not {self.context_length}")
        if not 0.1 <= self.memory_gb < 1e6:
            raise ConfigError(f"memory_gb must be at least 0.1, not {self.memory_gb:g}")
        if not self.part_seconds > 0:
            raise ConfigError(f"part_seconds must be positive, not {self.part_seconds:g}")

    @property
    def folder(self) -> Path:
        """Folder of the profile."""
        return Path(self.out).expanduser().absolute()

    @property
    def sampling(self) -> Sampling:
        """What is kept of contexts."""
        return Sampling(Sizes(self.contexts, self.quantiles), self.around, self.seed)

    @property
    def memory_bytes(self) -> int:
        """Memory of each worker for counts and contexts, in bytes."""
        return int(self.memory_gb * 1e9)

    @property
    def effects(self) -> bool:
        """Whether decoders are examined."""
        return self.model is not None and bool(self.top_tokens or self.neighbours)

    def config(self) -> JobConfig:
        """Return the configuration that executors and workers get. A model must be given."""
        assert self.model is not None
        assert self.transcoders is not None
        return JobConfig(
            ModelConfig(self.model, self.forward_dtype, self.device_map),
            TranscoderConfig(self.transcoders),
            CorpusConfig(self.prompts or "", self.prompt_format, self.text_field, "record"),
            StoreConfig(""),
            TraceConfig(),
            self.run,
        )

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide what is in a profile of any source, to which content and texts are added."""
        names = ("model", "transcoders", "store", "contexts", "quantiles", "around", "seed")
        of_effects = ("top_tokens", "neighbours") if self.effects else ()
        return {name: getattr(self, name) for name in (*names, *of_effects)}


@dataclass(frozen=True)
class HarvestSettings:
    """What a worker needs to know besides the configuration of model and transcoders."""

    out: str
    context_length: int
    sampling: Sampling
    top_tokens: int
    neighbours: int
    part_bytes: int
    part_seconds: float

    @classmethod
    def of(cls, job: ProfileJob, context_length: int) -> HarvestSettings:
        """Return the settings of a job."""
        part_bytes = int(job.memory_bytes * _PART_SHARE)
        effects = (job.top_tokens, job.neighbours)
        return cls(str(job.folder), context_length, job.sampling, *effects, part_bytes, job.part_seconds)
