"""Labels in a store: added once, replaced, removed, written to a file and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, StoreNotFound
from distributed_tracer.graph.labels import Label
from distributed_tracer.labels.in_store import (
    Added,
    add_labels,
    label_rows,
    label_sources,
    labels_at,
    remove_labels,
    replace_labels,
    write_label_file,
)
from distributed_tracer.labels.label_file import read_label_file
from distributed_tracer.store.annotations import annotation_keys, write_labels
from distributed_tracer.store.reader import Store, open_store

HOSTILE = "=x\x1b[31m<b>\"'\r\n,\u202e"
ROWS = [(0, 7, Label("capital", "me")), (0, 7, Label(HOSTILE, HOSTILE)), (2, 999, Label("Texas", "file"))]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(str(tmp_path / "store"), [random_graph("a", seed=1)])


def labels_of(store: Store) -> list[tuple[int, int, str, str]]:
    return list(label_rows(open_store(store.url).labels))


def test_what_is_there_is_not_added_again(store: Store) -> None:
    assert add_labels(store, [*ROWS, ROWS[0]], "somebody") == Added(3, 0)
    keys = annotation_keys(store.root)
    assert add_labels(store, ROWS) == Added(0, 3)
    assert annotation_keys(store.root) == keys, "nothing is written"
    assert add_labels(store, [*ROWS, (1, 1, Label("new", "me"))]) == Added(1, 3)
    assert label_sources(open_store(store.url).labels) == {"me": 2, "file": 1, HOSTILE: 1}


def test_a_layer_that_no_graph_has_is_refused_before_anything_is_written(store: Store) -> None:
    with pytest.raises(ConfigError, match="layer 3 is not among the 3"):
        add_labels(store, [*ROWS, (3, 0, Label("x", "me"))])
    store.info["num_features"] = [1000, 1000, 500]
    with pytest.raises(ConfigError, match=r"feature 2:999 is not among the 500 of layer 2"):
        add_labels(store, ROWS)
    assert labels_of(store) == []


def test_replacing_touches_one_source_and_writes_only_what_is_new(store: Store) -> None:
    add_labels(store, ROWS)
    made = [(1, 1, Label("one", "rule")), (1, 2, Label("two", "rule"))]
    assert replace_labels(store, "rule", made) == Added(2, 0, 0)
    num_objects = len(annotation_keys(store.root))
    assert replace_labels(store, "rule", made) == Added(0, 2, 0)
    assert len(annotation_keys(store.root)) == num_objects
    assert replace_labels(store, "rule", [made[1], (1, 3, Label("three", "rule"))]) == Added(1, 1, 1)
    assert [row for row in labels_of(store) if row[3] == "rule"] == [(1, 2, "two", "rule"), (1, 3, "three", "rule")]
    assert len(labels_of(store)) == len(ROWS) + 2


def test_removing_a_source_leaves_the_others_also_in_the_same_object(store: Store) -> None:
    write_labels(store.root, ROWS)
    assert remove_labels(store, "me") == 1
    assert [row[3] for row in labels_of(store)] == [HOSTILE, "file"]
    with pytest.raises(ConfigError, match=r"no source of labels 'filee'; there are .*Did you mean 'file'"):
        remove_labels(open_store(store.url), "filee")
    add_labels(store, ROWS)
    assert len(labels_of(store)) == 3, "it can be added again"


@pytest.mark.parametrize("name", ["l.jsonl", "l.csv"])
def test_an_exported_file_adds_nothing_to_the_store_that_it_is_of(name: str, store: Store, tmp_path: Path) -> None:
    add_labels(store, ROWS)
    labels = open_store(store.url).labels
    assert write_label_file(labels, tmp_path / name) == 3
    found = read_label_file(str(tmp_path / name))
    assert found.bad == []
    assert add_labels(store, found.rows) == Added(0, 3)


def test_a_file_of_another_format_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.jsonl or \.csv"):
        write_label_file(store.labels, tmp_path / "l.xlsx")


def test_labels_are_those_of_a_store_or_of_a_file(store: Store, tmp_path: Path) -> None:
    add_labels(store, ROWS)
    labels = open_store(store.url).labels
    write_label_file(labels, tmp_path / "l.jsonl")
    assert dict(labels_at(store.url)) == dict(labels_at(str(tmp_path / "l.jsonl"))) == dict(labels)
    (tmp_path / "l.csv").write_text("layer,index,text\n1,2,x\n1,y,x\n1,,x\n")
    with pytest.raises(ConfigError, match=r"l.csv:3: no whole number from 0: found 'y' as an index and 1 more"):
        labels_at(str(tmp_path / "l.csv"))
    with pytest.raises(StoreNotFound):
        labels_at(str(tmp_path / "nothing"))
