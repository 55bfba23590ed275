"""Pruning a real small graph: what stays, what goes, and that nothing dangles."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from random_graphs import random_graph
from tiny import CASES

from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.edge_strength import row_sums
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.influence import edge_shares
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.prune import prune
from distributed_tracer.model.load import load_model
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.transcoder.load import load_transcoders


@lru_cache
def _graph(constant_node: bool) -> Graph:
    case = CASES / "gpt2_relu_plt"
    model, transcoders = load_model(str(case / "model")), load_transcoders(str(case / "transcoders"))
    return attribute("Fact: the capital", model, transcoders, TraceConfig(None, constant_node=constant_node))


@pytest.mark.parametrize("constant_node", [True, False])
def test_nothing_dangles_and_tokens_and_targets_stay(constant_node: bool) -> None:
    whole = _graph(constant_node)
    kept = prune(whole, 0.7, 0.9)
    assert len(kept.nodes) < len(whole.nodes)
    assert kept.num_edges < whole.num_edges
    for kind in (NodeKind.TOKEN, NodeKind.TARGET):
        assert len(kept.nodes.where(kind)) == len(whole.nodes.where(kind))
    features = kept.nodes.where(NodeKind.FEATURE)
    assert np.isin(features, kept.target_E()).all()
    assert np.isin(np.concatenate([features, kept.nodes.where(NodeKind.ERROR)]), kept.source_E).all()


def test_what_is_kept_is_unchanged() -> None:
    whole = _graph(True)
    kept = prune(whole)
    dense, full = kept.adjacency(), whole.adjacency()
    where = np.flatnonzero(np.isin(whole.selected_features(), kept.selected_features()))
    index = np.concatenate([where, np.arange(len(whole.nodes.where(NodeKind.FEATURE)), len(full))])
    present = dense != 0
    np.testing.assert_array_equal(dense[present], full[np.ix_(index, index)][present])
    assert kept.scores == whole.scores


def test_higher_thresholds_keep_more() -> None:
    whole = _graph(True)
    sizes = [(len(kept.nodes), kept.num_edges) for t in (0.3, 0.6, 0.9) for kept in (prune(whole, t, t),)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_graph_without_influence_keeps_tokens_and_targets() -> None:
    whole = _graph(True)
    silent = replace(
        whole,
        weight_E=np.zeros_like(whole.weight_E),
        influence_N=np.zeros_like(whole.influence_N),
        row_abs_sum_N=np.zeros_like(whole.row_abs_sum_N),
    )
    kept = prune(silent)
    assert {NodeKind(k) for k in np.unique(kept.nodes.kind_N)} >= {NodeKind.TOKEN, NodeKind.TARGET}


@pytest.mark.parametrize("weight", [np.inf, -np.inf, np.nan])
def test_a_graph_with_an_edge_that_is_not_finite_is_refused_and_has_paths_without_it(weight: float) -> None:
    whole = random_graph()
    assert np.flatnonzero(np.isnan(whole.weight_E)).tolist() == [0]
    weight_E = np.where(np.arange(len(whole.weight_E)) == 3, np.float32(weight), whole.weight_E)
    broken = replace(whole, weight_E=weight_E)
    with pytest.raises(ConfigError, match=r"not known or beyond float32: the weights of 2 edges"):
        prune(broken)
    share_E = edge_shares(broken.target_E(), weight_E, row_sums(broken))
    assert share_E[3] == 0
    assert np.isfinite(share_E).all()


@pytest.mark.parametrize("share", [80, 0.0, -0.1, float("nan"), "0.8", None])
def test_a_threshold_is_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match=r"node_threshold must be in \(0, 1\], not "):
        prune(random_graph(), node_threshold=share)
    with pytest.raises(ConfigError, match=r"edge_threshold must be in \(0, 1\], not "):
        prune(random_graph(), edge_threshold=share)
