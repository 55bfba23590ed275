"""Edits of annotations: what counts after them, for this version and for earlier ones, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, StoreCorrupt, StoreError
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.labels.in_store import Added, add_labels, remove_labels, replace_labels
from distributed_tracer.store.annotation_edits import (
    write_groups_edit,
    write_label_edit,
    write_note,
    write_result,
    write_verdict,
    write_view,
)
from distributed_tracer.store.annotation_log import AnnotationCache, open_log
from distributed_tracer.store.annotation_undo import restore, undo
from distributed_tracer.store.annotations import read_annotations, read_labels, write_groups, write_labels
from distributed_tracer.store.backend.base import Backend
from distributed_tracer.store.format.annotation import Annotation, PromptGroups, parse_annotation
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.format.checksummed_json import dump_checksummed
from distributed_tracer.store.object_names import annotation_key
from distributed_tracer.store.reader import Store, open_store

NODE, OTHER = NodeKey("feature", 0, 1, 7), NodeKey("target", 3, 2, 0)
FEATURE, HOSTILE = Subject.of_feature(0, 5), "<b>\u202e&quot;"
ASKED = "f" * 64


def store_of(url: str) -> Store:
    return make_store(url, [random_graph("a", seed=1)], [random_graph("b", seed=2)])


def texts(root: Backend, layer: int = 0, feature: int = 5) -> list[str]:
    return [label.text for label in read_labels(root).get(layer, feature)]


def said(root: Backend | AnnotationCache, kind: str, subject: Subject | None = None) -> list[Any]:
    return [record.content for record in open_log(root).heads(kind, subject)]


def seen_by_earlier_readers(root: Backend) -> list[tuple[int, int, Label]]:
    """The labels that count by the rule that a reader has who knows no edits."""
    found = read_annotations(root, "labels")
    void = {(name, source) for one in found for name in one.replaces for source in one.content["sources"]}
    return [row for one in found for row in one.labels() if (one.name, row[2].source) not in void]


def test_an_edit_of_a_label_takes_its_place_and_that_of_no_other(store_url: str) -> None:
    root = store_of(store_url).root
    rows = [(0, 5, Label("old", "file")), (0, 6, Label("other", "file")), (0, 5, Label("second", "file"))]
    write_labels(root, rows)
    first, second = open_log(root).heads("labels", FEATURE)
    better = write_label_edit(root, 0, 5, "better", "ann", parents=[first.ref])
    assert dict(read_labels(root)) == {
        (0, 5): (Label("second", "file"), Label("better", "ann")),
        (0, 6): (Label("other", "file"),),
    }
    best = write_label_edit(root, 0, 5, HOSTILE, "bob", source="rule", parents=[better, second.ref])
    assert read_labels(root).get(0, 5) == (Label(HOSTILE, "rule"),)
    assert [one.ref for one in open_log(root).heads("labels", FEATURE)] == [best]
    write_label_edit(root, 0, 5, None, "ann", parents=[best])
    assert texts(root) == []
    assert texts(root, 0, 6) == ["other"]


def test_readers_that_know_no_edits_see_the_latest_edit_beside_the_label_of_the_file(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    write_labels(root, [(0, 5, Label("old", "file")), (0, 6, Label("other", "file"))])
    (of_file,) = open_log(root).heads("labels", FEATURE)
    one = write_label_edit(root, 0, 5, "one", "ann", parents=[of_file.ref])
    two = write_label_edit(root, 0, 5, "two", "bob", parents=[one])
    there = [(0, 5, Label("old", "file")), (0, 6, Label("other", "file"))]
    assert seen_by_earlier_readers(root) == [*there, (0, 5, Label("two", "bob"))]
    gone = write_label_edit(root, 0, 5, None, "ann", parents=[two])
    assert seen_by_earlier_readers(root) == there
    write_label_edit(root, 0, 5, "again", "ada", parents=[gone])
    assert seen_by_earlier_readers(root) == [*there, (0, 5, Label("again", "ada"))]
    assert texts(root) == ["again"]


def test_a_removal_of_a_file_s_label_and_an_edit_after_it(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    write_labels(root, [(0, 5, Label("old", "file"))])
    (of_file,) = open_log(root).heads("labels", FEATURE)
    gone = write_label_edit(root, 0, 5, None, "ann", parents=[of_file.ref])
    assert texts(root) == []
    write_label_edit(root, 0, 5, "new", "bob", parents=[gone])
    assert texts(root) == ["new"]
    assert [one.current for one in open_log(root).history("labels", FEATURE)] == [False, False, True]


def test_two_edits_of_one_label_both_count_until_somebody_has_seen_both(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    first = write_label_edit(root, 0, 5, "first", "ann")
    one = write_label_edit(root, 0, 5, "one", "ann", parents=[first])
    two = write_label_edit(root, 0, 5, "two", "bob", parents=[first])
    assert texts(root) == ["one", "two"]
    write_label_edit(root, 0, 5, "both", "ada", parents=[one, two])
    assert texts(root) == ["both"]


def test_labels_that_were_edited_are_removed_with_their_source(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    first = write_label_edit(store.root, 0, 5, "first", "ann")
    write_label_edit(store.root, 0, 5, "second", "bob", parents=[first])
    write_label_edit(store.root, 0, 6, "third", "ann")
    assert remove_labels(open_store(store.url), "ann") == 1
    assert list(read_labels(store.root)) == [((0, 5), (Label("second", "bob"),))]
    assert remove_labels(open_store(store.url), "bob") == 1
    assert open_log(store.root).heads("labels") == []


def test_a_label_that_was_edited_does_not_come_back_when_its_file_is_added_again(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    rows = [(0, 5, Label("old", "file")), (0, 6, Label("other", "file"))]
    add_labels(store, rows)
    (of_file,) = open_log(store.root).heads("labels", FEATURE)
    edit = write_label_edit(store.root, 0, 5, "new", "ann", parents=[of_file.ref])
    assert add_labels(store, rows) == Added(0, 2)
    assert replace_labels(store, "file", rows) == Added(0, 1)
    assert replace_labels(store, "file", [*rows, (0, 7, Label("more", "file"))]) == Added(1, 1)
    assert replace_labels(store, "file", rows) == Added(0, 1, 1)
    assert replace_labels(store, "file", rows) == Added(0, 1)
    assert texts(store.root) == ["new"]
    undo(store.root, "labels", FEATURE, "ann", edit)
    assert texts(store.root) == ["old"]
    assert replace_labels(store, "file", rows) == Added(0, 2)
    assert remove_labels(open_store(store.url), "file") == 2
    assert add_labels(store, rows) == Added(2, 0), "a source that was removed is added whole"
    assert texts(store.root) == ["old"]


def test_an_edit_that_another_program_withdraws_by_its_row_counts_for_no_reader(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    edit = write_label_edit(root, 0, 5, "x", "ann")
    content = {**EDIT, "edit": {**EDIT["edit"], "withdraws": [[edit, 0]]}}
    data = Annotation("labels", "bob", "", 1, (), content).to_json()
    root.put_if_absent(annotation_key("labels", data), data)
    assert [record.ref for record in open_log(root).heads("labels") if record.ref == edit] == []
    assert read_labels(root).get(0, 5) == (Label("x", "ann"),), "that of the other program"
    assert len(open_log(root).heads("labels")) == 1


def test_an_edit_of_groups_takes_the_place_of_those_of_its_prompt_alone(store_url: str) -> None:
    store = store_of(store_url)
    asked = {name: store.entry(name).asked for name in ("a", "b")}
    write_groups(store.root, [PromptGroups(name, asked[name], (Group(name, (NODE,)),)) for name in ("a", "b")])
    subject = Subject.of_prompt("a", asked["a"])
    (old,) = open_log(store.root).heads("groups", subject)
    one = write_groups_edit(store.root, "a", asked["a"], [Group("one", (NODE, OTHER))], [OTHER], "ann", [old.ref])
    two = write_groups_edit(store.root, "a", asked["a"], [Group("two", (NODE,))], [NODE], "bob", [old.ref])
    found = open_store(store.url).context("a")
    assert found.groups == (Group("one", (NODE, OTHER)), Group("two", (NODE,)))
    assert found.pins == (OTHER, NODE)
    assert [group.name for group in open_store(store.url).context("b").groups] == ["b"]
    write_groups_edit(store.root, "a", asked["a"], [], [], "ann", [one, two])
    assert (open_store(store.url).context("a").groups, open_store(store.url).context("a").pins) == ((), ())
    assert said(store.root, "groups", subject) == []
    assert [group.name for group in open_store(store.url).context("b").groups] == ["b"]


def test_notes_views_results_and_verdicts_are_found_by_what_they_are_about(store_url: str) -> None:
    store = store_of(store_url)
    root, asked = store.root, store.entry("a").asked
    subjects = [
        Subject.of_store(),
        FEATURE,
        Subject.of_prompt("a", asked),
        Subject.of_node("a", asked, NODE),
        Subject.of_edge("a", asked, NODE, OTHER),
    ]
    for number, subject in enumerate(subjects):
        write_note(root, subject, f"note {number}\r\n\t{HOSTILE}", "ann")
    view = write_view(root, "my view", "graph?prompt=a&pins=1,2#x", "ann", ("a", asked))
    write_view(root, "corpus", "?sort=replacement", "ann")
    write_result(root, "a", asked, "ablation", {"effects": [{"token": " Austin", "before": 0.5, "after": 0.25}]}, "bob")
    write_verdict(root, "a", asked, [OTHER, NODE, NODE], "accepted", "reads well", "bob")
    cache = open_log(root)
    for number, subject in enumerate(subjects):
        assert said(cache, "notes", subject) == [{"text": f"note {number}\n\t{HOSTILE}"}]
    assert [one.subject for one in cache.about_prompt("notes", "a", asked)] == subjects[2:]
    assert cache.about_prompt("notes", "a", ASKED) == cache.about_prompt("notes", "b", asked) == []
    assert said(cache, "views") == [
        {"name": "my view", "address": "graph?prompt=a&pins=1,2#x"},
        {"name": "corpus", "address": "?sort=replacement"},
    ]
    (result,) = cache.about_prompt("results", "a", asked)
    assert result.content is not None
    assert result.content["result"]["effects"][0]["after"] == 0.25
    subject = Subject.of_nodes("a", asked, [NODE, OTHER])
    assert said(cache, "verdicts", subject) == [{"verdict": "accepted", "text": "reads well"}]
    write_verdict(cache, "a", asked, [NODE, OTHER], None, parents=[cache.heads("verdicts", subject)[0].ref])
    write_view(cache, None, "", prompt=("a", asked), parents=[view])
    assert said(cache, "verdicts") == []
    assert [one["name"] for one in said(cache, "views")] == ["corpus"]
    assert json.loads(json.dumps([one.to_json() for one in cache.history("verdicts")]))[1]["content"] is None


def test_undoing_goes_back_edit_by_edit_and_deletes_nothing(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    first = write_note(root, FEATURE, "first", "ann")
    second = write_note(root, FEATURE, "second", "ann", [first])
    write_note(root, FEATURE, "third", "ann", [second])
    for expected in ([{"text": "second"}], [{"text": "first"}], []):
        undo(root, "notes", FEATURE, "ann")
        assert said(root, "notes", FEATURE) == expected
    with pytest.raises(ConfigError, match="nothing more to undo"):
        undo(root, "notes", FEATURE, "ann")
    history = open_log(root).history("notes", FEATURE)
    assert [record.content and record.content["text"] for record in history[:3]] == ["first", "second", "third"]
    assert [record.restores for record in history[3:]] == [second, first, ""]
    restore(root, "notes", FEATURE, second, "bob", [history[-1].ref])
    assert said(root, "notes", FEATURE) == [{"text": "second"}]
    undo(root, "notes", FEATURE, "bob")
    assert said(root, "notes", FEATURE) == [{"text": "first"}], "what was before the record that was restored"


def test_undoing_a_label_brings_back_the_file_s_label_and_stops_there(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    write_labels(root, [(0, 5, Label("old", "file")), (0, 6, Label("other", "file"))])
    (of_file,) = open_log(root).heads("labels", FEATURE)
    write_label_edit(root, 0, 5, "new", "ann", parents=[of_file.ref])
    undo(root, "labels", FEATURE, "ann")
    assert read_labels(root).get(0, 5) == (Label("old", "file"),)
    with pytest.raises(ConfigError, match="as it was before its first edit"):
        undo(root, "labels", FEATURE, "ann")
    (other,) = open_log(root).heads("labels", Subject.of_feature(0, 6))
    undo(root, "labels", Subject.of_feature(0, 6), "ann", other.ref)
    assert texts(root, 0, 6) == []


def test_undoing_what_brought_two_edits_together_brings_back_both(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    root, asked = store.root, store.entry("a").asked
    one = write_groups_edit(root, "a", asked, [Group("one", (NODE,))], [], "ann")
    two = write_groups_edit(root, "a", asked, [Group("two", (NODE,))], [], "bob")
    write_groups_edit(root, "a", asked, [Group("both", (NODE,))], [], "ann", [one, two])
    assert len(undo(root, "groups", Subject.of_prompt("a", asked), "ann")) == 2
    assert [group.name for group in open_store(store.url).context("a").groups] == ["one", "two"]


def test_only_one_s_own_edit_is_undone_unless_another_is_named(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    first = write_note(root, FEATURE, "first", "ann")
    second = write_note(root, FEATURE, "second", "bob", [first])
    with pytest.raises(ConfigError, match="no edit of feature 0:5 by 'ann' counts now; the latest are by 'bob'"):
        undo(root, "notes", FEATURE, "ann")
    with pytest.raises(ConfigError, match="is no edit of feature 0:5 that counts now"):
        undo(root, "notes", FEATURE, "ann", first)
    undo(root, "notes", FEATURE, "ann", second)
    assert said(root, "notes", FEATURE) == [{"text": "first"}]


def test_what_was_there_before_and_is_lost_is_not_made_up(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    first = write_note(root, FEATURE, "first", "ann")
    write_note(root, FEATURE, "second", "ann", [first])
    root.remove(f"annotations/notes/{first}.json")
    with pytest.raises(StoreError, match=f"{first}, from which this edit of feature 0:5 was made, is not in"):
        undo(root, "notes", FEATURE, "ann")


def test_records_that_restore_each_other_end_no_program(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    content = {"subject": FEATURE.to_json(), "entry": {"text": "x"}, "restores": "0" * 32}
    data = Annotation("notes", "ann", "", 0, (), content).to_json()
    root.put_if_absent(annotation_key("notes", data), data)
    with pytest.raises(StoreError, match="is not in this store"):
        undo(root, "notes", FEATURE, "ann")


Write = Callable[[Backend], object]
NOBODY = Subject.of_prompt("a", ASKED)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: write_note(root, FEATURE, ""), "a note has no text"),
        (lambda root: write_note(root, FEATURE, " \n"), "a note has no text"),
        (lambda root: write_note(root, FEATURE, "x" * 20_001), "a note of 20,001 characters; at most 20,000"),
        (lambda root: write_note(root, FEATURE, "ab\x1b[31m"), r"the control character '\\x1b' at character 3"),
        (lambda root: write_note(root, FEATURE, "\ud800"), "the control character"),
        (lambda root: write_note(root, FEATURE, "x", "a\nb"), "an author has the control character"),
        (lambda root: write_note(root, FEATURE, "x", "a" * 201), "an author of 201 characters; at most 200"),
        (lambda root: write_note(root, FEATURE, None), "nothing to remove"),
        (lambda root: write_note(root, FEATURE, "x", "", ["0" * 32]), "nothing of the name '0{32}' was said"),
        (lambda root: write_note(root, Subject.of_feature(-1, 5), "x"), "feature -1:5"),
        (lambda root: write_note(root, Subject.of_nodes("a", ASKED, []), "x"), "with 0 nodes; expected 1 to 10,000"),
        (lambda root: write_note(root, Subject.of_node("a", ASKED, NodeKey("x", 0, 0, 0)), "x"), "a node"),
        (lambda root: write_label_edit(root, 0, 5, " "), "a label has no text"),
        (lambda root: write_label_edit(root, 0, 5, "x" * 4_001), "a label of 4,001 characters; at most 4,000"),
        (lambda root: write_label_edit(root, 0, 5, "x", "ann", source=""), "a source has no text"),
        (lambda root: write_label_edit(root, 0, -1, "x"), "not a whole number from 0"),
        (lambda root: write_view(root, "", "graph"), "the name of a view has no text"),
        (lambda root: write_view(root, "x", ""), "expected a relative one"),
        (lambda root: write_view(root, "x", "https://host/x"), "expected a relative one"),
        (lambda root: write_view(root, "x", "//host/x"), "expected a relative one"),
        (lambda root: write_view(root, "x", "/graph"), "expected a relative one"),
        (lambda root: write_view(root, "x", "javascript:alert(1)"), "expected a relative one"),
        (lambda root: write_view(root, "x", "a/../b"), "expected a relative one"),
        (lambda root: write_view(root, "x", "a/%2e%2e/b"), "expected a relative one"),
        (lambda root: write_view(root, "x", "a\\b"), "expected a relative one"),
        (lambda root: write_view(root, "x", 'graph?a="><script>'), "expected a relative one"),
        (lambda root: write_view(root, "x", "graph?a=b\n"), "expected a relative one"),
        (lambda root: write_view(root, "x", "g?" + "a" * 16_384), "an address of 16,386 characters"),
        (lambda root: write_result(root, "a", ASKED, "x", {"p": float("nan")}), "not JSON"),
        (lambda root: write_result(root, "a", ASKED, "x", {"p": b"bytes"}), "not JSON"),
        (lambda root: write_result(root, "a", ASKED, "x", {"p": "x" * (1 << 22)}), "at most 4,194,304 are kept"),
        (lambda root: write_result(root, "a", ASKED, "x", json.loads('{"a":' * 70 + "1" + "}" * 70)), "nested deeper"),
        (lambda root: write_verdict(root, "a", ASKED, [NODE], "maybe"), "'accepted' or 'refused', not 'maybe'"),
        (lambda root: write_groups_edit(root, "a", ASKED, [Group("x", (NodeKey("x", 0, 0, 0),))], []), "a node"),
        (lambda root: undo(root, "labels", NOBODY), "counts now; the latest are by nobody"),
        (lambda root: undo(root, "colours", NOBODY), "no kind of annotations 'colours'"),
        (lambda root: restore(root, "notes", FEATURE, "x"), "nothing of the name 'x' was said about feature 0:5"),
    ],
)
def test_what_no_annotation_can_say_is_refused_and_leaves_nothing(write: Write, message: str, tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    with pytest.raises(ConfigError, match=message):
        write(root)
    assert not (tmp_path / "annotations").exists()


NOTE = {"subject": FEATURE.to_json(), "entry": {"text": "x"}}
VIEW = {"subject": {"of": "store"}, "entry": {"name": "x", "address": "graph?prompt=a"}}
EDIT = {
    "sources": ["ann"],
    "labels": {"layer": [0], "feature": [5], "text": ["x"], "source": [0]},
    "edit": {"of": "feature", "layer": 0, "feature": 5, "withdraws": [["0" * 32, 3]]},
}


def parsed(kind: str, content: dict[str, Any]) -> None:
    head = {"format": "distributed_tracer annotation", "format_version": 1, "kind": kind}
    data = dump_checksummed({**head, "author": "", "created": "", "number": 0, "replaces": [], **content})
    parse_annotation(data, "store", annotation_key(kind, data))


@pytest.mark.parametrize(
    ("kind", "content", "changed"),
    [
        ("notes", NOTE, {"entry": {}}),
        ("notes", NOTE, {"entry": "x"}),
        ("notes", NOTE, {"entry": {"text": 1}}),
        ("notes", NOTE, {"entry": {"text": "x" * 20_001}}),
        ("notes", NOTE, {"restores": 1}),
        ("notes", NOTE, {"subject": {}}),
        ("notes", NOTE, {"subject": {"of": 1}}),
        ("notes", NOTE, {"subject": {"of": "feature", "layer": 0, "feature": True}}),
        ("notes", NOTE, {"subject": {"of": "prompt", "prompt": 1, "asked": ""}}),
        ("notes", NOTE, {"subject": {"of": "node", "prompt": "a", "asked": "", "nodes": []}}),
        ("notes", NOTE, {"subject": {"of": "edge", "prompt": "a", "asked": "", "nodes": [["feature", 0, 1, 2]]}}),
        ("notes", NOTE, {"subject": {"of": "node", "prompt": "a", "asked": "", "nodes": [["x", 0, 1, 2]]}}),
        ("notes", NOTE, {"subject": {"of": "node", "prompt": "a", "asked": "", "nodes": {"feature": 1}}}),
        ("views", VIEW, {"entry": {"name": "x", "address": "https://host"}}),
        ("views", VIEW, {"entry": {"name": "x" * 201, "address": "graph"}}),
        ("results", VIEW, {"entry": {"name": "x", "result": []}}),
        ("verdicts", VIEW, {"entry": {"verdict": None, "text": ""}}),
        ("labels", EDIT, {"edit": {**EDIT["edit"], "feature": 6}}),
        ("labels", EDIT, {"edit": {**EDIT["edit"], "layer": -1}}),
        ("labels", EDIT, {"edit": {**EDIT["edit"], "withdraws": [["0" * 32]]}}),
        ("labels", EDIT, {"edit": {**EDIT["edit"], "withdraws": [[1, 1]]}}),
        ("labels", EDIT, {"edit": {**EDIT["edit"], "withdraws": [["0" * 32, -1]]}}),
        ("labels", EDIT, {"edit": None}),
        ("labels", EDIT, {"labels": {name: column * 2 for name, column in EDIT["labels"].items()}}),
    ],
)
def test_malformed_entries_and_edits_are_refused(kind: str, content: dict[str, Any], changed: dict[str, Any]) -> None:
    if kind in ("notes", "views", "labels"):
        parsed(kind, content)
    with pytest.raises(StoreCorrupt, match="does not hold annotations"):
        parsed(kind, {**content, **changed})


def test_subjects_and_keys_that_a_later_program_adds_are_no_damage_and_are_ignored(tmp_path: Path) -> None:
    root = store_of(str(tmp_path)).root
    content = {"subject": {"of": "path", "steps": [1]}, "entry": {"text": "x", "colour": "red"}, "more": 1}
    data = Annotation("notes", "ann", "", 0, (), content).to_json()
    root.put_if_absent(annotation_key("notes", data), data)
    cache = open_log(root)
    assert (cache.heads("notes"), cache.problems, len(cache.annotations("notes"))) == ([], [], 1)
