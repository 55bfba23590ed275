"""Configuration: every setting of a run, in frozen dataclasses that check their values.

The flags of the command line are made from these fields, and the string under a field is the help text of its flag.
This module does not import torch, so that a plan can be made on a login node.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from .errors import ConfigError

Precision = Literal["float32", "float64", "bfloat16", "float16"]
LogFormat = Literal["text", "json"]
DecoderPlace = Literal["device", "host", "files"]
SweepPrecision = Literal["float32", "tf32", "bfloat16", "float64"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class ModelConfig:
    """The language model, its precision and its placement on devices."""

    model: str
    """Language model: a Hugging Face directory or a hub id, `org/name[@revision]`."""
    forward_dtype: Precision = "float32"
    """Precision of the weights and the forward pass. Precisions below float32 change edges by up to a third; float64 is
    for checking results."""
    device_map: str = "auto"
    """Device map for accelerate, which places the model: auto, balanced, cpu, cuda, cuda:1, ...; `auto` uses the CPU if
    there is no GPU."""


@dataclass(frozen=True)
class TranscoderConfig:
    """The set of transcoders."""

    transcoders: str
    """Set of transcoders: a directory or a hub id, `user/repo[/folder][@revision]`."""


@dataclass(frozen=True)
class CorpusConfig:
    """The corpus of prompts and how it is read."""

    prompts: str
    """Prompts in JSONL, CSV, TSV, Parquet or plain text: a path, any fsspec URL, or - for standard input."""
    prompt_format: Literal["auto", "jsonl", "csv", "tsv", "parquet", "text"] = "auto"
    """Format of the prompts. auto decides by the file name's ending; standard input is then JSONL if its first
    character is {, and plain text otherwise."""
    text_field: str = "text"
    """Column or field that holds the text of a prompt. If it is not `text`, fields named text and messages are
    metadata."""
    on_bad_prompt: Literal["stop", "record"] = "stop"
    """What to do about a malformed prompt: stop before any work begins, or record the prompt as failed and go on."""

    def __post_init__(self) -> None:
        taken = ("id", "tokens", "targets")
        _require(
            bool(self.text_field) and self.text_field not in taken,
            f"text_field must name a column other than {', '.join(taken)}, not {self.text_field!r}",
        )


@dataclass(frozen=True)
class TraceConfig:
    """What a graph contains. These settings change results, so all graphs of one store have the same ones."""

    max_feature_nodes: int | None = 4096
    """Largest number of features that get rows, the most influential first; None gives a row to every active
    feature."""
    round_size: int | Literal["auto"] = "auto"
    """Number of features chosen between two rankings by influence. It changes results, so it is never derived from the
    number of workers or the batch size. auto is what the store was made with. A new store gets 256 if its workers are
    CPUs; if they are GPUs, it gets a quarter of max_feature_nodes, but at least 256 and at most 1,024."""
    max_targets: int = 10
    """Largest number of next tokens to explain if a prompt names no targets."""
    target_mass: float = 0.95
    """Total probability of the next tokens to explain: they are taken, most likely first, until they reach it."""
    constant_node: bool = True
    """Whether biases and the leading special token take part in normalisation; circuit-tracer leaves them out."""
    node_threshold: float = 0.8
    """Share of influence that the nodes kept by pruning carry."""
    edge_threshold: float = 0.98
    """Share of the influence passed on by the kept nodes that the edges kept by pruning carry."""
    keep_row_mass: float = 1.0
    """Share of a row that its kept edges carry, the largest edges first; of the others only the sum is kept. Use less
    than 1 for prompts of thousands of tokens, whose rows do not fit into memory otherwise."""
    keep_all: bool = False
    """Whether to store every node and every computed edge, without pruning."""
    sweep_dtype: SweepPrecision = "float32"
    """Precision of the matrix products of the backward sweep. docs/engine.md lists the error of each; sums are in
    float32."""
    sweep_rows: int | Literal["auto"] = "auto"
    """Number of rows computed in one backward sweep; more rows take more memory and less time. auto computes as many as
    256 MiB (on a CPU) or 4 GiB (on a GPU) hold, and fewer if the plan finds less free memory. This does not change
    which rows are computed, but it may change their last bits."""
    max_closing_error: float | Literal["auto"] = "auto"
    """Largest accepted difference between a row's sum and the value that the row explains, as a share of the row's sum
    of |edge| (or of the value, or of 1, whichever is largest); a prompt with a larger one fails. auto is what rounding
    explains, by the coarser of the two precisions: 0.0014 for float32, 0.13 for float16 and tf32, 0.35 for bfloat16. It
    changes no graph."""

    def __post_init__(self) -> None:
        _require(self.max_targets >= 1, f"max_targets must be at least 1, not {self.max_targets}")
        for name in ("round_size", "sweep_rows"):
            value = getattr(self, name)
            _require(value == "auto" or value >= 1, f"{name} must be auto or at least 1, not {value}")
        nodes = self.max_feature_nodes
        _require(nodes is None or nodes >= 1, f"max_feature_nodes must be at least 1, not {nodes}")
        closing = self.max_closing_error
        _require(closing == "auto" or 0 < closing < math.inf, f"max_closing_error must be auto or > 0, not {closing}")
        for name in ("target_mass", "node_threshold", "edge_threshold", "keep_row_mass"):
            value = getattr(self, name)
            _require(0.0 < value <= 1.0, f"{name} must be in (0, 1], not {value}")

    @property
    def features_per_round(self) -> int:
        """The round size as a number. Raises ConfigError if it is still "auto", which depends on device and store."""
        if self.round_size == "auto":
            raise ConfigError("round_size is auto: a plan turns it into a number; or give a number")
        return self.round_size


@dataclass(frozen=True)
class StoreConfig:
    """Where and how graphs are stored."""

    store: str
    """Store for the graphs: a directory or an fsspec URL (s3://bucket/path). It is created if it does not exist, and
    continued if it does."""
    weight_bits: int = 23
    """Number of mantissa bits of edge weights to store: 23 is exact, 10 halves the size at a relative error of
    2^-11."""
    store_active: bool = True
    """Whether to store the list of all active features with each graph. It shows whether a feature that is not in a
    graph was inactive or was not selected."""
    part_prompts: int = 256
    """Number of prompts after which a worker writes its graphs as a part."""
    part_edges: int = 4_000_000
    """Number of edges after which a worker writes its graphs as a part, even if they are of fewer prompts."""
    part_seconds: float = 120.0
    """Number of seconds after which a worker writes its graphs as a part, even if it has fewer prompts and edges. A
    crash loses the graphs that are not yet written."""
    retry_seconds: float = 300.0
    """Number of seconds for which a failed write of a part or a commit is repeated before the run ends: the longest
    outage of the store that a run survives."""

    def __post_init__(self) -> None:
        _require(1 <= self.weight_bits <= 23, f"weight_bits must be 1 to 23, not {self.weight_bits}")
        for name in ("part_prompts", "part_edges"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _require(self.part_seconds > 0, f"part_seconds must be positive, not {self.part_seconds}")
        _require(self.retry_seconds >= 0, f"retry_seconds must not be negative, not {self.retry_seconds}")


@dataclass(frozen=True)
class RunConfig:
    """Who does the work. These settings do not change results."""

    workers: int = 1
    """Number of workers: Ray actors, each with its own replica of the model."""
    slices: int = 1
    """Number of workers that share one set of transcoders, each holding one shard of it; for sets that do not fit
    beside one replica. The number of workers must be a multiple of it."""
    local: bool = False
    """Whether to work in this process, without Ray."""
    gpus_per_worker: float = 0.0
    """Number of GPUs reserved for each worker; its model is spread over them. With 0.5, two workers share a GPU, and
    each may take half of its memory."""
    decoders: Literal["auto", DecoderPlace] = "auto"
    """Where the decoders of the transcoders live: device is the GPU (or main memory, on a CPU); host is main memory
    beside a GPU, to which the rows of active features are copied; files leaves them in their files, which are read as
    rows are needed. auto takes the first of these that has room for them beside everything else."""
    threads: int = 0
    """Number of CPU threads per worker; 0 divides this machine's cores among the workers. Graphs in float32 and
    bfloat16 do not depend on it (measured with 1, 2 and 3 threads); in float64 they may differ by round-off."""
    ray_address: str | None = None
    """Address of a running Ray cluster; `auto` is the cluster that this machine belongs to. None starts Ray on this
    machine."""
    connect_seconds: float = 30.0
    """Number of seconds to wait until the running Ray cluster accepts the connection."""
    attempts: int = 3
    """Number of times that a prompt is tried if its worker dies or its part is damaged, before it is recorded as
    failed."""
    placement_seconds: float = 120.0
    """Number of seconds that a run waits while the cluster has room for none of its workers; give more if machines
    start on demand."""
    stuck_seconds: float = 600.0
    """Number of seconds without progress after which a worker is replaced, or ten times the expected duration of its
    work if that is longer; a warning is logged at half of this time. 0 never replaces a worker, for runs in which one
    batch of rows takes that long."""
    expected_active: float = 64.0
    """Number of active features per token and layer that the plan assumes to estimate memory and time. It changes no
    result."""
    progress: bool = True
    """Whether to show a progress bar (without a terminal, one log line every ten seconds)."""
    log_format: LogFormat = "text"
    """Format of the log on standard error. json writes every warning and the outcome of every prompt as one JSON object
    per line, and shows no progress."""

    def __post_init__(self) -> None:
        for name in ("workers", "attempts", "slices"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("gpus_per_worker", "threads"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative, not {getattr(self, name)}")
        gpus = self.gpus_per_worker
        _require(gpus <= 1 or float(gpus).is_integer(), f"gpus_per_worker above 1 must be a whole number, not {gpus}")
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
    """The configuration of a whole run."""

    model: ModelConfig
    transcoders: TranscoderConfig
    corpus: CorpusConfig
    store: StoreConfig
    trace: TraceConfig = field(default_factory=TraceConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        on_cpu = self.model.device_map == "cpu" or not (self.run.local or self.run.gpus_per_worker)
        _require(
            not (on_cpu and self.run.decoders == "host"),
            "decoders can be host only beside a GPU, and these workers use the CPU: give --decoders device, or "
            "--gpus-per-worker",
        )
        number, gpus = self.model.device_map.partition("cuda:")[2], self.run.gpus_per_worker
        _require(
            self.run.local or not gpus or not number.isdecimal() or int(number) < gpus,
            f"device_map is {self.model.device_map}, but each worker sees only the GPUs reserved for it, counted from "
            f"0, and gpus_per_worker is {gpus:g}; leave device_map at auto",
        )

    def identity(self) -> dict[str, Any]:
        """Return the settings that determine what is in a graph. A store made with another identity refuses the run.

        Raises ConfigError if the round size is still "auto": a store records the number, which a plan has.
        """
        trace = asdict(self.trace) | {"round_size": self.trace.features_per_round}
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
    """Return the resolved configuration as a dictionary of sections, ready for JSON."""
    return {section.name: asdict(getattr(config, section.name)) for section in fields(config)}
