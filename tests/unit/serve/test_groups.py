"""Groups and pins through the API's handlers: who saved what, two writers, hostile texts, wrong bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import finite, random_graph, with_edges_upwards
from random_stores import make_store

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.subgraph_scores import subgraph_scores
from distributed_tracer.intervene.suggest_groups import suggest_groups
from distributed_tracer.serve.api import subgraph
from distributed_tracer.serve.api.groups import MOST_GROUPS, save_groups, saved_groups
from distributed_tracer.serve.node_names import key_text, parse_key
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.annotation_undo import restore, undo
from distributed_tracer.store.annotations import read_annotations, write_groups
from distributed_tracer.store.format.annotation import GROUPS, PromptGroups
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.reader import open_store

P = "p"
ASKED = {"prompt": P}
HOSTILE = ["a, b", 'say "x"', "<img src=x onerror=alert(1)>", "\x1b[31m\u202e\n", "", "🧪 é", "a, b"]


@pytest.fixture
def served(tmp_path: Path) -> ServedStore:
    graphs = [with_edges_upwards(finite(random_graph(P, seed=1, density=0.5))), finite(random_graph("other", seed=2))]
    make_store(str(tmp_path / "store"), graphs)
    return ServedStore(ServeSettings(str(tmp_path / "store"), author="the server's"))


def keys(served: ServedStore, kind: NodeKind = NodeKind.FEATURE) -> list[str]:
    graph = served.graph(P)
    every = node_keys(graph)
    return [key_text(every[node]) for node in graph.nodes.where(kind)]


def saved(served: ServedStore, prompt: str = P) -> dict[str, Any]:
    found: dict[str, Any] = saved_groups(served, {"prompt": prompt}).value
    return found


def save(served: ServedStore, prompt: str = P, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = save_groups(served, {"prompt": prompt}, body).value
    return found


def names(state: dict[str, Any]) -> list[str]:
    return [one["name"] for one in state["from"]]


def test_a_key_is_read_as_it_is_written_and_nothing_else_is_a_key() -> None:
    for key in (NodeKey("feature", 2, 10, 46), NodeKey("token", -1, 0, 5), NodeKey("error", 3, 1, -1)):
        assert parse_key(key_text(key)) == key
    for text in (
        "feature:1:2",
        "feature:1:2:3:4",
        "node:1:2:3",
        "feature:-2:0:1",
        "feature:1:2:3 ",
        "feature:١:2:3",
        7,
    ):
        with pytest.raises(ConfigError, match="kind:layer:position:feature"):
            parse_key(text)


def test_what_is_saved_is_there_for_everyone_with_its_author(served: ServedStore) -> None:
    assert saved(served) == {"groups": [], "pins": [], "places": {}, "from": []}
    first, second, *rest = keys(served)
    groups = [{"name": "one", "members": [first, second]}]
    written = save(served, groups=groups, pins=rest[:2], author="ann")
    assert written["groups"] == groups
    assert written["pins"] == rest[:2]
    assert [one["author"] for one in written["from"]] == ["ann"]
    assert names(written) == [written["written"]]
    assert saved(served) == {name: written[name] for name in ("groups", "pins", "places", "from")}
    assert saved(served, "other")["from"] == []
    context = served.context(P)  # as the graph's page reads it
    assert [key_text(key) for key in context.pins] == rest[:2]
    assert context.groups == (Group("one", (parse_key(first), parse_key(second))),)
    assert open_store(served.settings.store).context(P).groups == context.groups


def test_without_an_author_the_servers_name_is_written(served: ServedStore) -> None:
    assert save(served, pins=keys(served)[:1])["from"][0]["author"] == "the server's"


def test_two_writers_who_began_alike_lose_nothing(served: ServedStore) -> None:
    a, b, c, d, *_ = keys(served)
    before = save(served, groups=[{"name": "old", "members": [a]}])
    ann = save(served, groups=[{"name": "ann's", "members": [a, b]}], replaces=names(before), author="ann")
    bob = save(served, groups=[{"name": "bob's", "members": [c]}], pins=[d], replaces=names(before), author="bob")
    assert [group["name"] for group in ann["groups"]] == ["ann's"]
    assert [group["name"] for group in bob["groups"]] == ["ann's", "bob's"]
    assert bob["pins"] == [d]
    assert {one["author"] for one in bob["from"]} == {"ann", "bob"}
    # Who has seen both may take something away.
    after = save(served, groups=[{"name": "bob's", "members": [c]}], replaces=names(bob))
    assert [group["name"] for group in after["groups"]] == ["bob's"]


def test_taking_a_save_back_restores_what_was_before_and_keeps_what_others_saved(served: ServedStore) -> None:
    a, b, c, *_ = keys(served)
    before = save(served, groups=[{"name": "old", "members": [a]}], pins=[b])
    mine = save(served, replaces=names(before))
    assert (mine["groups"], mine["pins"]) == ([], [])
    save(served, pins=[c], author="bob")
    back = save(served, groups=before["groups"], pins=before["pins"], replaces=[mine["written"]])
    assert back["groups"] == before["groups"]
    assert sorted(back["pins"]) == sorted([b, c])


def test_places_of_boxes_are_saved_undone_and_put_together(served: ServedStore) -> None:
    a, b, c, *_ = keys(served)
    group = {"name": "one", "members": [a, b]}
    before = save(served, groups=[group], pins=[c], places={a: [-10, 20], c: [0, 999_999]}, author="ann")
    assert before["places"] == {a: [-10, 20], c: [0, 999_999]}
    both = save(served, pins=[b, c], places={c: [5, 5], b: [1, 2]}, author="bob")
    assert both["places"] == {a: [-10, 20], c: [5, 5], b: [1, 2]}  # of two places of one node the later one counts
    store = open_store(served.settings.store)
    subject = Subject.of_prompt(P, store.catalogue.content_hashes[store.catalogue.number_of[P]])
    (gone,) = undo(store.root, GROUPS, subject, "bob")
    assert saved(served)["places"] == before["places"]
    restore(store.root, GROUPS, subject, both["written"], "bob", [gone])
    assert saved(served)["places"] == both["places"]
    assert next(one for one in read_annotations(store.root, GROUPS) if one.author == "ann").content["prompts"] == [
        {
            "id": P,
            "asked": subject.asked,
            "groups": [{"name": "one", "nodes": [list(parse_key(one)) for one in (a, b)]}],
            "pins": [list(parse_key(c))],
            "places": [[list(parse_key(a)), -10, 20], [list(parse_key(c)), 0, 999_999]],
        }
    ]


def test_what_another_process_writes_is_seen_at_once(served: ServedStore) -> None:
    key = keys(served)[0]
    store = open_store(served.settings.store)
    asked = store.catalogue.content_hashes[store.catalogue.number_of[P]]
    write_groups(store.root, [PromptGroups(P, asked, (), (parse_key(key),))], "cli")
    assert saved(served)["pins"] == [key]
    served.reopen()
    assert served.context(P).pins == (parse_key(key),)


def test_hostile_and_equal_names_come_back_as_they_are(served: ServedStore) -> None:
    found = keys(served)
    groups = [{"name": name, "members": [key]} for name, key in zip(HOSTILE, found, strict=False)]
    assert save(served, groups=groups, author=HOSTILE[2])["groups"] == groups
    assert saved(served)["from"][0]["author"] == HOSTILE[2]


def test_members_that_the_graph_has_lost_stay_and_unknown_ones_are_refused(served: ServedStore) -> None:
    gone, here = "feature:0:0:987654", keys(served)[0]
    with pytest.raises(ConfigError, match=r"does not have 1 node .* feature:0:0:987654"):
        save(served, pins=[here, gone])
    assert saved(served)["from"] == []
    store = open_store(served.settings.store)
    asked = store.catalogue.content_hashes[store.catalogue.number_of[P]]
    write_groups(store.root, [PromptGroups(P, asked, (Group("traced before", (parse_key(gone),)),), ())])
    before = saved(served)
    assert before["groups"] == [{"name": "traced before", "members": [gone]}]
    after = save(served, groups=[{"name": "new", "members": [gone, here]}], replaces=names(before))
    assert after["groups"] == [{"name": "new", "members": [gone, here]}]


def test_wrong_bodies_are_refused_with_words(served: ServedStore) -> None:
    key = keys(served)[0]
    for body, said in (
        ([], "an object with groups and pins"),
        ({"group": []}, "Did you mean 'groups'"),
        ({"groups": {}}, "groups is a list"),
        ({"groups": [{"name": "x"}]}, "an object with name and members"),
        ({"groups": [{"name": 1, "members": []}]}, "the name of a group is a text"),
        ({"groups": [{"name": "x" * 1001, "members": []}]}, "1,001 characters; at most 1,000"),
        ({"groups": [{"name": "\ud800", "members": []}]}, "surrogate"),
        ({"groups": [{"name": "x", "members": "feature:0:0:1"}]}, "members is a list"),
        ({"groups": [{"name": "", "members": []}] * (MOST_GROUPS + 1)}, "1,001 entries; at most 1,000"),
        ({"pins": [{"kind": "feature"}]}, "kind:layer:position:feature"),
        ({"places": {key: [1, 2]}}, "neither pinned nor in a group"),
        ({"pins": [key], "places": {key: [1.5, 2]}}, "a pair of whole numbers"),
        ({"pins": [key], "places": {key: [1_000_000, 2]}}, "a pair of whole numbers"),
        ({"pins": [key], "places": [key]}, "places is an object"),
        ({"pins": [key], "author": "x" * 201}, "the author has 201 characters"),
        ({"pins": [key], "author": None}, "the author is a text"),
        ({"pins": [key], "replaces": ["../../run"]}, "32 hexadecimal digits"),
    ):
        with pytest.raises(ConfigError, match=said):
            save_groups(served, ASKED, body)
    assert saved(served)["from"] == []
    for handler in (lambda: saved(served, "nobody"), lambda: save(served, "nobody", pins=[])):
        with pytest.raises(PromptNotFound, match="nobody"):
            handler()


def test_scores_are_those_of_the_function_and_say_what_is_missing(served: ServedStore) -> None:
    graph, features = served.graph(P), keys(served)
    chosen = [features[0], ",".join(features[1:5]), "feature:0:0:987654"]
    found = subgraph.scores(served, {**ASKED, "node": chosen}).value
    numbers = graph.nodes.where(NodeKind.FEATURE)
    expected = subgraph_scores(graph, numbers[:5].tolist())
    np.testing.assert_equal([found["replacement"], found["completeness"]], expected[:2])
    np.testing.assert_equal(list(found["whole"].values()), list(subgraph_scores(graph, numbers.tolist())))
    assert (found["num_features"], found["num_features_of_graph"], found["num_missing"]) == (5, len(numbers), 1)
    with pytest.raises(ConfigError, match="kind:layer:position:feature"):
        subgraph.scores(served, {**ASKED, "node": ["all"]})


def test_suggestions_are_those_of_the_function_among_all_or_some_features(served: ServedStore) -> None:
    options = {"min_similarity": 0.3, "max_count": None, "min_members": 2}
    every = subgraph.suggestions(served, {**ASKED, "node": [], **options}).value["groups"]
    expected = suggest_groups(served.graph(P))
    assert [(one["name"], one["members"]) for one in every] == [
        (one.name, [*map(key_text, one.members)]) for one in expected
    ]
    some = keys(served)[::2]
    of_some = subgraph.suggestions(served, {**ASKED, "node": [",".join(some)], **options}).value["groups"]
    members = {key for one in of_some for key in one["members"]}
    assert members
    assert members < set(some)
