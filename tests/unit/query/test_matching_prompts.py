from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.query.matching_prompts import matching_prompts
from distributed_tracer.store.reader import Store

METADATA = ({"hops": 2, "topic": "a=b"}, {"hops": "2"}, {"hops": 3, "num_edges": True}, {})
GRAPHS = [random_graph(f"p{i}", seed=i, num_positions=3 + i, metadata=METADATA[i]) for i in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(str(tmp_path), GRAPHS)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([], ["p0", "p1", "p2", "p3"]),
        (["hops=2"], ["p0", "p1"]),
        (["hops=null"], ["p3"]),
        (["topic=a=b"], ["p0"]),
        (["metadata.num_edges=true"], ["p2"]),
        ([f"num_edges={GRAPHS[2].num_edges}"], ["p2"]),
        (["metadata.hops=3", f"num_edges>={GRAPHS[2].num_edges}"], ["p2"]),
        (["num_tokens>=4", "num_tokens<=5"], ["p1", "p2"]),
        (["num_tokens=5"], ["p2"]),
        (["hops=2", "num_tokens<=3"], ["p0"]),
        (["replacement>=1.5"], []),
    ],
)
def test_conditions_as_text(store: Store, where: list[str], expected: list[str]) -> None:
    assert list(matching_prompts(store, where)["id"]) == expected


def test_digits_are_ids(store: Store) -> None:
    token, target = int(GRAPHS[1].tokens_P[0]), GRAPHS[2].targets[0]
    assert list(matching_prompts(store, [], token=str(token))["id"]) == ["p1"]
    assert list(matching_prompts(store, [], target=str(target.token_id))["id"]) == ["p2"]
    assert list(matching_prompts(store, [], target=target.label)["id"]) == ["p0", "p1", "p2", "p3"]


def test_digits_in_double_quotes_are_a_text(tmp_path: Path) -> None:
    made = random_graph("seven", seed=0)
    store = make_store(str(tmp_path), [replace(made, token_strings=("7", *made.token_strings[1:]))])
    assert 7 not in made.tokens_P
    assert len(matching_prompts(store, [], token="7")) == 0
    assert len(matching_prompts(store, [], token='"7"')) == 1


def test_metadata_are_columns_of_the_answer(store: Store) -> None:
    found = matching_prompts(store, ["hops=3"])
    assert [found[name][0] for name in ("id", "hops", "topic", "metadata.num_edges")] == ["p2", 3, None, True]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("hops", "a condition is KEY=VALUE, KEY>=VALUE or KEY<=VALUE, as in topic=capitals, not 'hops'"),
        ("hop=2", "no metadata, score or size 'hop'; there are hops, topic, metadata.num_edges, id, .*'hops'"),
        ("metadata.num_tokens=2", "no metadata, score or size 'metadata.num_tokens'; there are "),
        ("replacement>=high", "'replacement>=high' compares with text, but 'replacement' holds numbers"),
        ("topic>=3", "'topic>=3' compares with numbers, but 'topic' holds text"),
    ],
)
def test_mistakes_are_answered_with_what_there_is(store: Store, condition: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        matching_prompts(store, [condition])


def test_one_condition_may_be_given_by_itself(store: Store) -> None:
    assert list(matching_prompts(store, "hops=3")["id"]) == ["p2"]
