"""Scores of real small graphs: shares are shares, and lengths of paths cannot exceed the depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounding import nearly, of_roundings
from tiny import CASES

from distributed_tracer.config import TraceConfig
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.model.load import load_model
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.transcoder.load import load_transcoders


@pytest.mark.parametrize("constant_node", [True, False])
def test_all_influence_ends_in_errors_tokens_and_the_constant(constant_node: bool) -> None:
    case = CASES / "llama_relu_clt"
    model, transcoders = load_model(str(case / "model")), load_transcoders(str(case / "transcoders"))
    graph = attribute("Once upon a time", model, transcoders, TraceConfig(None, constant_node=constant_node))
    scores, tokens = graph.scores, graph.nodes.where(NodeKind.TOKEN)
    weight = sum(target.weight for target in graph.targets)
    token_share = graph.influence_N[tokens].sum(dtype=np.float64) / weight
    # Scores are float64. Each of the influences here was rounded to float32, as each row's sum was before every hop.
    off = of_roundings(torch.float32, 2 + model.shape.num_layers)
    assert sum(scores.error_share_L) + token_share + scores.constant_share == pytest.approx(1, abs=off)
    assert scores.replacement == pytest.approx(token_share / (token_share + sum(scores.error_share_L)), abs=off)
    assert sum(scores.path_length_H) == nearly(1, len(graph.nodes))
    assert len(scores.path_length_H) <= model.shape.num_layers + 1
    assert 0 < scores.completeness < 1
    assert (scores.constant_share > 0) == constant_node
    first_hop = np.abs(graph.adjacency().astype(np.float64)[graph.dense_index_N()[graph.nodes.where(NodeKind.TARGET)]])
    first_hop = first_hop[:, len(graph.nodes.where(NodeKind.FEATURE)) :].sum(1)
    rows = graph.row_abs_sum_N[graph.nodes.where(NodeKind.TARGET)]
    constants = np.abs(graph.constant_N[graph.nodes.where(NodeKind.TARGET)]) * constant_node
    direct = ((first_hop + constants) / rows * [target.weight for target in graph.targets]).sum() / weight
    assert scores.path_length_H[0] == pytest.approx(direct, abs=off)
