"""A feature for people: where it is active survives a pipe, and no text from outside steers a terminal."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.graph.labels import Label
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, Neighbour, WeightedToken
from distributed_tracer.query.feature_summary import feature_summary
from distributed_tracer.report.feature import context_text, feature_text
from distributed_tracer.store.annotations import write_labels
from distributed_tracer.store.reader import Store, open_store

HOSTILE = "\x1b[2J\r\n<b>\u202e\ud800"


def context(*tokens: str, at: int, also: tuple[int, ...] = ()) -> dict[str, object]:
    activations = [2.0 if place == at else 1.0 if place in also else 0.0 for place in range(len(tokens))]
    return Context(0, "p", at + 7, 7, tokens, tuple(activations))._asdict()


def test_marks_show_where_a_feature_is_active_also_without_colour() -> None:
    found = context(" Fort", " Smith", " is", at=1, also=(0,))
    assert context_text(found) == "[ Fort][[ Smith]] is"
    assert context_text(found, colour=True) == "[\x1b[4m Fort\x1b[0m][[\x1b[1;7m Smith\x1b[0m]] is"
    unknown = {**found, "activations": [math.nan, 2.0, math.nan]}
    assert context_text(unknown) == " Fort[[ Smith]] is"


def test_a_long_context_is_cut_around_its_token() -> None:
    tokens = [f" word{number:03}" for number in range(100)]
    text = context_text(context(*tokens, at=50))
    assert text.startswith("… word043")
    assert text.endswith(" word053…")
    assert "[[ word050]]" in text
    assert context_text(context("x" * 500, at=0)) == f"[[{'x' * 500}]]"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    graphs = [random_graph(f"p{number}", seed=number, text=HOSTILE) for number in range(2)]
    return make_store(str(tmp_path / "store"), graphs)


def test_no_text_from_outside_steers_a_terminal(store: Store) -> None:
    graph = store.graph("p0")
    node = int(graph.nodes.where(NodeKind.FEATURE)[0])
    site = int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])
    every = {(int(layer), int(index)) for one in store.graphs() for layer, index in zip(
        one.nodes.layer_N, one.nodes.feature_N, strict=True) if 0 <= layer < 3 and index >= 0}  # fmt: skip
    write_labels(store.root, [(*one, Label(HOSTILE, HOSTILE)) for one in every])
    tokens = (WeightedToken(1, HOSTILE, 1.0),)
    profile = FeatureProfile(
        *(*site, 1, 1, 10, 1, 1.0, 1.0, (0.5,), (0.5,)),
        contexts=(Context(0, HOSTILE, 1, 0, (HOSTILE, HOSTILE), (math.nan, 1.0)),),
        promoted=tokens,
        suppressed=tokens,
        neighbours=(Neighbour(*site, 0.5),),
    )
    for known in (None, profile):
        text = feature_text(feature_summary(open_store(store.url), *site, known))
        assert all(c.isprintable() or c == "\n" for c in text)
        assert r"\x1b[2J" in text
        text.encode()


def test_each_source_is_named_and_unknown_things_are_left_out(store: Store) -> None:
    write_labels(store.root, [(0, 10**6, Label("Texas", "me")), (0, 10**6, Label("a city", "gpt"))])
    text = feature_text(feature_summary(open_store(store.url), 0, 10**6))
    assert "labels    'Texas' (me)\n          'a city' (gpt)\n" in text
    assert "graphs    no graph has feature 0:1000000 as a node" in text
    assert "contexts  none in this store's graphs" in text
    assert "promotes" not in text
    assert "what it drives" not in text
