"""Annotations beside graphs: what is written, what counts, what is refused."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import PromptNotFound, StoreCorrupt
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.store import annotations
from distributed_tracer.store.annotations import (
    annotation_keys,
    current_labels,
    read_annotations,
    read_groups,
    read_labels,
    write_groups,
    write_labels,
)
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.annotation import PromptGroups, parse_annotation
from distributed_tracer.store.format.checksummed_json import dump_checksummed
from distributed_tracer.store.object_names import annotation_key
from distributed_tracer.store.reader import Store, open_store

HOSTILE = '\x1b[31m<b>"\ud800\n,|\u202e'
NODE, OTHER = NodeKey("feature", 0, 1, 7), NodeKey("target", 3, 2, 0)


def store_of(url: str) -> Store:
    return make_store(url, [random_graph("a", seed=1)], [random_graph("b", seed=2)])


def said(store: Store, prompt_id: str, *names: str, pins: tuple[NodeKey, ...] = ()) -> PromptGroups:
    groups = tuple(Group(name, (NODE, OTHER)) for name in names)
    return PromptGroups(prompt_id, store.entry(prompt_id).asked, groups, pins)


def names_of(store: Store, prompt_id: str) -> list[str]:
    return [group.name for group in open_store(store.url).context(prompt_id).groups]


def test_labels_that_are_written_are_read_with_their_sources(store_url: str) -> None:
    store = store_of(store_url)
    assert len(store.labels) == 0
    write_labels(store.root, [(0, 7, Label(HOSTILE, "file")), (2, 1, Label("says ' Austin'", HOSTILE))], "somebody")
    write_labels(store.root, [(0, 7, Label("capital", "me"))])
    found = open_store(store_url).labels
    assert found.get(0, 7) == (Label(HOSTILE, "file"), Label("capital", "me"))
    assert found.get(2, 1) == (Label("says ' Austin'", HOSTILE),)
    assert [one.author for one in read_annotations(store.root, "labels")] == ["somebody", ""]
    assert len(store.labels) == 0, "an open store stays as it was"


def test_groups_and_pins_that_are_written_are_in_the_context_of_their_prompt(store_url: str) -> None:
    store = store_of(store_url)
    write_groups(store.root, [said(store, "a", "Texas, state", "Texas, state", HOSTILE, pins=(OTHER, NODE))])
    write_labels(store.root, [(0, 7, Label("capital", "me"))])
    found = open_store(store_url).context("a")
    assert [group.name for group in found.groups] == ["Texas, state", "Texas, state", HOSTILE]
    assert found.groups[0].members == (NODE, OTHER)
    assert found.pins == (OTHER, NODE)
    assert found.labels.text(0, 7) == "'capital'"
    other = open_store(store_url).context("b")
    assert (other.groups, other.pins) == ((), ())
    with pytest.raises(PromptNotFound):
        open_store(store_url).context("c")


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))

    def write(number: int) -> None:
        root = open_backend(store.url)
        write_labels(root, [(0, number, Label("x", "same source"))])
        write_groups(root, [said(store, "a", f"group {number}")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    assert len(read_labels(store.root)) == 16
    assert set(names_of(store, "a")) == {f"group {number}" for number in range(16)}


def test_a_replacement_takes_away_what_its_writer_had_read_and_nothing_else(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    write_labels(store.root, [(0, 1, Label("old", "rule")), (0, 1, Label("mine", "me"))])
    known = [one.name for one in read_annotations(store.root, "labels")]
    write_labels(store.root, [(0, 2, Label("late", "rule"))])
    write_labels(store.root, [], replaces=known, sources=["rule"])
    found = read_labels(store.root)
    assert dict(found) == {(0, 1): (Label("mine", "me"),), (0, 2): (Label("late", "rule"),)}

    write_groups(store.root, [said(store, "a", "one"), said(store, "b", "two")])
    known = [one.name for one in read_annotations(store.root, "groups")]
    write_groups(store.root, [said(store, "b", "two, renamed")], replaces=known)
    assert (names_of(store, "a"), names_of(store, "b")) == (["one"], ["two, renamed"])
    known = [one.name for one in read_annotations(store.root, "groups")]
    write_groups(store.root, [said(store, "b")], replaces=known)
    assert (names_of(store, "a"), names_of(store, "b")) == (["one"], [])
    assert len(annotation_keys(store.root, "groups")) == 3, "what was said stays readable"


def test_two_replacements_of_one_annotation_both_count(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    write_groups(store.root, [said(store, "a", "first")])
    known = [one.name for one in read_annotations(store.root, "groups")]
    write_groups(store.root, [said(store, "a", "first", "second")], replaces=known)
    write_groups(store.root, [said(store, "a", "first", "third")], replaces=known)
    assert names_of(store, "a") == ["first", "second", "third"]


def test_groups_of_a_prompt_that_asked_something_else_do_not_count(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    write_groups(store.root, [PromptGroups("a", "f" * 64, (Group("x", (NODE,)),)), said(store, "b", "y")])
    write_groups(store.root, [PromptGroups("nobody", store.entry("a").asked, (Group("x", (NODE,)),))])
    assert set(read_groups(store.root, store.catalogue)) == {"b"}


def test_many_labels_are_written_as_objects_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(str(tmp_path))
    monkeypatch.setattr(annotations, "OBJECT_BYTES", 1000)
    rows = [(0, number, Label("a label of some length", "file")) for number in range(200)]
    keys = write_labels(store.root, rows)
    assert len(keys) > 5
    assert all((tmp_path / key).stat().st_size < 3000 for key in keys)
    assert [row for _, row in current_labels(store.root)] == rows


def test_nothing_is_written_where_nothing_is_said(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    assert write_labels(store.root, []) == write_groups(store.root, []) == []
    assert not (tmp_path / "annotations").exists()


def test_opening_a_store_and_reading_a_graph_list_no_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(str(tmp_path))
    write_labels(store.root, [(0, 7, Label("capital", "me"))])
    listed: list[str] = []
    list_dir = type(store.root).list_dir
    monkeypatch.setattr(type(store.root), "list_dir", lambda self, name: listed.append(name) or list_dir(self, name))
    found = open_store(store.url)
    found.graph("a")
    assert not [name for name in listed if name.startswith("annotations")]
    assert found.labels.get(0, 7)
    assert [name for name in listed if name.startswith("annotations")] == ["annotations/labels"], "one request"
    assert found.labels.get(0, 7)
    assert listed.count("annotations/labels") == 1


LABELS = {"sources": ["me"], "labels": {"layer": [0], "feature": [7], "text": ["x"], "source": [0]}}
GROUPS = {"prompts": [{"id": "a", "asked": "", "groups": [{"name": "x", "nodes": [["feature", 0, 1, 7]]}], "pins": []}]}
ENVELOPE = {"author": "", "created": "", "number": 0, "replaces": []}


def parsed(kind: str, changed: dict[str, Any], content: dict[str, Any]) -> None:
    head = {"format": "distributed_tracer annotation", "format_version": 1, "kind": kind, **ENVELOPE}
    data = dump_checksummed({**head, **json.loads(json.dumps(content)), **changed})
    parse_annotation(data, "store", annotation_key(kind, data))


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "distributed_tracer check"},
        {"format_version": 2},
        {"kind": "groups"},
        {"number": -1},
        {"number": 1.5},
        {"replaces": [1]},
        {"replaces": None},
        {"author": 7},
        {"sources": "me"},
        {"sources": [1]},
        {"labels": {}},
        {"labels": {**LABELS["labels"], "layer": [0, 1]}},
        {"labels": {**LABELS["labels"], "layer": [True]}},
        {"labels": {**LABELS["labels"], "feature": [-1]}},
        {"labels": {**LABELS["labels"], "feature": [1 << 60]}},
        {"labels": {**LABELS["labels"], "text": [None]}},
        {"labels": {**LABELS["labels"], "source": [1]}},
        {"labels": {name: {} for name in LABELS["labels"]}},
        {"more": json.loads("[" * 65 + "]" * 65)},
    ],
)
def test_malformed_labels_are_refused(changed: dict[str, Any]) -> None:
    parsed("labels", {}, LABELS)
    with pytest.raises(StoreCorrupt, match="does not hold annotations"):
        parsed("labels", changed, LABELS)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 1},
        {"asked": None},
        {"groups": [{"name": 1, "nodes": []}]},
        {"groups": [{"name": "x"}]},
        {"groups": [{"name": "x", "nodes": [["feature", 0, 1]]}]},
        {"groups": [{"name": "x", "nodes": [["node", 0, 1, 2]]}]},
        {"groups": [{"name": "x", "nodes": [["feature", 0, 1, "2"]]}]},
        {"pins": [["feature", -2, 1, 2]]},
        {"pins": None},
        {"places": {"feature:0:1:2": [1, 2]}},
        {"places": [[["feature", 0, 1, 2], 1]]},
        {"places": [[["feature", 0, 1], 1, 2]]},
        {"places": [[["feature", 0, 1, 2], 1.5, 2]]},
        {"places": [[["feature", 0, 1, 2], 1, -1_000_000]]},
    ],
)
def test_malformed_groups_are_refused(changed: dict[str, Any]) -> None:
    parsed("groups", {}, GROUPS)
    with pytest.raises(StoreCorrupt, match="does not hold annotations"):
        parsed("groups", {"prompts": [{**GROUPS["prompts"][0], **changed}]}, GROUPS)


def test_annotations_of_other_programs_are_kept_and_ignored(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    head = {"format": "distributed_tracer annotation", "format_version": 1, "kind": "colours", **ENVELOPE}
    data = dump_checksummed({**head, "anything": [1]})
    key = f"annotations/colours/{hashlib.sha256(data).hexdigest()[:32]}.json"
    store.root.put_if_absent(key, data)
    assert parse_annotation(data, store.url, key).content == {"anything": [1]}
    assert annotation_keys(store.root) == [key]
    assert len(open_store(store.url).labels) == 0
