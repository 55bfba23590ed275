"""Edges of graphs as they are stored, against the model that they are of."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from jobs_of_cases import CASES, TEXTS
from rounding import additions, largest, of_roundings, round_off

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.evaluate.ablation import AblationResult, ablate_sources, sample_sources
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.prune import prune
from distributed_tracer.model.model import Model
from distributed_tracer.prompt import Prompt, TargetSpec
from distributed_tracer.transcoder.base import Transcoders

NAMES = ("gemma2_jumprelu_plt", "gpt2_relu_plt", "llama_relu_clt", "qwen3_topk_skip_tied")
TERMS = additions(num_layers=4, d_model=48)
ROUND_OFF = round_off(torch.float32, TERMS)  # of the largest edge; a wrong edge is off by its own size


@cache
def loaded(name: str, dtype: str = "float32") -> tuple[Model, Transcoders]:
    case = CASES / name
    return load_model(str(case / "model"), dtype), load_transcoders(str(case / "transcoders"), dtype)


def traced(name: str, *targets: TargetSpec) -> Graph:
    prompt = Prompt("p", text=TEXTS[0], targets=targets)
    return attribute(prompt, *loaded(name), TraceConfig(max_feature_nodes=60, round_size=16))


def probes_of(graph: Graph, name: str, count: int = 12, **options: int) -> AblationResult:
    return ablate_sources(graph, *loaded(name), sample_sources(graph, count).tolist(), **options)


def largest_difference(found: AblationResult) -> float:
    """Largest difference between the direct effect and the weight, as a share of the largest weight; 0 without
    edges."""
    return largest(found.direct_E - found.weight_E) / largest(found.weight_E) if len(found.weight_E) else 0.0


@pytest.mark.parametrize("name", NAMES)
def test_stored_edges_are_what_happens_where_nothing_reacts(name: str) -> None:
    graph = prune(traced(name))
    found = probes_of(graph, name)
    assert len(found.weight_E) >= 12
    assert largest_difference(found) < ROUND_OFF
    assert len(np.unique(found.source_E)) == min(12, len(sample_sources(graph, 12)))
    assert largest(found.reacting_E - found.weight_E) > 10 * ROUND_OFF * largest(found.weight_E), "something does react"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_a_coarse_stream_hides_no_edge(name: str, dtype: torch.dtype) -> None:
    parts = loaded(name, str(dtype).removeprefix("torch."))
    graph = prune(attribute(Prompt("p", text=TEXTS[0]), *parts, TraceConfig(max_feature_nodes=60, round_size=16)))
    found = ablate_sources(graph, *parts, sample_sources(graph, 12).tolist())
    assert len(found.weight_E) >= 12
    # An edge is made of two vectors and an activation; attention and norms round what passes through 4 layers.
    assert largest_difference(found) < of_roundings(dtype, 3 + 2 * 4)


def test_a_wrong_edge_is_seen() -> None:
    graph = prune(traced("llama_relu_clt"))
    source = sample_sources(graph, 1)[0]
    weight_E = graph.weight_E.copy()
    (edge, *_) = np.flatnonzero(graph.source_E == source)
    weight_E[edge] += 0.01 * np.abs(weight_E).max()
    found = ablate_sources(replace(graph, weight_E=weight_E), *loaded("llama_relu_clt"), [int(source)])
    assert largest_difference(found) > 100 * ROUND_OFF


def test_a_batch_of_one_measures_the_same_as_a_batch_of_many() -> None:
    graph = prune(traced("gemma2_jumprelu_plt"))
    many, ones = (probes_of(graph, "gemma2_jumprelu_plt", 5, cases_at_once=size) for size in (32, 1))
    order = np.lexsort((ones.target_E, ones.source_E)), np.lexsort((many.target_E, many.source_E))
    np.testing.assert_array_equal(ones.weight_E[order[0]], many.weight_E[order[1]])
    values = [target.value for target in graph.targets]
    of = largest(np.nan_to_num(graph.nodes.activation_N), values)  # what is lost is the difference of two such values
    for name in ("direct_E", "reacting_E"):
        one, of_many = (getattr(found, name)[at] for found, at in zip((ones, many), order, strict=True))
        np.testing.assert_allclose(one, of_many, rtol=0, atol=round_off(torch.float32, TERMS, of))


def test_targets_that_are_no_token_are_left_out() -> None:
    graph = traced("llama_relu_clt", TargetSpec(token=40), TargetSpec(token=40, minus=41))
    known, unknown = graph.nodes.where(NodeKind.TARGET).tolist()
    found = probes_of(graph, "llama_relu_clt", 1000)
    assert known in found.target_E
    assert unknown not in found.target_E
    assert largest_difference(found) < ROUND_OFF


def test_a_graph_without_features_has_nothing_to_probe() -> None:
    graph = prune(traced("llama_relu_clt"))
    found = ablate_sources(graph, *loaded("llama_relu_clt"), [])
    assert len(found.source_E) == 0
    assert largest_difference(found) == 0.0
