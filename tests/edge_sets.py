"""Graphs whose edges are shares of known rows, and the contrast of edges by Python dictionaries, edge after edge."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from atlas_by_dictionary import Site, site_of
from random_graphs import random_graph

from distributed_tracer.graph.graph import Graph, Target
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable

Edge = tuple[Site, Site]
"""Target and source."""
LAYERS, POSITIONS, FEATURES = 2, 3, 3
NAMES = ("alpha", "beta", "gamma", "delta")
TARGET: Site = (LAYERS, int(NodeKind.TARGET), 7)


def edge_graph(
    prompt: str,
    rng: np.random.Generator,
    more: Mapping[Edge, float] | None = None,
    *,
    tokens: tuple[int, ...] | None = None,
    without: Iterable[Site] = (),
    keep: float = 0.6,
    awkward: bool = True,
    **metadata: Any,
) -> Graph:
    """A graph of few sites, so that prompts share edges. `more` is added to the weights of some edges.

    Tokens are numbers of NAMES; features `without` are not active. Each edge that causality allows is there with
    probability `keep`; rows have mass beside their edges; if `awkward`, some features have no row, and some weights are
    not finite.
    """
    tokens_P = np.array(rng.integers(0, 2, POSITIONS) if tokens is None else tokens, dtype=np.int32)
    base = random_graph(prompt, num_layers=LAYERS, num_positions=len(tokens_P), num_active=0, num_targets=1)
    sites = [
        (layer, position, feature)
        for layer in range(LAYERS)
        for position in range(len(tokens_P))
        for feature in range(FEATURES)
        if rng.random() < 0.5 and (layer, int(NodeKind.FEATURE), feature) not in {*without}
    ]
    layer, position, feature = np.array(sites, dtype=np.int64).reshape(-1, 3).T
    activation = rng.exponential(1.0, len(sites)).astype(np.float32)
    active = ActiveTable(layer.astype(np.int16), position.astype(np.int32), feature.astype(np.int32), activation)
    nodes = NodeTable.build(active, LAYERS, tokens_P, np.array([len(tokens_P) - 1], dtype=np.int32))
    base = replace(base, nodes=nodes, active=active, tokens_P=tokens_P, targets=(Target(" T", 7, 0.5, 2, 1.0),))
    own = [site_of(base, node) for node in range(len(nodes))]
    sources, weights, sums = [], [], np.full((4, len(nodes)), np.nan, dtype=np.float32)
    for node, site in enumerate(own):
        lacks_row = awkward and site[1] == NodeKind.FEATURE and rng.random() < 0.2
        if site[1] not in (NodeKind.FEATURE, NodeKind.TARGET) or lacks_row:
            sources.append(np.zeros(0, np.int32))
            weights.append(np.zeros(0, np.float32))
            continue
        is_before = (nodes.layer_N < site[0]) & (nodes.position_N <= nodes.position_N[node])
        chosen = np.flatnonzero(is_before & (rng.random(len(nodes)) < keep))
        weight = rng.standard_normal(len(chosen))
        weight += [(more or {}).get((site, own[source]), 0.0) for source in chosen]
        if awkward and rng.random() < 0.03 and len(weight):
            weight[0] = rng.choice([np.nan, np.inf])
        sources.append(chosen.astype(np.int32))
        weights.append(weight.astype(np.float32))
        constant = rng.standard_normal()
        kept = float(np.abs(weights[-1][np.isfinite(weights[-1])]).sum(dtype=np.float64)) + abs(constant)
        pruned, other = (rng.exponential(1.0), rng.exponential(0.2)) if awkward else (0.0, 0.0)
        sums[:, node] = kept + pruned, kept + pruned + other, other / 2, constant
    degree = [len(source) for source in sources]
    row_abs_sum, row_abs_sum_all, dropped, constant_N = sums
    return replace(
        base,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.concatenate(sources),
        weight_E=np.concatenate(weights),
        row_abs_sum_N=row_abs_sum,
        row_abs_sum_all_N=row_abs_sum_all,
        row_abs_dropped_N=dropped,
        constant_N=constant_N,
        constant_node=True,
        influence_N=np.ones(len(nodes), dtype=np.float32),
        token_strings=tuple(NAMES[token] for token in tokens_P),
        metadata=metadata,
    )


def values_of(graph: Graph) -> tuple[dict[Edge, float], dict[Site, tuple[float, float]]]:
    """Return the sum of weights of each edge, and for each target its row's sum and the share that is missing."""
    weight: dict[Edge, float] = defaultdict(float)
    row: dict[Site, float] = defaultdict(float)
    missing: dict[Site, float] = defaultdict(float)
    own = [site_of(graph, node) for node in range(len(graph.nodes))]
    for node, site in enumerate(own):
        edges = range(int(graph.indptr[node]), int(graph.indptr[node + 1]))
        if math.isnan(graph.row_abs_sum_N[node]) and not len(edges):
            continue
        stored = 0.0
        for edge in edges:
            value = float(graph.weight_E[edge])
            weight[site, own[int(graph.source_E[edge])]] += value
            stored += abs(value)
        constant = abs(float(graph.constant_N[node])) if graph.constant_node else 0.0
        row[site] += float(graph.row_abs_sum_N[node])
        missing[site] += float(graph.row_abs_sum_all_N[node]) - constant - stored
    shares = {site: missing[site] / row[site] if math.isfinite(missing[site]) else math.nan for site in row}
    return weight, {site: (row[site], 0.0 if share < 0 else share) for site, share in shares.items()}


def share_means(graphs: Iterable[Graph], edge: Edge, cluster: str) -> dict[str, float]:
    """Return the mean share, presence and so on of an edge in one set, over clusters of prompts."""
    found: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    prompts = unknown = 0
    for graph in sorted(graphs, key=lambda graph: graph.prompt_id):
        weight, rows = values_of(graph)
        own = found[graph.metadata[cluster]]
        own["presence"].append(float(edge in weight))
        prompts += edge in weight
        share = math.nan
        if edge[0] in rows:
            share = weight.get(edge, 0.0) / rows[edge[0]][0]
        if math.isfinite(share):
            own["mean"].append(share)
            if math.isfinite(rows[edge[0]][1]):
                own["missing"].append(rows[edge[0]][1])
        else:
            unknown += 1
        own["row_share"].append(float(math.isfinite(share)))
    means = {"prompts": float(prompts), "unknown": float(unknown)}
    for name in ("mean", "presence", "row_share", "missing"):
        values = [sum(own[name]) / len(own[name]) for _, own in sorted(found.items()) if own[name]]
        means[name] = sum(values) / len(values) if values else math.nan
    means["clusters"] = float(sum(1 for own in found.values() if own["mean"]))
    return means
