"""Random graphs that satisfy the contract of `Graph` and are difficult wherever the contract allows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from distributed_tracer.graph.graph import Graph, Scores, Target
from distributed_tracer.graph.nodes import ActiveTable, NodeTable
from distributed_tracer.graph.norm_scales import NormScales

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
    """Return a graph with random values whose tables are in canonical order. `pruned` drops some errors."""
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
    source = [np.sort(rng.choice(size, d, replace=False)) for d in degree if d]
    weight = rng.standard_normal(int(degree.sum())).astype(np.float32)
    weight[:3] = [np.nan, -0.0, 1e-42][: len(weight)]
    return Graph(
        prompt_id=prompt_id,
        text=text,
        tokens_P=tokens_P,
        token_strings=tuple(rng.choice(["", " the", "é", "北京", "\x1b[31m", "\ufffd"], num_positions).tolist()),
        num_layers=num_layers,
        targets=tuple(_target(rng, k, num_positions) for k in range(num_targets)),
        nodes=nodes,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.concatenate([np.empty(0), *source]).astype(np.int32),
        weight_E=weight,
        row_abs_sum_N=np.where(degree > 0, rng.random(size), np.nan).astype(np.float32),
        row_abs_sum_all_N=np.where(degree > 0, rng.random(size), _QUIET_NAN).astype(np.float32),
        row_abs_dropped_N=np.where(degree > 0, rng.random(size), _QUIET_NAN).astype(np.float32),
        constant_N=np.where(degree > 0, rng.standard_normal(size), np.nan).astype(np.float32),
        influence_N=rng.random(size).astype(np.float32),
        active=active,
        scores=_scores(rng, num_layers),
        constant_node=bool(rng.random() < 0.5),
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


def with_added_columns(graph: Graph, seed: int = 0) -> Graph:
    """The graph with what early versions did not store: norm scales, and which features' rows were computed."""
    rng = np.random.default_rng(seed)
    size, num_layers = len(graph.tokens_P), graph.num_layers
    read_PL, write_PL = rng.lognormal(0.0, 1.0, (2, size, num_layers)).astype(np.float32)
    scales = NormScales(read_PL, write_PL, rng.lognormal(0.0, 1.0, size).astype(np.float32))
    computed_A = rng.random(len(graph.active)) < 0.5
    computed_A[graph.selected_features()] = True
    return replace(graph, scales=scales, active=replace(graph.active, computed_A=computed_A))


def finite(graph: Graph) -> Graph:
    """Return the graph with weights that JSON can hold."""
    return replace(graph, weight_E=np.nan_to_num(graph.weight_E, nan=0.25))


AWKWARD = {
    "plain": random_graph(),
    "unpruned": random_graph("all", seed=1, pruned=False, num_selected=10),
    "without features": random_graph("none", seed=2, num_active=0),
    "one token": random_graph("one", seed=3, num_positions=1, num_active=4),
    "without edges": random_graph("bare", seed=4, density=0.0),
    "without targets, given as tokens": random_graph("tokens", seed=5, num_targets=0, text=None),
    "empty text": random_graph("", seed=6, text=""),
    "unicode": random_graph(
        "ид/../🧪\x00\x1b[2J\n\u202e",
        seed=7,
        text="\t首都は\r\n\x07‮ \ud83d lone 🧑‍🚀 é",
        num_targets=4,
        metadata={"über": "\x1b]0;x\x07", "n": [1, {"a": None}], "x": 0.1, "text": 1, "lone": "\udc00"},
    ),
    "wide": random_graph("wide", seed=8, num_positions=17_000, num_active=60, density=2e-5, pruned=False),
}
"""Graphs that a store must return bit for bit, by what makes them difficult; `wide` has over 65,535 nodes."""


def with_edges_upwards(graph: Graph) -> Graph:
    """The graph without the edges that no model can have, from a layer to itself or down."""
    target_E = graph.target_E()
    keep_E = graph.nodes.layer_N[graph.source_E] < graph.nodes.layer_N[target_E]
    degree_N = np.bincount(target_E[keep_E], minlength=len(graph.nodes))
    indptr = np.concatenate([[0], np.cumsum(degree_N)]).astype(np.int64)
    return replace(graph, source_E=graph.source_E[keep_E], weight_E=graph.weight_E[keep_E], indptr=indptr)


def assert_same(one: Graph, other: Graph) -> None:
    """Assert that every field is equal, arrays in dtype and bit for bit (a NaN's payload included)."""
    for name in ("prompt_id", "text", "token_strings", "num_layers", "constant_node", "metadata"):
        assert getattr(one, name) == getattr(other, name), name
    assert repr((one.targets, one.scores)) == repr((other.targets, other.scores))
    assert (one.scales is None) == (other.scales is None)
    assert (one.active.computed_A is None) == (other.active.computed_A is None)
    tables = [(graph, graph.nodes, graph.active, *([graph.scales] if graph.scales else [])) for graph in (one, other)]
    for part, same in zip(*tables, strict=True):
        for name, values in vars(part).items():
            if isinstance(values, np.ndarray):
                there = getattr(same, name)
                assert values.dtype == there.dtype, name
                assert values.tobytes() == there.tobytes(), name
