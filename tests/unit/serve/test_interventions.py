"""Interventions through the API's handlers: the same numbers as in Python, wrong bodies, kept results, loading."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rounding import of_roundings
from serving import DEMO, PROMPTS, make_store

from distributed_tracer.errors import ConfigError, InputError, PromptNotFound
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.intervene.intervention_graph import InterventionGraph
from distributed_tracer.intervene.supernode import Supernode
from distributed_tracer.serve.api.interventions import keep_result, kept_results, model_state, run_intervention
from distributed_tracer.serve.endpoint import Json
from distributed_tracer.serve.loaded_model import loaded_model
from distributed_tracer.serve.node_names import key_text
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings

DALLAS, OAKLAND = {"prompt": "dallas"}, {"prompt": "oakland"}
MODEL, PLT, CLT = (str(DEMO / name) for name in ("model", "transcoders/plt", "transcoders/clt"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("interventions"), PROMPTS[:2])


@pytest.fixture(scope="module")
def served(store: Path) -> ServedStore:
    found = ServedStore(ServeSettings(str(store), model=MODEL, transcoders=PLT, author="Ann"))
    loaded(found)
    return found


def loaded(served: ServedStore) -> str:
    """Load the model and wait for it; the state that it ends in."""
    model = loaded_model(served)
    model.load()
    deadline = time.monotonic() + 120
    while model.state == "loading" and time.monotonic() < deadline:
        time.sleep(0.05)
    return model.state


def features(served: ServedStore, count: int, query: dict[str, str] = DALLAS) -> list[str]:
    """The most influential features of a graph."""
    graph, every = served.graph(query["prompt"]), node_keys(served.graph(query["prompt"]))
    nodes = sorted(graph.nodes.where(NodeKind.FEATURE).tolist(), key=lambda node: -graph.influence_N[node])
    return [key_text(every[node]) for node in nodes[:count]]


def ran(served: ServedStore, supernodes: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = run_intervention(served, DALLAS, {"supernodes": supernodes, **options}).value
    return found


def test_an_intervention_has_the_numbers_that_python_gives(served: ServedStore) -> None:
    members = features(served, 6)
    found = ran(
        served,
        [{"name": "top", "members": members, "set": "times", "number": 0}, {"name": "one", "members": members[:0:-5]}],
        generate=3,
    )
    assert found["state"] == "ready"
    graph, every = served.graph("dallas"), [key_text(key) for key in node_keys(served.graph("dallas"))]
    top = Supernode.of_nodes("top", graph, sorted(map(every.index, members)))
    one = Supernode.of_nodes("one", graph, sorted(map(every.index, members[:0:-5])))
    replacement = loaded_model(served).replacement
    assert replacement is not None
    setup = InterventionGraph(replacement, graph.tokens_P.tolist(), [top, one])
    expected = setup.apply({"top": 0.0}).summary()
    assert {name: found[name] for name in expected} == expected
    after = replacement.generate(graph.tokens_P.tolist(), setup.interventions({"top": 0.0}), max_new_tokens=3)
    assert found["generated"]["after"] == after
    assert found["supernodes"][0]["after"] == 0.0
    assert found["sources"] == {"top": members, "one": members[:0:-5]}


def test_a_supernode_of_another_prompt_is_swapped_in(served: ServedStore) -> None:
    members, other = features(served, 8), features(served, 8, OAKLAND)
    position = int(members[0].split(":")[2])
    swap = {"name": "Oakland's", "members": other, "prompt": "oakland", "position": position}
    found = ran(served, [{"name": "own", "members": members, "instead": swap}])
    assert [one["replaces"] for one in found["supernodes"]] == [None, "own"]
    assert abs(found["supernodes"][1]["after"] - 1.0) <= of_roundings(torch.float32, 2 * len(other))
    texas, california = (
        next(one for one in found["next_tokens"] if one["token"] == name) for name in (" Austin", " Sacramento")
    )
    assert texas["after"] < texas["before"]
    assert california["after"] > california["before"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "the body is a JSON object"),
        ({}, "supernodes is a list"),
        ({"supernodes": {}}, "supernodes is a list"),
        ({"supernodes": [{"name": "a", "members": []}]}, "the members of 'a' are a list of nodes"),
        ({"supernodes": [{"name": "a", "members": ["feature:0:1"]}]}, "a node is named by kind:layer:position:feature"),
        ({"supernodes": [{"name": "a", "members": ["token:-1:0:0"]}]}, "only features can be set"),
        ({"supernodes": [{"name": "a", "members": ["feature:99:1:1"]}]}, "nodes"),
        ({"supernodes": [{"name": "", "members": ["feature:0:1:1"]}]}, "a supernode has a name"),
        ({"supernodes": [{"name": "a", "members": ["feature:0:1:1"], "sett": 1}]}, "no field 'sett'"),
        ({"supernodes": [], "generate": 1000}, "generate is a whole number from 0 to 200"),
        ({"supernodes": [], "generate": True}, "generate is a whole number"),
        ({"supernodes": [], "temperature": "hot"}, "temperature is a number"),
        ({"supernodes": [], "freeze_attention": 1}, "freeze_attention is true or false"),
        ({"supernodes": [], "strength": 1}, "no field 'strength'"),
    ],
)
def test_a_wrong_body_is_refused_with_words(body: Any, said: str, served: ServedStore) -> None:
    with pytest.raises(ConfigError, match=said):
        run_intervention(served, DALLAS, body)


def test_a_setting_without_a_number_or_of_an_unknown_kind_is_refused(served: ServedStore) -> None:
    one = {"name": "a", "members": features(served, 1)}
    for setting, said in (("times", "number is a number from"), ("off", "set is one of none, times, value")):
        with pytest.raises(ConfigError, match=said):
            ran(served, [{**one, "set": setting}])
    with pytest.raises(InputError, match="two supernodes have the name 'a'"):
        ran(served, [one, one])
    with pytest.raises(PromptNotFound):
        ran(served, [{**one, "instead": {**one, "name": "b", "prompt": "nobody", "position": 3}}])


def test_a_server_without_a_model_says_so(store: Path) -> None:
    bare = ServedStore(ServeSettings(str(store)))
    assert model_state(bare, {}).value == {"state": "none", "problem": ""}
    with pytest.raises(ConfigError, match="start it with --model and --transcoders"):
        run_intervention(bare, DALLAS, {"supernodes": []})


def test_the_first_request_begins_to_load_and_is_told_to_come_again(store: Path) -> None:
    fresh = ServedStore(ServeSettings(str(store), model=MODEL, transcoders=PLT))
    assert model_state(fresh, {}).value["state"] == "waiting"
    first = run_intervention(fresh, DALLAS, {"supernodes": []})
    assert isinstance(first, Json)
    assert (first.status, first.value["state"]) == (202, "loading")
    assert loaded(fresh) == "ready"


def test_transcoders_of_another_store_are_not_used(store: Path) -> None:
    other = ServedStore(ServeSettings(str(store), model=MODEL, transcoders=CLT))
    assert loaded(other) == "failed"
    with pytest.raises(ConfigError, match="made with other files than these"):
        run_intervention(other, DALLAS, {"supernodes": []})


def test_results_are_kept_removed_and_brought_back(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    served = ServedStore(ServeSettings(str(tmp_path / "store"), author="Ann"))
    result = {"next_tokens": [], "supernodes": [], "sources": {}, "note": "<script>alert(1)</script>\u202e"}
    kept = keep_result(served, DALLAS, {"name": "Texas off", "result": result}).value
    other = keep_result(served, DALLAS, {"name": "another", "result": {}, "author": "Bob"}).value
    assert [(one["name"], one["author"]) for one in other["results"]] == [("another", "Bob"), ("Texas off", "Ann")]
    assert other["results"][1]["result"] == result
    gone = keep_result(served, DALLAS, {"name": None, "parents": [kept["written"]]}).value
    assert [one["name"] for one in gone["results"]] == ["another"]
    back = keep_result(served, DALLAS, {"name": "Texas off", "result": result, "parents": [gone["written"]]}).value
    assert len(back["results"]) == 2
    again = ServedStore(ServeSettings(str(tmp_path / "store")))
    assert kept_results(again, DALLAS).value["results"] == back["results"]
    assert kept_results(again, OAKLAND).value["results"] == []
    for body, said in (({"name": 3, "result": {}}, "is text"), ({"name": "a", "result": []}, "JSON object")):
        with pytest.raises(ConfigError, match=said):
            keep_result(served, DALLAS, body)
