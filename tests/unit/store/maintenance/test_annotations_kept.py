"""Upkeep takes annotations along, checks them, and leaves them alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.report.info import info_of, info_text
from distributed_tracer.store.annotations import annotation_keys, read_annotations, write_groups, write_labels
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.annotation import PromptGroups
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import Store, open_store

NODE = NodeKey("feature", 0, 1, 7)


def group(store: Store, prompt_id: str, name: str) -> PromptGroups:
    return PromptGroups(prompt_id, store.entry(prompt_id).asked, (Group(name, (NODE,)),), (NODE,))


def annotated_store(url: str, ids: tuple[str, ...] = ("a", "b", "c")) -> Store:
    """A store with a label of the first prompt's name, and one object with a group of each prompt."""
    store = make_store(url, [random_graph(name, seed=ord(name)) for name in ids])
    write_labels(store.root, [(0, 7, Label(ids[0], "me"))])
    write_groups(store.root, [group(store, name, f"of {name}") for name in ids])
    return store


def found(url: str) -> tuple[list[str], dict[str, list[str]]]:
    """The texts of the label's feature, and the names of the groups of each prompt."""
    store = open_store(url)
    texts = [label.text for label in store.labels.get(0, 7)]
    return texts, {name: [group.name for group in store.context(name).groups] for name in store}


ALL = (["a"], {"a": ["of a"], "b": ["of b"], "c": ["of c"]})


def test_a_copy_brings_them_once(store_url: str, other_url: str) -> None:
    annotated_store(store_url)
    for _ in range(2):
        copy_store(store_url, other_url)
        assert found(other_url) == ALL
    assert annotation_keys(open_backend(other_url)) == annotation_keys(open_backend(store_url))


def test_a_merge_brings_those_of_all(tmp_path: Path) -> None:
    annotated_store(str(tmp_path / "one"))
    annotated_store(str(tmp_path / "two"), ("d",))
    merge_stores(str(tmp_path / "all"), [str(tmp_path / "one"), str(tmp_path / "two")])
    texts, groups = found(str(tmp_path / "all"))
    assert sorted(texts) == ["a", "d"]
    assert groups == {**ALL[1], "d": ["of d"]}


def test_what_was_removed_stays_removed_in_a_copy_that_had_it(tmp_path: Path) -> None:
    store = annotated_store(str(tmp_path / "store"))
    copy_store(store.url, str(tmp_path / "copy"))
    for kind in ("labels", "groups"):
        known = [one.name for one in read_annotations(store.root, kind)]
        if kind == "labels":
            write_labels(store.root, [], replaces=known, sources=["me"])
        else:
            write_groups(store.root, [PromptGroups("b", store.entry("b").asked)], replaces=known)
    expected = ([], {**ALL[1], "b": []})
    assert found(store.url) == expected
    copy_store(store.url, str(tmp_path / "copy"))
    assert found(str(tmp_path / "copy")) == expected
    split_store(open_store(store.url), str(tmp_path / "split"), ["a", "b"])
    assert found(str(tmp_path / "split")) == ([], {"a": ["of a"], "b": []})


def test_a_split_brings_what_is_said_about_its_prompts_alone_once(store_url: str, other_url: str) -> None:
    store = annotated_store(store_url)
    for _ in range(2):
        split_store(store, other_url, ["b"])
        assert found(other_url) == (["a"], {"b": ["of b"]})
    root = open_backend(other_url)
    keys = annotation_keys(root)
    assert len(keys) == 2
    assert not any(b"of a" in data for data in root.read_many(keys).values())


def test_a_split_that_has_all_prompts_of_an_annotation_keeps_its_name(tmp_path: Path) -> None:
    store = annotated_store(str(tmp_path / "store"))
    split_store(store, str(tmp_path / "split"), ["a", "b", "c"])
    assert annotation_keys(open_backend(str(tmp_path / "split"))) == annotation_keys(store.root)


def test_compacting_and_cleaning_leave_them(tmp_path: Path) -> None:
    store = annotated_store(str(tmp_path / "store"))
    compact(store.url)
    (tmp_path / "store" / "annotations" / "labels" / ".x.tmp").write_bytes(b"half")
    time.sleep(0.01)
    assert [one.key for one in collect_garbage(store.url, grace_hours=0)] == ["annotations/labels/.x.tmp"]
    assert found(store.url) == ALL


def test_what_was_altered_is_found_not_copied_and_taken_out(tmp_path: Path) -> None:
    store = annotated_store(str(tmp_path / "store"))
    assert verify(store.root).damages == ()
    (key,) = annotation_keys(store.root, "groups")
    path = tmp_path / "store" / key
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"of a", b"of x"))
    assert [damage.key for damage in verify(store.root).damages] == [key]
    with pytest.raises(StoreCorrupt, match="altered"):
        copy_store(store.url, str(tmp_path / "copy"))
    with pytest.raises(StoreCorrupt, match=key):
        open_store(store.url).context("a")
    repair(store.url)
    assert verify(store.root).damages == ()
    assert found(store.url) == (["a"], {"a": [], "b": [], "c": []})


def test_info_says_that_they_are_there(tmp_path: Path) -> None:
    store = annotated_store(str(tmp_path / "store"))
    (key,) = annotation_keys(store.root, "labels")
    size = (tmp_path / "store" / key).stat().st_size
    said = info_of(store.url)
    assert said["annotations"]["labels"] == {"objects": 1, "bytes": size}
    assert f"said     labels: 1 objects of {size:,} bytes" in info_text(said)
