"""Every knob, on one page. Frozen dataclasses that check themselves; the command line's flags are made of them.

A string under a field is its help text. Nothing here imports torch, so a plan can be made on a login node.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from .errors import ConfigError

Precision = Literal["float32", "float64", "bfloat16", "float16"]
LogFormat = Literal["text", "json"]
SweepPrecision = Literal["float32", "tf32", "bfloat16", "float64"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class ModelConfig:
    """The language model and how it is placed."""

    model: str
    """Hugging Face directory or hub id, `org/name[@revision]`."""
    forward_dtype: Precision = "float32"
    """Precision of weights and forward pass. Lower ones move edges by up to a third; float64 is for judging."""
    device_map: str = "auto"
    """Passed to accelerate: auto, balanced, cpu, cuda, cuda:1, ...; `auto` is the CPU where there is no GPU."""


@dataclass(frozen=True)
class TranscoderConfig:
    """The transcoders."""

    transcoders: str
    """Directory or hub id, `user/repo[/folder][@revision]`."""


@dataclass(frozen=True)
class CorpusConfig:
    """The prompts."""

    prompts: str
    """JSONL, CSV, TSV, Parquet or plain text; a path, any fsspec URL, or - for standard input."""
    prompt_format: Literal["auto", "jsonl", "csv", "tsv", "parquet", "text"] = "auto"
    """auto goes by the file's ending; standard input is then JSONL if its first character is {, else text."""
    text_field: str = "text"
    """The column or field that holds the text; with another name than text, fields text and messages are metadata."""
    on_bad_prompt: Literal["stop", "record"] = "stop"
    """A malformed line: stop before any work, or record it as failed and go on."""

    def __post_init__(self) -> None:
        taken = ("id", "tokens", "targets")
        _require(
            bool(self.text_field) and self.text_field not in taken,
            f"text_field must name a column other than {', '.join(taken)}, not {self.text_field!r}",
        )


