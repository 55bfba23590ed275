"""What is known about a feature, from a store alone and with a profile, in counts that can be done by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from profiles import write_profile
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly

from distributed_tracer.documents.json_text import to_json_types
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph, Target
from distributed_tracer.graph.labels import Label
from distributed_tracer.graph.nodes import ActiveTable, NodeTable
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, Neighbour, WeightedToken
from distributed_tracer.profile.reader import open_profile
from distributed_tracer.profile.same_features import check_profile
from distributed_tracer.query.average_neighbours import average_neighbours
from distributed_tracer.query.feature_summary import feature_summary
from distributed_tracer.store.annotations import write_labels
from distributed_tracer.store.reader import Store, open_store

TOKENS = ("<bos>", " Dallas", " is")
# nodes: features 0:5 at 1, 1:7 at 1, 1:7 at 2, an error of layer 0 at 1, a token at each position, two targets
PAIRS = {(1, 0): 2.0, (2, 0): 1.0, (1, 3): -0.5, (1, 5): 3.0, (7, 1): 4.0, (7, 2): 1.0, (8, 1): -2.0}
"""Weights of edges, by number of target and source."""


def graph_of(prompt_id: str, scale: float = 1.0, answers: tuple[str, str] = (" Austin", " Houston")) -> Graph:
    """The graph that PAIRS describes, with weights, activations and influences times `scale`."""
    graph = random_graph(prompt_id, num_layers=2, num_positions=3, num_active=3, num_targets=2, pruned=False)
    columns = ([0, 1, 1], [1, 1, 2], [5, 7, 7])
    layer_A, position_A, feature_A = (np.array(column) for column in columns)
    activation_A = np.array([1.0, 2.0, 4.0], dtype=np.float32) * np.float32(scale)
    active = ActiveTable(layer_A.astype("i2"), position_A.astype("i4"), feature_A.astype("i4"), activation_A)
    tokens_P = np.array([1, 50, 60], dtype=np.int32)
    nodes = NodeTable.build(active, 2, tokens_P, np.array([2, 2], dtype=np.int32))
    kept = (nodes.kind_N != 1) | ((nodes.layer_N == 0) & (nodes.position_N == 1))
    nodes = nodes.take(np.flatnonzero(kept))
    assert len(nodes) == 9
    ordered = sorted(PAIRS)
    size = len(nodes)
    degree = np.bincount([target for target, _ in ordered], minlength=size)
    zeros = np.zeros(size, dtype=np.float32)
    targets = tuple(Target(label, 9 + number, 0.5, 2, 1.0) for number, label in enumerate(answers))
    return replace(
        graph,
        text="Dallas is",
        tokens_P=tokens_P,
        token_strings=TOKENS,
        nodes=nodes,
        active=active,
        targets=targets,
        indptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source_E=np.array([source for _, source in ordered], dtype=np.int32),
        weight_E=np.array([PAIRS[pair] * scale for pair in ordered], dtype=np.float32),
        row_abs_sum_N=zeros,
        row_abs_sum_all_N=zeros,
        row_abs_dropped_N=zeros,
        constant_N=zeros,
        influence_N=(np.arange(size) * scale).astype(np.float32),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    graphs = [graph_of("a"), graph_of("b", 2.0, (" Austin", " Paris")), random_graph("c", num_layers=2)]
    made = make_store(str(tmp_path / "store"), graphs)
    write_labels(made.root, [(1, 7, Label("Texas", "me")), (0, 5, Label("city", "me")), (0, 5, Label("town", "you"))])
    return open_store(made.url)


def test_edges_are_summed_over_positions_and_averaged_over_prompts(store: Store) -> None:
    into = average_neighbours(store, 1, 7, "into", {"a", "b"}, 10)
    assert into["name"].tolist() == ["0:5", " Dallas", ""]
    assert into["kind"].tolist() == ["feature", "token", "error"]
    assert into["mean_weight"].tolist() == nearly([3 * 1.5, 3 * 1.5, -0.5 * 1.5], 2, torch.float32)
    assert into["share"].tolist() == nearly([3 / 6.5, 3 / 6.5, 0.5 / 6.5], 4, torch.float32)
    assert into["prompts"].tolist() == [2, 2, 2]
    out = average_neighbours(store, 1, 7, "out", {"a", "b"}, 2)
    assert out["name"].tolist() == [" Austin", " Paris"], "targets with one label are one, whatever their number"
    assert out["mean_weight"].tolist() == nearly([5 * 1.5, -4.0], 2, torch.float32)
    assert out["prompts"].tolist() == [2, 1]
    assert len(average_neighbours(store, 0, 5, "into", {"a"}, 5)) == 0


def test_a_store_says_what_it_knows_of_a_feature(store: Store) -> None:
    found = feature_summary(store, 1, 7)
    assert found["labels"] == [{"text": "Texas", "source": "me"}]
    assert found["nodes"] == {
        "num_nodes": 4,
        "num_prompts": 2,
        "prompts_in_store": 3,
        "max_activation": 8.0,
        "mean_activation": 4.5,
        "mean_influence": (1 + 2 + 2 + 4) / 4,
    }
    context = Context(0, "b", 2, 0, TOKENS, (0.0, 4.0, 8.0))._asdict()
    assert found["contexts"] == [{**context, "alike": 2}], "both prompts have this text"
    assert [row["prompt"] for row in found["acts_in"]] == ["b", "a"]
    assert found["acts_in"][0] == {
        "prompt": "b",
        "influence": 6.0,
        "activation": 8.0,
        "positions": [1, 2],
        "tokens": [" Dallas", " is"],
        "text": "Dallas is",
        "targets": [" Austin", " Paris"],
    }
    assert found["driven_by"][0]["labels"] == [{"text": "city", "source": "me"}, {"text": "town", "source": "you"}]
    assert [row["feature"] for row in found["together"]] == [5]
    assert (found["profile"], found["promoted"], found["neighbours"]) == (None, [], [])
    json.dumps(to_json_types(found), allow_nan=False)


def test_activations_that_a_store_did_not_keep_are_unknown(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [graph_of("a")], store_active=False)
    (context,) = feature_summary(store, 1, 7)["contexts"]
    assert [math.isnan(value) for value in context["activations"]] == [True, False, False]


def test_a_profile_gives_contexts_tokens_and_neighbours(store: Store) -> None:
    strong = [Context(0, f"s{number}", 0, 0, (f"x{number}",), (9.0 - number,)) for number in range(6)]
    strong.insert(1, Context(0, "as s0", 0, 0, ("x0", "more"), (9.0, 0.0)))
    weak = [Context(quantile, f"w{quantile}", 0, 0, (f"w{quantile}",), (1.0,)) for quantile in (1, 2, 3)]
    profile = FeatureProfile(
        *(1, 7, 30, 20, 1000, 50, 9.0, 3.0),
        contexts=(*strong, *weak),
        promoted=(WeightedToken(3, " Austin", 2.0), WeightedToken(4, " Dallas", 1.0)),
        suppressed=(WeightedToken(5, " Paris", -1.0),),
        neighbours=(Neighbour(0, 5, 0.9),),
    )
    found = feature_summary(store, 1, 7, profile, top=4)
    assert [context["prompt"] for context in found["contexts"]] == ["s0", "s1", "w1", "w2"]
    assert "as s0" not in [context["prompt"] for context in feature_summary(store, 1, 7, profile)["contexts"]]
    assert [context["prompt"] for context in feature_summary(store, 1, 7, profile, top=1)["contexts"]] == ["s0"]
    assert found["profile"]["density"] == 0.03
    assert found["promoted"][0] == {"token_id": 3, "token": " Austin", "weight": 2.0}
    assert found["neighbours"][0]["labels"][0]["text"] == "city"


def test_a_feature_of_no_graph_is_told_from_one_that_does_not_exist(store: Store) -> None:
    found = feature_summary(store, 1, 999_999)
    assert found["not_a_node"].startswith("no graph has feature 1:999999 as a node; of layer 1,")
    assert found["contexts"] == found["acts_in"] == found["driven_by"] == found["together"] == []
    with pytest.raises(ConfigError, match="layer 2 is not among the 2"):
        feature_summary(store, 2, 0)


def test_a_profile_of_other_transcoders_is_refused(store: Store, tmp_path: Path) -> None:
    content = {"model": "sha256:1", "transcoders": "sha256:2"}
    written = [FeatureProfile(1, 7, 1, 1, 10, 1, 1.0, 1.0)]
    profile = open_profile(write_profile(tmp_path / "P", written, {"content": content, "transcoders": "t\x1b"}))
    check_profile(store, profile)  # the store does not record any
    store.info["content"] = dict(content)
    check_profile(store, profile)
    store.info["content"]["transcoders"] = "sha256:3"
    with pytest.raises(ConfigError, match=r"another set of transcoders \('t\\x1b', 'sha256:2'\) than .*'sha256:3'\)"):
        check_profile(store, profile)
    store.info |= {"content": content, "num_features": [8, 8]}
    profile.info = {**profile.info, "features_of_layers": [8, 16]}
    with pytest.raises(ConfigError, match=r"\[8, 16\] features in their layers, and those of .* have \[8, 8\]"):
        check_profile(store, profile)
