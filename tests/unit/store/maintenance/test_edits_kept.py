"""Upkeep takes edits, notes, views, results and verdicts along, with their history, and a prompt keeps them."""

from __future__ import annotations

from pathlib import Path

from said_stores import FEATURE, NODE, annotate, asking, said, trace

from distributed_tracer.graph.context import Group
from distributed_tracer.store.annotation_edits import write_note, write_result, write_view
from distributed_tracer.store.annotation_log import open_log
from distributed_tracer.store.annotations import annotation_keys, write_groups
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.annotation import PromptGroups
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.object_names import annotation_name
from distributed_tracer.store.reader import open_store


def test_a_copy_has_all_of_them_and_a_copy_made_again_has_what_was_said_since(store_url: str, other_url: str) -> None:
    store = trace(store_url, "a", "b")
    annotate(store, "a", "b")
    for _ in range(2):
        copy_store(store_url, other_url)
        root = open_backend(other_url)
        assert said(root) == said(store.root)
        assert annotation_keys(root) == annotation_keys(store.root)
        write_note(store.root, FEATURE, "later", "ann", [open_log(store.root).heads("notes", FEATURE)[0].ref])


def test_a_merge_of_stores_that_were_edited_apart_has_both_edits(tmp_path: Path) -> None:
    one = trace(str(tmp_path / "one"), "a")
    note = write_note(one.root, FEATURE, "first", "ann")
    copy_store(one.url, str(tmp_path / "two"))
    two = open_store(str(tmp_path / "two"))
    write_note(one.root, FEATURE, "one", "ann", [note])
    write_note(two.root, FEATURE, "two", "bob", [note])
    merge_stores(str(tmp_path / "all"), [one.url, two.url])
    heads = open_log(open_backend(str(tmp_path / "all"))).heads("notes", FEATURE)
    assert sorted(str(head.content) for head in heads) == ["{'text': 'one'}", "{'text': 'two'}"]


def test_a_store_that_is_compacted_cleaned_verified_and_repaired_keeps_them(tmp_path: Path) -> None:
    store = trace(str(tmp_path), "a")
    trace(str(tmp_path), "b")
    annotate(store, "a", "b")
    before = said(store.root)
    compact(store.url)
    collect_garbage(store.url, grace_hours=0)
    assert verify(store.root).damages == repair(store.url).damages == ()
    assert said(store.root) == before


def test_a_prompt_that_is_traced_again_keeps_what_was_said_about_it(tmp_path: Path) -> None:
    store = trace(str(tmp_path), "a", seed=1)
    annotate(store, "a")
    before, groups = said(store.root), open_store(store.url).context("a").groups
    assert [group.name for group in groups] == ["new of a"]
    old = store.digest()
    chunk = next((tmp_path / "parts").glob("*/edges/weight/c/0"))
    chunk.chmod(0o644)
    chunk.write_bytes(b"")
    assert repair(store.url).dropped == ("a",)
    again = trace(store.url, "a", seed=2)
    assert again.digest() != old
    assert again.context("a").groups == groups
    assert said(again.root) == before
    cache = open_log(again.root)
    assert len(cache.about_prompt("notes", "a", again.entry("a").asked)) == 2


def test_a_prompt_that_asks_something_else_under_the_same_id_has_none_of_them(tmp_path: Path) -> None:
    store = trace(str(tmp_path / "one"), "a")
    annotate(store, "a")
    other = trace(str(tmp_path / "two"), "a", asked="e" * 64)
    for key, data in store.root.read_many(annotation_keys(store.root)).items():
        other.root.put_if_absent(key, data)
    assert (other.context("a").groups, other.context("a").pins) == ((), ())
    cache = open_log(other.root)
    assert [cache.about_prompt(kind, "a", other.entry("a").asked) for kind in ("groups", "notes", "views")] == [[]] * 3


def test_a_split_takes_what_is_said_about_its_prompts_and_features_and_names_no_other_prompt(tmp_path: Path) -> None:
    store = trace(str(tmp_path / "store"), "kept", "gone")
    annotate(store, "kept", "gone")
    asked = asking("kept")
    write_view(store.root, "two", "compare?left=kept&right=gone", "ann", ("kept", asked))
    write_view(store.root, "list", "graph?prompts=kept%2Cgone", "ann", ("kept", asked))
    write_result(store.root, "kept", asked, "swap", {"donors": [{"prompt": "gone"}]}, "bob")
    for _ in range(2):
        split_store(open_store(store.url), str(tmp_path / "split"), ["kept"])
    root = open_backend(str(tmp_path / "split"))
    found, everything = said(root), said(store.root)
    for kind in ("labels", "groups", "verdicts"):
        assert found[kind] == [one for one in everything[kind] if "gone" not in str(one)], kind
    assert [subject for subject, _ in found["notes"]] == [
        "'kept'",
        "'kept': feature 0:7 at 1 -> target 3:0 at 2",
        str(FEATURE),
    ]
    assert [content for _, content in found["views"]] == ["{'name': 'view of kept', 'address': 'graph?prompt=kept'}"]
    assert [content for _, content in found["results"]] == [
        "{'name': 'result of kept', 'result': {'prompt': 'kept', 'effect': 0.5}}"
    ]
    assert not any(b"gone" in data for data in root.read_many(annotation_keys(root)).values())
    history = open_log(root).history("notes", Subject.of_prompt("kept", asked))
    assert [record.content and record.content["text"] for record in history] == [
        *("first of kept", "second of kept", "first of kept"),
    ]


def test_what_was_replaced_in_a_store_is_not_brought_back_by_a_split(tmp_path: Path) -> None:
    """An annotation of two prompts replaced one of the first, and was replaced there in turn."""
    store = trace(str(tmp_path / "store"), "a", "b")

    def write(replaced: str | None, **names: str) -> str:
        prompts = [PromptGroups(one, asking(one), (Group(name, (NODE,)),)) for one, name in names.items()]
        (key,) = write_groups(store.root, prompts, replaces=[replaced] if replaced else [])
        return annotation_name(key)

    write(write(write(None, a="old"), a="newer", b="of b"), a="newest")
    split_store(store, str(tmp_path / "split"), ["a"])
    split = open_store(str(tmp_path / "split"))
    assert [group.name for group in split.context("a").groups] == ["newest"]
    assert not any(b"of b" in data for data in split.root.read_many(annotation_keys(split.root)).values())
