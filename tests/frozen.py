"""One tiny prompt, traced in float64 and replayed through the model library's own modules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tiny import ARCHITECTURES, ROWS, save_transcoders, tiny_model
from torch import Tensor

from distributed_tracer.config import TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.model.forward_cache import ForwardCache, run_with_cache
from distributed_tracer.model.model import Model
from distributed_tracer.trace.encode import ActiveFeatures, encode
from distributed_tracer.trace.rows import EdgeBlock, RowComputer
from distributed_tracer.trace.targets import ResolvedTargets, resolve_targets
from distributed_tracer.transcoder.base import Transcoders
from distributed_tracer.transcoder.load import load_transcoders

TOKENS = (1, 40, 296, 86, 28, 263, 270, 297, 295, 269)
FLAVOURS: dict[str, dict[str, Any]] = {
    "plt-relu-skip": {"skip": True},
    "clt-jumprelu-resid": {
        "kind": "clt",
        "activation": "jumprelu",
        "input_site": "hook_resid_mid",
        "output_site": "hook_mlp_out",
    },
    "plt-topk-normalized": {
        "activation": "topk",
        "input_site": "ln2.hook_normalized",
        "output_site": "hook_mlp_out",
    },
}
"""Together they cover both kinds, all activation functions, all sites, with and without a skip connection."""


@dataclass(frozen=True)
class Case:
    """Everything about one prompt that comes before its rows are computed; all tensors are float64."""

    model: Model
    transcoders: Transcoders
    cache: ForwardCache
    features: ActiveFeatures
    directions: ResolvedTargets
    rows: RowComputer
    skips: list[Tensor | None]

    def all_rows(self) -> tuple[Tensor, Tensor]:
        """Return rows [A + K, C] and constants [A + K] of every active feature, then of every target."""
        every, slot_C = torch.arange(len(self.features)), self.features.columns.slot_C
        parts = [
            _in_order(self.rows.of_features(every), slot_C),
            _in_order(self.rows.of_targets(self.directions), slot_C),
        ]
        rows, constants = zip(*parts, strict=True)
        return torch.cat(rows), torch.cat(constants)


def _in_order(blocks: Iterable[EdgeBlock], slot_C: Tensor) -> tuple[Tensor, Tensor]:
    found = list(blocks)
    order = torch.cat([block.node_B for block in found]).argsort()
    rows = torch.cat([block.edges.take(slot_C) for block in found])
    return rows[order], torch.cat([block.constant_B for block in found])[order]


def build(directory: Path, architecture: str, flavour: str, **flags: Any) -> Case:
    """Make a random model and random transcoders of one flavour, encoded on TOKENS."""
    source = save_transcoders(directory / f"{architecture}-{flavour}", **FLAVOURS[flavour])
    model = tiny_model(architecture, torch.float64, **flags)
    transcoders = load_transcoders(str(source), dtype="float64")
    shape = transcoders.shape
    cache = run_with_cache(model, TOKENS, shape.input_site, shape.output_site)
    features = encode(model, cache, transcoders, zeroed=1, sweep_dtype=torch.float64)
    directions = resolve_targets((), model, cache, transcoders, TraceConfig(max_targets=3))
    rows = RowComputer(model, cache, transcoders, features, sweep_rows=64)
    skips = [transcoders.skip(layer) for layer in range(shape.num_layers)]
    return Case(model, transcoders, cache, features, directions, rows, skips)


FULL = [(a, f) for a in ARCHITECTURES for f in FLAVOURS if a != "olmo2" or "normalized" not in f]
"""Every architecture with every flavour; OLMo 2 has no norm before its MLP."""
_ONE_MORE = [("granite", "clt-jumprelu-resid"), ("phi", "clt-jumprelu-resid"), ("phi", "plt-topk-normalized")]
DECISIVE = [*FULL, *((a, "plt-relu-skip") for a in ROWS), *_ONE_MORE]
"""FULL, and every other architecture with the flavour that involves the most: all norms, the MLP's sites and a skip."""

LONGROPE = {
    "max_position_embeddings": 64,
    "original_max_position_embeddings": 8,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0, 1.1, 1.5, 2.0],
        "long_factor": [1.5, 4.0, 9.0, 30.0],
        "original_max_position_embeddings": 8,
    },
}
LENGTHS: dict[str, tuple[str, dict[str, Any]]] = {
    "longrope": ("phi3", LONGROPE),
    "dynamic": (
        "llama",
        {
            "max_position_embeddings": 7,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 8.0},
        },
    ),
    "scaled by position": ("ministral3", {}),
    "chunks": ("llama4_text", {}),
    "windows": ("cohere2", {}),
}
"""Models that treat a long sequence differently from a short one."""


def node_names(graph: Graph) -> list[tuple[int, ...]]:
    """Return kind, layer, position and feature of every node."""
    nodes = graph.nodes
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    return list(zip(*(column.tolist() for column in columns), strict=True))
