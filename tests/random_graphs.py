"""Random graphs that keep the contract of `Graph` and are awkward wherever the contract allows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from distributed_tracer.graph.graph import Graph, Scores, Target
from distributed_tracer.graph.nodes import ActiveTable, NodeTable

_QUIET_NAN = np.array([0x7FC12345], dtype=np.uint32).view(np.float32)[0]  # a NaN with a payload


def random_graph(
    prompt_id: str = "p",
    *,
    seed: int = 0,
    num_layers: int = 3,
    num_positions: int = 5,
    num_active: int = 40,
    num_selected: int | None = None,
    num_targets: int = 2,
    density: float = 0.3,
    pruned: bool = True,
    text: str | None = "some text",
    metadata: dict[str, Any] | None = None,
) -> Graph:
    """A graph whose values are random but whose tables are in canonical order. `pruned` drops some errors."""
    rng = np.random.default_rng(seed)
    active = _active(rng, num_layers, num_positions, num_active)
    count = len(active) if num_selected is None else min(num_selected, len(active))
    chosen = np.sort(rng.choice(len(active), count, replace=False))
    columns = (active.layer_A, active.position_A, active.feature_A, active.activation_A)
    tokens_P = rng.integers(0, 50_000, num_positions).astype(np.int32)
    target_positions = np.full(num_targets, num_positions - 1, dtype=np.int32)
    selected = ActiveTable(*(column[chosen] for column in columns))
    nodes = NodeTable.build(selected, num_layers, tokens_P, target_positions)
    if pruned:
        keep = (nodes.kind_N != 1) | (rng.random(len(nodes)) < 0.5)
        nodes = nodes.take(np.flatnonzero(keep))
    size = len(nodes)
    degree = rng.binomial(size, density, size) * ((nodes.kind_N == 0) | (nodes.kind_N == 3))
    source = [np.sort(rng.choice(size, d, replace=False)) for d in degree]
    weight = rng.standard_normal(int(degree.sum())).astype(np.float32)
    return Graph(
        prompt_id=prompt_id,
        text=text,
        tokens_P=tokens_P,
        num_layers=num_layers,
        targets=tuple(_target(rng, k, num_positions) for k in range(num_targets)),
        nodes=nodes,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.concatenate([np.empty(0), *source]).astype(np.int32),
        weight_E=weight,
        row_abs_sum_N=np.where(degree > 0, rng.random(size), np.nan).astype(np.float32),
        row_abs_sum_all_N=np.where(degree > 0, rng.random(size), _QUIET_NAN).astype(np.float32),
        constant_N=np.where(degree > 0, rng.standard_normal(size), np.nan).astype(np.float32),
        influence_N=rng.random(size).astype(np.float32),
        active=active,
        scores=_scores(rng, num_layers),
        metadata={} if metadata is None else metadata,
    )


def _active(rng: np.random.Generator, num_layers: int, num_positions: int, count: int) -> ActiveTable:
    sites = rng.choice(num_layers * num_positions * 1000, count, replace=False)
    layer, position, feature = np.unravel_index(np.sort(sites), (num_layers, num_positions, 1000))
    activation = rng.exponential(1.0, count).astype(np.float32)
    return ActiveTable(layer.astype(np.int16), position.astype(np.int32), feature.astype(np.int32), activation)


def _target(rng: np.random.Generator, number: int, num_positions: int) -> Target:
    label = [" Aus\ntin", "答え\x1b[31m", "", "🧪 - a"][number % 4]
    token_id = -1 if number % 4 == 3 else int(rng.integers(0, 50_000))
    return Target(label, token_id, float(rng.random()), num_positions - 1, float(rng.standard_normal()))


def _scores(rng: np.random.Generator, num_layers: int) -> Scores:
    return Scores(
        replacement=float(rng.random()),
        completeness=float(rng.random()),
        constant_share=float(rng.random()),
        error_share_L=tuple(rng.random(num_layers).tolist()),
        path_length_H=tuple(rng.random(int(rng.integers(0, 6))).tolist()),
        closing_error=float(rng.random()) * 1e-6,
    )
