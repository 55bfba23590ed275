"""Random graphs whose features and tokens recur, and the comparison of atlases that are made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from random_graphs import random_graph

from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine.result import Result

FEW_FEATURES = 12


def graph(number: int, num_active: int = 60) -> Graph:
    """A random graph whose features and tokens recur in other graphs and at several positions of one graph."""
    sizes: Any = {"num_positions": 12, "num_active": num_active, "num_targets": 3, "density": 0.25}
    found = random_graph(f"prompt-{number:02d}", seed=number, **sizes)
    nodes = found.nodes
    modulus_N = np.where(nodes.kind_N == 0, FEW_FEATURES, np.where(nodes.kind_N == 2, 4, 1 << 30))
    targets = tuple(replace(target, token_id=target.token_id % 3) for target in found.targets)
    feature_N = np.where(nodes.feature_N < 0, nodes.feature_N, nodes.feature_N % modulus_N).astype(np.int32)
    weight_E = found.weight_E.copy()
    weight_E[5:9] = [0.0, 1e30, -1e30, np.inf][: len(weight_E[5:9])]
    rng = np.random.default_rng(number)
    row_abs_sum_N = np.where(rng.random(len(nodes)) < 0.1, np.nan, found.row_abs_sum_N).astype(np.float32)
    active = replace(
        found.active,
        feature_A=found.active.feature_A % FEW_FEATURES,
        computed_A=None if number % 3 == 0 else rng.random(len(found.active)) < 0.5,
    )
    return replace(
        found,
        active=active,
        nodes=replace(nodes, feature_N=feature_N),
        targets=targets,
        weight_E=weight_E,
        row_abs_sum_N=row_abs_sum_N,
        metadata={"family": f"f{number % 3}"} if number % 5 else {},
    )


def assert_same_statistics(found: Result, expected: Result) -> None:
    """Every column has the same bits, if the rows of both are read whole."""
    for name in ("edges", "features", "sites"):
        ours, theirs = found.table(name), expected.table(name)
        assert ours.columns == theirs.columns
        for column in ours.columns:
            assert np.array_equal(ours[column], theirs[column], equal_nan=ours[column].dtype.kind == "f"), column
