"""Bytes and floating-point operations of one prompt, from sizes alone.

The only unknown is how many features fire; `active_per_site` is the assumed mean per position and layer.
P position, L layer, D model width, H attention head, A active feature, C column, R row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..config import Precision, TraceConfig
from ..shapes import ModelShape, TranscoderShape

ITEM_BYTES: dict[Precision, int] = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}

DECODERS_IN_FILES_BYTES = 2 * 2**30
"""From this size on decoders are not held, as `transcoder/load.py` has it (which imports torch)."""
_SWEEP_COPIES = 4
"""The gradient [P, B, D], its pull-back through a norm, and the same through heads and groups of heads."""
_SUM_BYTES = 8
"""Per entry of a batch of rows: they are added up in float64."""
_EDGE_BYTES = 14
"""Per possible edge beside its value: added up in float64, then indices and weight of those that are not zero."""


@dataclass(frozen=True)
class Bytes:
    """Memory of one prompt beside the weights, by part."""

    tape: int
    """Attention patterns L·H·P², inputs and outputs of every MLP, logits."""
    vectors: int
    """What active features, errors and constants write: one vector for each layer written to."""
    rows: int
    """Every row over every column."""
    sweep: int
    """Gradients of one batch of rows at every position."""
    assembly: int
    """The rows of chosen columns, and the edges made of them."""

    @property
    def total(self) -> int:
        """The larger of two moments: sweeping, or assembling after the last sweep."""
        return self.tape + self.vectors + self.rows + max(self.sweep, self.assembly)

    def largest(self) -> tuple[str, int]:
        """Name and size of the largest part."""
        return max(((part.name, getattr(self, part.name)) for part in fields(self)), key=lambda part: part[1])


@dataclass(frozen=True)
class Cost:
    """What one prompt takes."""

    num_tokens: int
    num_active: int
    num_rows: int
    bytes: Bytes
    flops: float


def resident_bytes(model: ModelShape, transcoders: TranscoderShape, dtype: Precision) -> tuple[int, int]:
    """Weights of model and transcoders that every worker holds all the time; large decoders stay in their files."""
    item = ITEM_BYTES[dtype]
    decoders = model.d_model * sum(
        features * len(transcoders.writes_to(layer)) for layer, features in enumerate(transcoders.features_L)
    )
    held = transcoders.num_parameters - (decoders if item * decoders >= DECODERS_IN_FILES_BYTES else 0)
    return item * model.num_parameters, item * held


def cost_of(
    num_tokens: int,
    model: ModelShape,
    transcoders: TranscoderShape,
    trace: TraceConfig,
    dtype: Precision,
    active_per_site: float,
) -> Cost:
    """What a prompt of that many tokens, leading special token included, takes."""
    item, layers, width = ITEM_BYTES[dtype], model.num_layers, model.d_model
    sites = layers * num_tokens
    active = round(active_per_site * layers * (num_tokens - 1))
    features = active if trace.max_feature_nodes is None else min(trace.max_feature_nodes, active)
    rows, columns = features + trace.max_targets, active + sites + num_tokens
    batch = min(trace.sweep_rows, rows)
    size = Bytes(
        tape=item * (layers * model.num_heads * num_tokens**2 + 2 * sites * width) + 4 * model.vocab_size,
        vectors=round(item * width * (active * _layers_written(transcoders) + 2 * sites)),
        rows=item * rows * columns,
        sweep=(item + _SUM_BYTES) * batch * columns + item * _SWEEP_COPIES * num_tokens * batch * width,
        assembly=(item + _EDGE_BYTES) * rows * (features + sites + num_tokens),
    )
    flops = _before_rows(num_tokens, model, transcoders) + _rows(
        rows, num_tokens, model, active_per_site * _layers_written(transcoders)
    )
    rankings = -(-features // trace.round_size) if features < active else 0
    return Cost(num_tokens, active, rows, size, flops + rankings * rows * columns)


def _layers_written(transcoders: TranscoderShape) -> float:
    """Mean number of layers that a feature writes to."""
    return sum(len(transcoders.writes_to(layer)) for layer in range(transcoders.num_layers)) / transcoders.num_layers


def _before_rows(num_tokens: int, model: ModelShape, transcoders: TranscoderShape) -> float:
    """The forward pass and the encoders: two operations per weight and position, and attention."""
    encoders = model.d_model * sum(transcoders.features_L)
    attention = 4 * model.num_layers * model.num_heads * model.head_dim * num_tokens**2
    return 2.0 * num_tokens * (model.num_parameters + encoders) + attention


def _rows(num_rows: int, num_tokens: int, model: ModelShape, written_per_site: float) -> float:
    """The sweeps. A row starts at its own layer: at half of them in the mean."""
    heads = model.num_heads * model.head_dim
    values = model.num_kv_heads * model.head_dim
    per_site = 2 * model.d_model * (heads + values + written_per_site + 2) + 2 * heads * num_tokens
    return num_rows * model.num_layers / 2 * num_tokens * per_site
