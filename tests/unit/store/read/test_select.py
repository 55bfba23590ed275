"""Selected prompts against a slow look at every graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph, Target
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.reader import Store

METADATA: list[dict[str, Any]] = [{"topic": "states", "hops": 2}, {"topic": "capitals"}, {"hops": 2, "text": "x"}, {}]
LABELS = (" Austin", "Austin", "Austin - Texas", "Aust", "in")


def graph(number: int) -> Graph:
    made = random_graph(f"p{number:02}", seed=number, metadata=METADATA[number % 4], num_positions=4 + number % 3)
    target = Target(LABELS[number % 5], number % 4 - 1, 0.5, 3, 1.0)
    tokens_P = made.tokens_P.copy()
    tokens_P[1] = number % 6
    strings = (*made.token_strings[:-1], (" Texas", "Texas", "exas", "", "  Texas")[number % 5])
    return replace(made, targets=(made.targets[0], target), tokens_P=tokens_P, token_strings=strings)


GRAPHS = [graph(number) for number in range(24)]
FEATURES = GRAPHS[5].nodes.take(GRAPHS[5].nodes.where(NodeKind.FEATURE))
FEATURE = int(FEATURES.layer_N[0]), int(FEATURES.feature_N[0])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    superseded = replace(random_graph("p03", seed=99), token_strings=(" Texas",) * 5)
    return make_store(str(tmp_path_factory.mktemp("select")), GRAPHS[12:], GRAPHS[:9], GRAPHS[9:12], [superseded])


def has_node(graph: Graph, layer: int, feature: int | None = None) -> bool:
    nodes = graph.nodes
    hits = (nodes.kind_N == NodeKind.FEATURE) & (nodes.layer_N == layer)
    return bool(np.any(hits if feature is None else hits & (nodes.feature_N == feature)))


CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[Graph], bool]]] = {
    "all": ({}, lambda g: True),
    "metadata": ({"metadata": {"hops": 2}}, lambda g: g.metadata.get("hops") == 2),
    "one of": ({"metadata": {"topic": ["states", None]}}, lambda g: g.metadata.get("topic") in ("states", None)),
    "function": (
        {"metadata": {"topic": lambda topics: np.array([bool(topic) for topic in topics])}},
        lambda g: "topic" in g.metadata,
    ),
    "size": ({"metadata": {"num_tokens": [4, 6]}}, lambda g: len(g.tokens_P) in (4, 6)),
    "score": ({"metadata": {"replacement": lambda scores: scores > 0.5}}, lambda g: g.scores.replacement > 0.5),
    "size and metadata": (
        {"metadata": {"num_tokens": 5, "metadata.hops": 2}},
        lambda g: len(g.tokens_P) == 5 and g.metadata.get("hops") == 2,
    ),
    "named like a column, in full": ({"metadata": {"metadata.text": "x"}}, lambda g: g.metadata.get("text") == "x"),
    "named like a column": ({"metadata": {"text": "x"}}, lambda g: g.metadata.get("text") == "x"),
    "score within bounds": ({"min_replacement": 0.5}, lambda g: g.scores.replacement >= 0.5),
    "sizes": (
        {"max_num_tokens": 5, "min_num_edges": 200},
        lambda g: len(g.tokens_P) <= 5 and g.num_edges >= 200,
    ),
    "token id": ({"token": 3}, lambda g: 3 in g.tokens_P),
    "token text": ({"token": "Texas"}, lambda g: {" Texas", "Texas"} & {*g.token_strings}),
    "token text with its space": ({"token": " Texas"}, lambda g: " Texas" in g.token_strings),
    "token text without a space": ({"token": '"Texas"'}, lambda g: "Texas" in g.token_strings),
    "target label with its space": ({"target": " Austin"}, lambda g: " Austin" in {t.label for t in g.targets}),
    "target label without a space": ({"target": '"Austin"'}, lambda g: "Austin" in {t.label for t in g.targets}),
    "empty token": ({"token": ""}, lambda g: {"", " "} & {*g.token_strings}),
    "target id": ({"target": 2}, lambda g: 2 in [t.token_id for t in g.targets]),
    "target label": ({"target": "Austin"}, lambda g: {" Austin", "Austin"} & {t.label for t in g.targets}),
    "difference": ({"target": "Austin - Texas"}, lambda g: "Austin - Texas" in [t.label for t in g.targets]),
    "layer": ({"layer": 1}, lambda g: has_node(g, 1)),
    "feature": ({"feature": FEATURE}, lambda g: has_node(g, *FEATURE)),
    "several": (
        {"metadata": {"hops": 2}, "min_completeness": 0.2, "token": "Texas", "layer": 2},
        lambda g: (
            g.metadata.get("hops") == 2
            and g.scores.completeness >= 0.2
            and bool({" Texas", "Texas"} & {*g.token_strings})
            and has_node(g, 2)
        ),
    ),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_those_that_meet_all_conditions(store: Store, case: str) -> None:
    conditions, meets = CONDITIONS[case]
    expected = [graph.prompt_id for graph in GRAPHS if meets(graph)]
    assert case in ("all", "layer") or 0 < len(expected) < len(GRAPHS)
    assert store.select(**conditions) == expected


def test_no_edge_is_read(store: Store) -> None:
    for chunk in (Path(store.url) / "parts").glob("*/edges/*/c/*"):
        chunk.unlink()
    assert store.select({"hops": 2}, token="Texas", target=2, layer=1, feature=FEATURE, min_replacement=0.0) is not None


def test_what_there_is_not_is_answered_with_what_there_is(store: Store) -> None:
    with pytest.raises(
        ConfigError,
        match=r"no metadata, score or size 'topics'; there are topic, hops, text, id, .* Did you mean 'topic'\?$",
    ):
        store.select({"topics": "states"})
    with pytest.raises(ConfigError, match="no bound 'min_id'; min_ and max_ go with num_tokens, "):
        store.select(min_id=3)
    with pytest.raises(ConfigError, match=r"no bound 'replacement'.* Did you mean 'max_replacement' or "):
        store.select(replacement=0.5)
    for wrong in ("0.8", float("nan"), True):
        with pytest.raises(ConfigError, match="min_replacement must be a number, not "):
            store.select(min_replacement=wrong)  # type: ignore[arg-type]
    for layer in (3, 99, -1, "1", True):
        with pytest.raises(ConfigError, match=f"layer {layer!r} is not among the 3 of .*: 0 to 2"):
            store.select(layer=layer)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"layer 3 is not among the 3 of .*: 0 to 2"):
        store.occurrences(3, 5)
    for site in ((-1, 5), (1, 2.0), "1:5", (1, True), (1, 2, 3)):
        with pytest.raises(ConfigError, match=r"a feature is \(layer, index\), whole numbers from 0, not "):
            store.select(feature=site)  # type: ignore[arg-type]
    for token in (1.5, True, ["Texas"]):
        with pytest.raises(ConfigError, match="token is an id or a text, not "):
            store.select(token=token)  # type: ignore[arg-type]


def test_numbers_may_come_from_numpy(store: Store) -> None:
    assert store.select(token=np.int64(3)) == store.select(token=3) != []
    site = (np.int16(FEATURE[0]), np.int32(FEATURE[1]))
    assert store.select(feature=site) == store.select(feature=FEATURE) != []  # type: ignore[arg-type]
    assert store.select({"hops": np.int64(2)}) == store.select({"hops": 2}) != []


def test_metadata_are_compared_with_values_of_their_own_kind(tmp_path: Path) -> None:
    values = [True, False, 1, 0, None]
    graphs = [random_graph(f"p{i}", seed=i, metadata={"mixed": v, "flag": i > 2}) for i, v in enumerate(values)]
    store = make_store(str(tmp_path), graphs)
    assert store.select({"mixed": True}) == ["p0"], "no number is a boolean"
    assert store.select({"mixed": [0, None]}) == ["p3", "p4"]
    with pytest.raises(ConfigError, match="'flag' holds booleans, not text such as 'True'"):
        store.select({"flag": "True"})
    with pytest.raises(ConfigError, match="conditions on metadata are a mapping"):
        store.select("flag=true")  # type: ignore[arg-type]


def test_a_metadata_key_hides_the_size_of_its_name_which_still_has_bounds(tmp_path: Path) -> None:
    graphs = [random_graph(f"p{i}", seed=i, num_positions=4 + i, metadata={"num_tokens": 5 - i}) for i in range(3)]
    store = make_store(str(tmp_path), graphs)
    assert store.select({"num_tokens": 5}) == store.select({"metadata.num_tokens": 5}) == ["p0"]
    assert store.select(min_num_tokens=5, max_num_tokens=5) == ["p1"]
    with pytest.raises(ConfigError, match="'num_nodes' holds numbers, not text such as '20'"):
        store.select({"num_nodes": "20"})


def test_an_empty_store_has_none(tmp_path: Path) -> None:
    store = make_store(str(tmp_path / "empty"))
    assert store.select(token="Texas", min_replacement=0.1, feature=(1, 2)) == []