@dataclass(frozen=True)
class TraceConfig:
    """What a graph contains. Everything here changes results, so a store accepts one setting only."""

    max_feature_nodes: int | None = 4096
    """At most that many features get rows, the most influential first; None for every active feature."""
    round_size: int = 256
    """Features chosen between two rankings. Part of the result: never derived from workers or batch size."""
    max_targets: int = 10
    """At most that many next tokens are explained where a prompt names no targets."""
    target_mass: float = 0.95
    """Next tokens are taken, most likely first, until their probability adds up to this."""
    constant_node: bool = True
    """Let biases and the leading special token take part in normalisation; off to agree with circuit-tracer."""
    node_threshold: float = 0.8
    """Keep the nodes that carry this share of influence."""
    edge_threshold: float = 0.98
    """Keep the edges that carry this share of what the kept nodes pass on."""
    keep_row_mass: float = 1.0
    """Keep the largest edges of each row that carry this share of it, and only the sum of the others: for prompts of
    thousands of tokens, whose rows do not fit into memory otherwise."""
    keep_all: bool = False
    """Store every node and every computed edge, without pruning."""
    sweep_dtype: SweepPrecision = "float32"
    """Precision of the backward sweep's products: see docs/engine.md for the error of each. Sums are in float32."""
    sweep_rows: int | Literal["auto"] = "auto"
    """Rows computed in one backward sweep; trades memory for speed. auto: what 256 MiB (a CPU) or 4 GiB (a GPU) hold,
    fewer where a plan finds less memory free. Does not change which rows are computed, but may their last bits."""
    max_closing_error: float | Literal["auto"] = "auto"
    """A prompt fails if a row misses the value that it explains by more than this share of its sum of |edge| (of the
    value, or of 1, if larger). auto: what rounding explains, by the coarser of the two precisions: 0.0014 for float32,
    0.13 for float16 and tf32, 0.35 for bfloat16. Changes no graph."""

    def __post_init__(self) -> None:
        for name in ("round_size", "max_targets"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        rows = self.sweep_rows
        _require(rows == "auto" or rows >= 1, f"sweep_rows must be auto or at least 1, not {rows}")
        nodes = self.max_feature_nodes
        _require(nodes is None or nodes >= 1, f"max_feature_nodes must be at least 1, not {nodes}")
        closing = self.max_closing_error
        _require(closing == "auto" or 0 < closing < math.inf, f"max_closing_error must be auto or > 0, not {closing}")
        for name in ("target_mass", "node_threshold", "edge_threshold", "keep_row_mass"):
            value = getattr(self, name)
            _require(0.0 < value <= 1.0, f"{name} must be in (0, 1], not {value}")


@dataclass(frozen=True)
class StoreConfig:
    """Where graphs go."""

    store: str
    """Directory or fsspec URL (s3://bucket/path) of the store; made if absent, continued if present."""
    weight_bits: int = 23
    """Mantissa bits kept of edge weights: 23 is exact, 10 halves the size at a relative error of 2^-11."""
    store_active: bool = True
    """Keep the list of all active features beside each graph: what tells 'did not fire' from 'not selected'."""
    part_prompts: int = 256
    """A worker writes a part after that many prompts ..."""
    part_edges: int = 4_000_000
    """... or that many edges ..."""
    part_seconds: float = 120.0
    """... or that many seconds, whichever comes first; what is not written is what a crash costs."""
    retry_seconds: float = 300.0
    """How long a part or a commit that cannot be written is tried again before the run ends: outages it outlives."""

    def __post_init__(self) -> None:
        _require(1 <= self.weight_bits <= 23, f"weight_bits must be 1 to 23, not {self.weight_bits}")
        for name in ("part_prompts", "part_edges"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _require(self.part_seconds > 0, f"part_seconds must be positive, not {self.part_seconds}")
        _require(self.retry_seconds >= 0, f"retry_seconds must not be negative, not {self.retry_seconds}")


@dataclass(frozen=True)
class RunConfig:
    """Who does the work. Nothing here changes results."""

    workers: int = 1
    """Ray actors, each with its own replica of the model."""
    slices: int = 1
    """So many workers share one set of transcoders, each keeping a slice of it: where the whole does not fit. --workers
    is a multiple."""
    local: bool = False
    """Work in this process, without Ray."""
    gpus_per_worker: float = 0.0
    """GPUs reserved for each actor; its model is spread over them."""
    threads: int = 0
    """CPU threads per worker; 0 shares this machine's cores among the workers. Graphs in float32 and bfloat16 do not
    depend on it (measured with 1, 2 and 3); in float64 they may differ by round-off."""
    ray_address: str | None = None
    """A running cluster, `auto` for the one this machine belongs to; None starts Ray here."""
    connect_seconds: float = 30.0
    """How long to wait until that cluster has let this program in."""
    attempts: int = 3
    """How often a prompt whose worker died, or whose part was damaged, is tried before it is recorded as failed."""
    placement_seconds: float = 120.0
    """How long a run may be without any worker that has a place in the cluster; more where machines start on demand."""
    stuck_seconds: float = 600.0
    """A worker that does nothing for so long, or ten times as long as what it does should take, is replaced; a warning
    comes halfway. 0: never, as where one batch of rows takes that long."""
    expected_active: float = 64.0
    """Features assumed to fire per token and layer, where the plan estimates memory and time. Changes no result."""
    progress: bool = True
    """Show a progress bar (one log line every ten seconds where there is no terminal)."""
    log_format: LogFormat = "text"
    """json: warnings, and what became of every prompt, as one JSON object per line on standard error; no progress."""

    def __post_init__(self) -> None:
        for name in ("workers", "attempts", "slices"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("gpus_per_worker", "threads"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative, not {getattr(self, name)}")
        _require(
            self.local or self.workers % self.slices == 0,
            f"workers must be a multiple of slices, {self.slices}, not {self.workers}",
        )
        _require(not self.local or self.slices == 1, f"local has one slice, not {self.slices}: it has no workers")
        for name in ("placement_seconds", "connect_seconds"):
            _require(getattr(self, name) > 0, f"{name} must be positive, not {getattr(self, name)}")
        _require(self.stuck_seconds >= 0, f"stuck_seconds must not be negative, not {self.stuck_seconds}")
        _require(self.expected_active > 0, f"expected_active must be positive, not {self.expected_active}")


@dataclass(frozen=True)
class JobConfig:
    """A whole run."""

    model: ModelConfig
    transcoders: TranscoderConfig
    corpus: CorpusConfig
    store: StoreConfig
    trace: TraceConfig = field(default_factory=TraceConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def identity(self) -> dict[str, Any]:
        """The part that decides what is in a graph: a store made with another identity refuses the run."""
        trace = asdict(self.trace)
        del trace["sweep_rows"], trace["max_closing_error"]
        if trace["keep_all"]:
            del trace["node_threshold"], trace["edge_threshold"]
        return {
            "model": self.model.model,
            "forward_dtype": self.model.forward_dtype,
            "transcoders": self.transcoders.transcoders,
            "trace": trace,
            "weight_bits": self.store.weight_bits,
            "store_active": self.store.store_active,
        }


def as_dict(config: JobConfig) -> dict[str, dict[str, Any]]:
    """The resolved configuration, section by section, ready for JSON."""
    return {section.name: asdict(getattr(config, section.name)) for section in fields(config)}
