"""Files of annotations: what an export has, what an import adds, what is refused, and that nothing comes twice."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from said_stores import FEATURE, NODE, OTHER, annotate, asking, said, trace

from distributed_tracer.annotations import annotation_file
from distributed_tracer.annotations.annotation_file import read_annotation_file, write_annotation_file
from distributed_tracer.annotations.selection import Selection, records_table, selected
from distributed_tracer.errors import ConfigError, CorpusError, StoreCorrupt
from distributed_tracer.graph.labels import Label
from distributed_tracer.store.annotation_edits import write_label_edit, write_note
from distributed_tracer.store.annotation_log import AnnotationCache, open_log
from distributed_tracer.store.annotations import annotation_keys, read_labels, write_groups, write_labels
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.annotation import Annotation, PromptGroups
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.format.checksummed_json import dump_checksummed
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.object_names import annotation_key
from distributed_tracer.store.reader import Store, open_store


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def exported(store: Store, path: Path, **conditions: Any) -> Path:
    count = write_annotation_file(store, path, Selection(**conditions))
    assert len(lines(path)) == count
    return path


def test_all_annotations_go_into_another_store_with_names_and_history_and_only_once(
    store_url: str, other_url: str, tmp_path: Path
) -> None:
    store, other = trace(store_url, "a", "b"), trace(other_url, "a", "b", seed=3)
    annotate(store, "a", "b")
    path = exported(store, tmp_path / "all.jsonl")
    compressed = tmp_path / "all.jsonl.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes().replace(b"\n", b"\r\n\r\n")))
    for file, added in ((compressed, len(lines(path))), (compressed, 0), (path, 0)):
        done = read_annotation_file(other, str(file))
        assert (done.num_added, done.num_there) == (added, len(lines(path)) - added)
        assert done.refused == done.not_counting == []
    assert annotation_keys(other.root) == annotation_keys(store.root)
    assert said(other.root) == said(store.root)
    cache, there = open_log(store.root), open_log(other.root)
    assert [cache.history(kind) for kind in said(store.root)] == [there.history(kind) for kind in said(store.root)]
    assert exported(other, tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "conditions",
    [
        {"kind": "notes"},
        {"kind": "labels"},
        {"prompt": "a"},
        {"feature": (0, 5)},
        {"feature": (0, 7)},
        {"author": "ann"},
        {"author": "bob"},
        {"kind": "labels", "author": "ada"},
        {"kind": "notes", "prompt": "b", "author": "ann"},
    ],
)
def test_a_chosen_part_counts_in_another_store_as_it_did(conditions: dict[str, Any], tmp_path: Path) -> None:
    store, other = trace(str(tmp_path / "one"), "a", "b"), trace(str(tmp_path / "two"), "a", "b")
    annotate(store, "a", "b")
    chosen = Selection(**conditions)
    cache = open_log(store.root)
    expected = [(one.subject, one.author, one.content) for one in selected(cache, chosen)]
    assert expected
    path = exported(store, tmp_path / "some.jsonl", **conditions)
    for _ in range(2):
        done = read_annotation_file(other, str(path))
        assert done.refused == done.not_counting == []
        found = [(one.subject, one.author, one.content) for one in selected(open_log(other.root), Selection())]
        assert sorted(map(str, found)) == sorted(map(str, expected))
    before = said(store.root)
    assert read_annotation_file(store, str(path)).refused == []
    assert {kind: sorted(set(one)) for kind, one in said(store.root).items()} == before, "nothing comes back"


def test_a_part_of_an_annotation_of_several_prompts_has_nothing_of_the_others(tmp_path: Path) -> None:
    store, other = trace(str(tmp_path / "one"), "a", "b"), trace(str(tmp_path / "two"), "a")
    write_groups(store.root, [PromptGroups(name, asking(name), (), (NODE,)) for name in ("a", "b")])
    path = exported(store, tmp_path / "a.jsonl", prompt="a")
    assert [prompt["id"] for line in lines(path) for prompt in line["prompts"]] == ["a"]
    assert read_annotation_file(other, str(path)).num_added == 1
    assert open_store(other.url).context("a").pins == (NODE,)


def test_labels_that_were_removed_with_their_source_stay_removed_where_they_were_known(tmp_path: Path) -> None:
    store, other = trace(str(tmp_path / "one"), "a"), trace(str(tmp_path / "two"), "a")
    edit = write_label_edit(store.root, 0, 5, "x", "ann")
    read_annotation_file(other, str(exported(store, tmp_path / "before.jsonl", feature=(0, 5))))
    assert len(read_labels(other.root)) == 1
    write_labels(store.root, [(1, 1, Label("y", "ann"))], replaces=[edit], sources=["ann"])
    read_annotation_file(other, str(exported(store, tmp_path / "after.jsonl", feature=(0, 5))))
    assert len(read_labels(other.root)) == 0


def test_prompts_that_are_unknown_or_ask_something_else_are_reported_and_nothing_of_them_is_added(
    tmp_path: Path,
) -> None:
    store = trace(str(tmp_path / "one"), "a", "b", "c")
    for name in ("a", "b", "c"):
        write_note(store.root, Subject.of_edge(name, asking(name), NODE, OTHER), name, "ann")
    write_groups(store.root, [PromptGroups(name, asking(name), (), (NODE,)) for name in ("a", "b", "c")])
    path = exported(store, tmp_path / "all.jsonl")
    other = trace(str(tmp_path / "two"), "a")
    trace(other.url, "b", asked="e" * 64)
    done = read_annotation_file(open_store(other.url), str(path))
    assert done.num_added == 2
    number = {str(line.get("entry")): place for place, line in enumerate(lines(path), 1)}
    assert sorted(done.refused) == sorted(
        [
            (number["{'text': 'b'}"], f"prompt 'b' asks for other tokens or targets in {other.url}"),
            (number["{'text': 'c'}"], f"no prompt 'c' in {other.url}"),
        ]
    )
    assert done.not_counting == [
        (number["None"], f"prompt 'b' asks for other tokens or targets in {other.url}"),
        (number["None"], f"no prompt 'c' in {other.url}"),
    ]
    assert [record.content for record in open_log(other.root).heads("notes")] == [{"text": "a"}]
    assert open_store(other.url).context("a").pins == (NODE,)
    assert open_store(other.url).context("b").pins == ()


def test_features_that_the_store_cannot_have_are_refused(tmp_path: Path) -> None:
    store, other = trace(str(tmp_path / "one"), "a"), trace(str(tmp_path / "two"), "a")
    write_labels(store.root, [(0, 5, Label("x", "file")), (9, 5, Label("y", "file"))])
    write_note(store.root, Subject.of_feature(7, 1), "x")
    write_label_edit(store.root, 8, 1, "x")
    done = read_annotation_file(other, str(exported(store, tmp_path / "all.jsonl")))
    assert done.num_added == 0
    assert sorted(reason[:20] for _, reason in done.refused) == [f"layer {n} is not among"[:20] for n in (7, 8, 9)]


NOTE = {"subject": FEATURE.to_json(), "entry": {"text": "x"}}
HEAD = {"format": "distributed_tracer annotation", "format_version": 1, "kind": "notes", "author": "", "created": ""}
GOOD = {**HEAD, "number": 0, "replaces": [], **NOTE}


def test_bad_lines_are_reported_with_number_and_reason_and_the_others_are_added(tmp_path: Path) -> None:
    store = trace(str(tmp_path / "store"), "a")
    good = dump_checksummed(GOOD)
    cases = {
        b"{": "bad JSON at column 2",
        b"[]": "no annotation: expected a JSON object",
        b"\xff": "not UTF-8",
        b'"\x1b[31m"': "bad JSON",
        json.dumps({"layer": 0, "index": 5, "text": "x"}).encode(): "no annotation: expected a JSON object with format",
        json.dumps(GOOD).encode(): "it has no checksum",
        good.replace(b'"x"', b'"y"'): "it was altered (SHA-256 differs)",
        dump_checksummed({**GOOD, "format": "x" * 5_000}): "format 'xxx",
        dump_checksummed({**GOOD, "kind": "../runs"}): "no kind of annotations: '../runs'",
        dump_checksummed({**GOOD, "kind": "labels"}): "no annotation: KeyError: 'sources'",
        dump_checksummed({**GOOD, "replaces": 1}): "no annotation: TypeError",
        dump_checksummed({**GOOD, "entry": {"text": "x" * 20_001}}): "a text of 20,001 characters; at most 20,000",
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000: "nested too deeply",
    }
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join([*cases, b"", good]))
    done = read_annotation_file(store, str(path))
    assert done.num_added == 1
    assert [line for line, _ in done.refused] == list(range(1, len(cases) + 1))
    for (_, reason), expected in zip(done.refused, cases.values(), strict=True):
        assert expected in reason
        assert len(reason) <= 500
        assert reason.isprintable()
    assert [record.content for record in open_log(store.root).heads("notes", FEATURE)] == [{"text": "x"}]


def test_a_file_of_something_else_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = trace(str(tmp_path / "store"), "a")
    monkeypatch.setattr(annotation_file, "MOST_REFUSED", 20)
    (tmp_path / "x.jsonl").write_text("x\n" * 25)
    with pytest.raises(CorpusError, match="more than 20 lines are no annotations"):
        read_annotation_file(store, str(tmp_path / "x.jsonl"))
    with pytest.raises(CorpusError, match="no such file"):
        read_annotation_file(store, str(tmp_path / "y.jsonl"))


def test_an_export_is_refused_before_a_file_is_replaced(tmp_path: Path) -> None:
    store = trace(str(tmp_path / "store"), "a")
    with pytest.raises(ConfigError, match=r"a file that ends in \.jsonl"):
        write_annotation_file(store, tmp_path / "x.csv")
    with pytest.raises(ConfigError, match=r"no kind of annotations 'note'.*Did you mean 'notes'"):
        Selection(kind="note")
    path = tmp_path / "x.jsonl"
    path.write_text("before")
    name = write_note(store.root, FEATURE, "x")
    key = tmp_path / "store" / "annotations" / "notes" / f"{name}.json"
    key.chmod(0o644)
    key.write_bytes(key.read_bytes().replace(b'"x"', b'"y"'))
    for conditions in ({}, {"kind": "notes"}, {"feature": (0, 5)}):
        with pytest.raises(StoreCorrupt, match=name):
            write_annotation_file(store, path, Selection(**conditions))  # type: ignore[arg-type]
    assert path.read_text() == "before"


def test_annotations_of_other_programs_go_along_unless_they_have_line_breaks(tmp_path: Path) -> None:
    store, other = trace(str(tmp_path / "one"), "a"), trace(str(tmp_path / "two"), "a")
    data = dump_checksummed({**HEAD, "kind": "colours", "number": 0, "replaces": [], "anything": [1]})
    store.root.put_if_absent(annotation_key("colours", data), data)
    path = exported(store, tmp_path / "all.jsonl")
    assert read_annotation_file(other, str(path)).num_added == 1
    assert annotation_keys(other.root) == [annotation_key("colours", data)]
    body = data.rpartition(b',"sha256"')[0].replace(b",", b",\n")
    broken = body + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}'.encode()
    store.root.put_if_absent(annotation_key("colours", broken), broken)
    with pytest.raises(ConfigError, match="has line breaks"):
        write_annotation_file(store, path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SEEDS: list[dict[str, Any]] = [
    GOOD,
    {**GOOD, "entry": None, "restores": ""},
    {**GOOD, "kind": "views", "subject": {"of": "store"}, "entry": {"name": "x", "address": "graph?prompt=a"}},
    {**GOOD, "subject": Subject.of_edge("a", asking("a"), NODE, OTHER).to_json()},
    {
        **HEAD,
        "number": 0,
        "replaces": [],
        "kind": "groups",
        "prompts": [{"id": "a", "asked": asking("a"), "groups": [{"name": "x", "nodes": [list(NODE)]}], "pins": []}],
    },
    {
        **HEAD,
        "kind": "labels",
        "number": 0,
        "replaces": [],
        "sources": ["ann"],
        "labels": {"layer": [0], "feature": [5], "text": ["x"], "source": [0]},
        "edit": {"of": "feature", "layer": 0, "feature": 5, "withdraws": [["0" * 32, 3]]},
    },
]


@st.composite
def changed_documents(draw: st.DrawFn) -> bytes:
    """A line of an annotation with one value changed or taken out, at any depth, and a checksum that fits."""
    document: Any = json.loads(json.dumps(draw(st.sampled_from(SEEDS))))
    holder = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if isinstance(holder[key], (dict, list)) and draw(st.booleans()):
            holder = holder[key]
        elif isinstance(holder, dict) and draw(st.booleans()):
            del holder[key]
            break
        else:
            holder[key] = draw(JSON)
            break
    return dump_checksummed(document)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return trace(str(tmp_path_factory.mktemp("fuzzed") / "store"), "a")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(changed_documents() | st.binary(max_size=40), max_size=3).map(b"\n".join))
def test_whatever_a_file_has_the_store_stays_undamaged_and_a_second_import_adds_nothing(
    content: bytes, fuzzed: Store, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    done = read_annotation_file(fuzzed, str(path))
    assert all(len(reason) <= 500 and reason.isprintable() for _, reason in [*done.refused, *done.not_counting])
    assert read_annotation_file(fuzzed, str(path)).num_added == 0
    cache = AnnotationCache(open_backend(fuzzed.url))
    cache.refresh()
    assert cache.problems == []
    assert all(json.dumps(record.to_json()) for record in selected(cache, Selection(), history=True))
    open_store(fuzzed.url).context("a")


def test_the_store_that_was_fuzzed_is_undamaged(fuzzed: Store) -> None:
    assert verify(fuzzed.root).damages == ()


def test_a_selection_finds_what_is_about_a_feature_wherever_it_is_named(tmp_path: Path) -> None:
    store = trace(str(tmp_path), "a")
    for subject in (
        FEATURE,
        Subject.of_feature(0, 7),
        Subject.of_node("a", asking("a"), NODE),
        Subject.of_edge("a", asking("a"), NODE, OTHER),
        Subject.of_prompt("a", asking("a")),
    ):
        write_note(store.root, subject, str(subject), "ann")
    cache = open_log(store.root)

    def found(**conditions: Any) -> list[str]:
        return [str(record.subject) for record in selected(cache, Selection(**conditions))]

    assert found(feature=(0, 7)) == ["feature 0:7", "'a': feature 0:7 at 1", "'a': feature 0:7 at 1 -> target 3:0 at 2"]
    assert found(prompt="a") == [*found(feature=(0, 7))[1:], "'a'"]
    assert found(feature=(0, 7), prompt="a") == found(feature=(0, 7))[1:]
    assert found(author="bob") == found(kind="views") == []
    assert len(found()) == 5


def test_annotations_written_by_others_are_shown_whatever_they_hold(tmp_path: Path) -> None:
    root = trace(str(tmp_path), "a").root
    content = {"subject": FEATURE.to_json(), "entry": {"text": "\x1b[31m\n"}}
    data = Annotation("notes", "\x1b]0;x\x07", "\r\n", 0, ("\x00",), content).to_json()
    root.put_if_absent(annotation_key("notes", data), data)
    table = records_table(open_log(root).heads("notes"), history=True)
    assert table["text"].tolist() == [repr("\x1b[31m\n")]
    assert all(c.isprintable() or c == "\n" for c in table.format())
