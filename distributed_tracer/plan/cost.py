"""Bytes and floating-point operations of one prompt, from sizes alone.

The only unknown is how many features fire; `active_per_site` is the assumed mean per position and layer.
P position, L layer, D model width, H attention head, A active feature, C column, R row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..config import Precision, TraceConfig
from ..shapes import ModelShape, TranscoderShape
from .sizing import sweep_row_bytes

ITEM_BYTES: dict[Precision, int] = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}

DECODERS_IN_FILES_BYTES = 2 * 2**30
"""From this size on decoders are not held, as `transcoder/load.py` has it (which imports torch)."""
_PADDING, _SLACK, _BESIDE = 1.5, 256, 24
"""Slots for each in use, more for each layer, and for each position (error, constant, rounding up): more than
`trace/column_layout.py` lays out."""
_TAKEN_BYTES = 32
"""Per row and node while edges between nodes are picked out of the rows: values, indices, masks."""
_EDGE_BYTES = 56
"""Per row and node of a graph: its dense matrix (4) and, if pruning keeps all of it, that once more (4), scores (8),
those in order (24) and two masks; or every edge's source and weight on the host (8)."""
_BETWEEN_BYTES = 4
"""Per row and feature node, from which influence is ranked; a layer at a time in float64."""
_KEPT_BYTES = 8
"""Of an edge kept by itself: slot and value."""
_DROPPING_BYTES, _DROPPING_AT_ONCE = 96, 2**21
"""Of each edge looked at while the largest are found, and so many edges (`trace/sparse_edges.py`)."""
_KERNELS_BYTES = 2**28
"""What oneDNN keeps of the kernels that it compiles for sizes of bfloat16 products."""
_KEPT_SHARE = 0.2
"""Share of all edges, zeros included, that carry 99% of their rows: 0.15 where it was measured (135 M parameters)."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of one prompt beside the weights, by part."""

    tape: int
    """Attention patterns L·H·P², inputs and outputs of every MLP, logits."""
    vectors: int
    """What active features, errors and constants write: one vector for each layer written to."""
    rows: int
    """Every row over every slot, or what `keep_row_mass` leaves of it, and the edges between nodes with rows."""
    sweep: int
    """Gradients of one batch of rows at every position, and the batch's edges before any are dropped."""
    assembly: int
    """The rows of chosen columns, dense, and what pruning or reading them makes."""

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
    sweep_rows: int
    bytes: MemoryEstimate
    num_operations: float


def resident_bytes(
    model: ModelShape, transcoders: TranscoderShape, dtype: Precision, slices: int = 1
) -> tuple[int, int]:
    """Weights of model and transcoders that every worker holds all the time; large decoders stay in their files.

    Of transcoders in slices those of the first, which has the skips and what the decoders add to.
    """
    item = ITEM_BYTES[dtype]
    decoders = model.d_model * sum(
        features * len(transcoders.writes_to(layer)) for layer, features in enumerate(transcoders.features_L)
    )
    in_files = item * decoders >= DECODERS_IN_FILES_BYTES * slices
    held = transcoders.num_parameters - (decoders if in_files else 0)
    whole = transcoders.num_layers * model.d_model * (1 + model.d_model * transcoders.has_skip)  # biases and skips
    held = whole + -(-max(0, held - whole) // slices)
    return item * (model.num_parameters + model.num_copied), item * held


def sweep_item_bytes(trace: TraceConfig, dtype: Precision) -> int:
    """Bytes of a number in the sweep, as `trace/device.py` has it (which imports torch)."""
    if trace.sweep_dtype == "float32" and dtype == "float64":
        return 8
    return {"float32": 4, "tf32": 4, "bfloat16": 2, "float64": 8}[trace.sweep_dtype]


def cost_of(
    num_tokens: int,
    model: ModelShape,
    transcoders: TranscoderShape,
    trace: TraceConfig,
    dtype: Precision,
    active_per_site: float,
    sweep_rows: int,
) -> Cost:
    """What a prompt of that many tokens, leading special token included, takes with that many rows in a sweep."""
    item, layers, width = ITEM_BYTES[dtype], model.num_layers, model.d_model
    swept = sweep_item_bytes(trace, dtype)
    sites = layers * num_tokens
    active = round(active_per_site * layers * (num_tokens - 1))
    features = active if trace.max_feature_nodes is None else min(trace.max_feature_nodes, active)
    rows, slots = features + trace.max_targets, round(_PADDING * active) + _BESIDE * sites + _SLACK * layers
    batch, edge = min(sweep_rows, rows), max(4, swept)
    nodes = features + sites + num_tokens
    pattern = layers * model.num_heads * num_tokens**2
    folded = layers * model.head_dim * width * (model.num_heads + model.num_kv_heads)
    between = _BETWEEN_BYTES * rows * features if features < active else 0
    dense = edge * rows * slots
    kept = dense if trace.keep_row_mass == 1 else min(dense, round(_KEPT_SHARE * _KEPT_BYTES * rows * slots))
    dropping = 0 if trace.keep_row_mass == 1 else _DROPPING_BYTES * max(slots, _DROPPING_AT_ONCE) + edge * batch * slots
    size = MemoryEstimate(
        tape=item * (pattern + 3 * sites * width) + swept * (pattern + folded) + 4 * model.vocab_size,
        vectors=swept * width * (round(slots * _layers_written(transcoders)) + 4 * sites) + 4 * width * slots // layers,
        rows=kept + between,
        sweep=batch * sweep_row_bytes(model, num_tokens, swept) + dropping + _KERNELS_BYTES * (swept == 2),
        assembly=_TAKEN_BYTES * batch * nodes + _EDGE_BYTES * min(rows * nodes, rows * slots),
    )
    flops = _before_rows(num_tokens, model, transcoders) + _rows(
        rows, num_tokens, model, active_per_site * _layers_written(transcoders)
    )
    rankings = -(-features // trace.round_size) if features < active else 0
    return Cost(num_tokens, active, rows, sweep_rows, size, flops + rankings * rows * slots)


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
