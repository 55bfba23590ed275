"""Graphs of small models equal circuit-tracer's: the cases and what they cover are listed in tests/cases/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_graphs import assert_same
from rounding import additions, largest, round_off
from tiny import CASES

from distributed_tracer.config import TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.prune import prune
from distributed_tracer.model.load import load_model
from distributed_tracer.prompt import Prompt, TargetSpec
from distributed_tracer.trace.attribute import attribute, attribute_dense
from distributed_tracer.trace.dense_graph import DenseGraph
from distributed_tracer.transcoder.load import load_transcoders

REFERENCES = sorted(CASES.glob("*/ref_*.npz"))


def graph_of(reference: Path) -> DenseGraph:
    """Our graph of a reference's prompt, with every active feature and without the constant."""
    directory = reference.parent
    case = json.loads((directory / "case.json").read_text())
    options = case["variants"][reference.stem.split("_", 2)[2]]
    targets = [TargetSpec(token=t) for t in [*options.get("targets_ids", ()), *options.get("targets_str", ())]]
    if "targets_custom" in options:
        custom = np.load(directory / "targets_custom.npz")
        targets = [
            TargetSpec(direction=tuple(vector.tolist()), weight=float(weight), label=str(name))
            for name, weight, vector in zip(custom["names"], custom["probs"], custom["vecs"], strict=True)
        ]
    return attribute_dense(
        Prompt("case", tokens=tuple(case["prompt_ids"]), targets=tuple(targets)),
        load_model(str(directory / "model")),
        load_transcoders(str(directory / "transcoders")),
        TraceConfig(
            max_feature_nodes=None,
            constant_node=False,
            max_targets=options.get("max_n_logits", 10),
            target_mass=options.get("desired_logit_prob", 0.95),
        ),
    )


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_edges_scores_and_pruning_are_the_same(reference: Path) -> None:
    expected = np.load(reference)
    config = json.loads((reference.parent / "model" / "config.json").read_text())
    width = config.get("hidden_size") or config["n_embd"]
    dense = graph_of(reference)
    graph = dense.whole()
    active = graph.active
    sites = np.stack([active.layer_A, active.position_A, active.feature_A], 1)
    np.testing.assert_array_equal(sites, expected["active_features"])
    # A value near a threshold, like any other, is off by the round-off of what it is summed up from.
    terms = additions(graph.num_layers, width)
    off = round_off(torch.float32, terms, largest(expected["activation_values"]))
    np.testing.assert_allclose(active.activation_A, expected["activation_values"], rtol=0, atol=off)
    off = round_off(torch.float32, terms, largest(expected["last_logits"]))  # of a logit; a probability's, relative
    np.testing.assert_allclose([t.weight for t in graph.targets], expected["logit_probabilities"], rtol=off)
    adjacency, reference_edges = graph.adjacency(), expected["adjacency_matrix"]
    off = round_off(torch.float32, terms)  # an edge's, relative to the largest
    assert largest(adjacency - reference_edges) <= off * largest(reference_edges)
    scores = (graph.scores.replacement, graph.scores.completeness)
    # Scores are means over nodes, whose edges are off independently of each other.
    np.testing.assert_allclose(scores, expected["graph_scores"], rtol=off / len(adjacency) ** 0.5)
    pruned = dense.pruned(*expected["prune_thresholds"])
    kept = np.zeros(len(adjacency), dtype=bool)
    kept[pruned.dense_index_N()] = True
    kept_reference = _with_features_of(pruned, expected)
    np.testing.assert_array_equal(pruned.nodes.feature_N, kept_reference)
    assert pruned.num_edges == len(expected["prune_edge_dst"])
    assert_same(pruned, prune(graph, *expected["prune_thresholds"]))


def _with_features_of(pruned: Graph, expected: Any) -> np.ndarray:
    """`feature_N` of the nodes that the reference keeps."""
    kept = np.flatnonzero(expected["prune_node_mask"])
    num_features, num_positions = len(expected["selected_features"]), len(expected["input_tokens"])
    first_token = len(expected["prune_node_mask"]) - len(pruned.targets) - num_positions
    feature_of = np.full(len(expected["prune_node_mask"]), -1)
    feature_of[:num_features] = expected["active_features"][expected["selected_features"], 2]
    feature_of[first_token : first_token + num_positions] = expected["input_tokens"]
    feature_of[first_token + num_positions :] = np.arange(len(pruned.targets))
    return feature_of[kept]


def test_a_budget_takes_the_most_influential_features_whatever_the_batch() -> None:
    reference = CASES / "llama_relu_plt" / "ref_nnsight_full.npz"
    whole = graph_of(reference).whole()
    off = round_off(torch.float32, additions(whole.num_layers, 48), largest(whole.adjacency()))
    chosen: list[np.ndarray] = []
    for sweep_rows in (7, 256):
        graph = attribute(
            Prompt("case", tokens=tuple(whole.tokens_P.tolist())),
            load_model(str(reference.parent / "model")),
            load_transcoders(str(reference.parent / "transcoders")),
            TraceConfig(max_feature_nodes=60, round_size=20, sweep_rows=sweep_rows, constant_node=False),
        )
        assert len(graph.nodes.where(NodeKind.FEATURE)) == 60
        chosen.append(graph.selected_features())
        # A node that was chosen has the same row as in the whole graph, on the columns both have.
        both = np.concatenate([graph.selected_features(), np.arange(len(whole.active), len(whole.nodes))])
        difference = graph.adjacency() - whole.adjacency()[np.ix_(both, both)]
        assert largest(difference) <= off
    np.testing.assert_array_equal(chosen[0], chosen[1])
    kept_influence = whole.influence_N[chosen[0]].sum() / whole.influence_N[: len(whole.active)].sum()
    assert kept_influence > 0.6, "60 of 457 features, chosen greedily, carry most of the influence"
