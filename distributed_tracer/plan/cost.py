"""Cost: the bytes and floating-point operations of one prompt, computed from sizes alone.

The only unknown is the number of active features; `active_per_site` is its assumed mean per position and layer.
Axes: L layer, H attention head, P position.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..config import DecoderPlace, Precision, TraceConfig
from ..shapes import ModelShape, TranscoderShape
from .sizing import EDGES_EXAMINED_AT_ONCE, EDGES_WEIGHTED_AT_ONCE, expected_slots, sweep_precision, sweep_row_bytes

ITEM_BYTES: dict[Precision, int] = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}

_TAKEN_BYTES = 32
"""Bytes per row and node while the edges between nodes are selected from the rows: values, indices, masks."""
_EDGE_BYTES = 56
"""Bytes per row and node of a graph: its dense matrix (4) and, if pruning keeps all of it, a second copy (4), scores
(8), sorted scores (24) and two masks; or the source and weight of every edge on the host (8)."""
_BETWEEN_BYTES = 4
"""Bytes per row and feature node of the matrix from which influence is ranked, one layer at a time in float64."""
_KEPT_BYTES = 8
"""Bytes per kept edge: slot (4) and value (4)."""
_DROPPING_BYTES = 96
"""Bytes per edge examined while the largest edges are found."""
_KERNELS_BYTES = 2**28
"""Bytes that oneDNN keeps for the kernels that it compiles for sizes of bfloat16 products."""
_KEPT_SHARE = 0.2
"""Share of all edges, zeros included, that carry 99% of their rows' mass: 0.15 was measured (135 M parameters)."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of one prompt in bytes, by component, without the weights."""

    forward_cache: int
    """Bytes of the forward cache: attention patterns L·H·P², inputs and outputs of every MLP, logits."""
    vectors: int
    """Bytes of the vectors that active features, errors and constants write, one for each layer written to."""
    rows: int
    """Bytes of every row over every slot, or of what `keep_row_mass` leaves of it, and of the edges between nodes that
    have rows."""
    sweep: int
    """Bytes of the gradients of one batch of rows at every position, and of its edges before any are dropped."""
    assembly: int
    """Bytes of the dense rows of the chosen columns, and of the intermediate results of pruning or reading them."""

    @property
    def total(self) -> int:
        """Peak bytes: the larger of those during a sweep and those during assembly, after the last sweep."""
        return self.forward_cache + self.vectors + self.rows + max(self.sweep, self.assembly)

    def largest(self) -> tuple[str, int]:
        """Return the name and the bytes of the largest component."""
        return max(((part.name, getattr(self, part.name)) for part in fields(self)), key=lambda part: part[1])


@dataclass(frozen=True)
class Cost:
    """Sizes, memory and floating-point operations of one prompt."""

    num_tokens: int
    num_active: int
    num_rows: int
    sweep_rows: int
    bytes: MemoryEstimate
    num_operations: float


def resident_bytes(
    model: ModelShape,
    transcoders: TranscoderShape,
    dtype: Precision,
    slices: int = 1,
    decoders: DecoderPlace = "device",
) -> tuple[int, int]:
    """Return the bytes of the model's and of the transcoders' weights that every worker holds all the time.

    Decoders are counted if they live on the device, as `decoders` says. If the transcoders are sharded, this is the
    size of the first shard, which also holds the skip connections and the decoder biases.
    """
    decoder, others = transcoder_bytes(transcoders, dtype, slices)
    held = others + (decoder if decoders == "device" else 0)
    return ITEM_BYTES[dtype] * (model.num_parameters + model.num_copied), held


def transcoder_bytes(transcoders: TranscoderShape, dtype: Precision, slices: int = 1) -> tuple[int, int]:
    """Return the bytes of the decoders and of all other weights of a set of transcoders, or of its first shard."""
    item, decoders = ITEM_BYTES[dtype], transcoders.num_decoder_weights()
    width, layers = transcoders.d_model, transcoders.num_layers
    whole = layers * width * (1 + width * transcoders.has_skip)  # decoder biases and skips are not divided
    divided = max(0, transcoders.num_parameters - decoders - whole)
    return item * -(-decoders // slices), item * (whole + -(-divided // slices))


def sweep_item_bytes(trace: TraceConfig, dtype: Precision) -> int:
    """Return the bytes of one number in a sweep. `dtype` is the precision of the forward pass."""
    return ITEM_BYTES[sweep_precision(trace.sweep_dtype, dtype)]


def cost_of(
    num_tokens: int,
    model: ModelShape,
    transcoders: TranscoderShape,
    trace: TraceConfig,
    dtype: Precision,
    active_per_site: float,
    sweep_rows: int,
    device: str = "cpu",
) -> Cost:
    """Return the cost of a prompt with `num_tokens` tokens and `sweep_rows` rows per sweep.

    `num_tokens` includes the leading special token. `device` is the type of the device, "cpu" or "cuda".
    """
    item, layers, width = ITEM_BYTES[dtype], model.num_layers, model.d_model
    swept = sweep_item_bytes(trace, dtype)
    sites = layers * num_tokens
    active = round(active_per_site * layers * (num_tokens - 1))
    features = active if trace.max_feature_nodes is None else min(trace.max_feature_nodes, active)
    rows, slots = features + trace.max_targets, expected_slots(active, sites, layers)
    batch, edge = min(sweep_rows, rows), max(4, swept)
    nodes = features + sites + num_tokens
    pattern = layers * model.num_heads * num_tokens**2
    folded = layers * model.head_dim * width * (model.num_heads + model.num_kv_heads)
    between = _BETWEEN_BYTES * rows * features if features < active else 0
    dense = edge * rows * slots
    kept = dense if trace.keep_row_mass == 1 else min(dense, round(_KEPT_SHARE * _KEPT_BYTES * rows * slots))
    if trace.keep_row_mass < 1:
        of_edges = _DROPPING_BYTES * max(slots, EDGES_EXAMINED_AT_ONCE[device]) + edge * batch * slots
    else:
        of_edges = 0 if device == "cpu" else edge * EDGES_WEIGHTED_AT_ONCE
    size = MemoryEstimate(
        forward_cache=item * (pattern + 3 * sites * width) + swept * (pattern + folded) + 4 * model.vocab_size,
        vectors=swept * width * (round(slots * _layers_written(transcoders)) + 4 * sites) + 4 * width * slots // layers,
        rows=kept + between,
        sweep=batch * sweep_row_bytes(model, num_tokens, swept, device)
        + of_edges
        + _KERNELS_BYTES * (swept == 2 and device == "cpu"),
        assembly=_TAKEN_BYTES * batch * nodes + _EDGE_BYTES * min(rows * nodes, rows * slots),
    )
    flops = _before_rows(num_tokens, model, transcoders) + _rows(
        rows, num_tokens, model, active_per_site * _layers_written(transcoders)
    )
    rankings = -(-features // trace.features_per_round) if features < active else 0
    return Cost(num_tokens, active, rows, sweep_rows, size, flops + rankings * rows * slots)


def _layers_written(transcoders: TranscoderShape) -> float:
    """Return the mean number of layers that a feature writes to."""
    return sum(len(transcoders.writes_to(layer)) for layer in range(transcoders.num_layers)) / transcoders.num_layers


def _before_rows(num_tokens: int, model: ModelShape, transcoders: TranscoderShape) -> float:
    """Return the operations of the forward pass and the encoders: two per weight and position, plus attention."""
    encoders = model.d_model * sum(transcoders.features_L)
    attention = 4 * model.num_layers * model.num_heads * model.head_dim * num_tokens**2
    return 2.0 * num_tokens * (model.num_parameters + encoders) + attention


def _rows(num_rows: int, num_tokens: int, model: ModelShape, written_per_site: float) -> float:
    """Return the operations of all sweeps. A row starts at its own layer and passes half of the layers on average."""
    heads = model.num_heads * model.head_dim
    values = model.num_kv_heads * model.head_dim
    per_site = 2 * model.d_model * (heads + values + written_per_site + 2) + 2 * heads * num_tokens
    return num_rows * model.num_layers / 2 * num_tokens * per_site
