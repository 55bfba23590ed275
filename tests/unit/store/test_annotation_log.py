"""The cache of annotations: what it reads, what it leaves out, and many readers and writers at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, StoreCorrupt
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.labels.in_store import label_sources, remove_labels
from distributed_tracer.store.annotation_edits import write_groups_edit, write_label_edit, write_note
from distributed_tracer.store.annotation_log import AnnotationCache, open_log
from distributed_tracer.store.annotation_undo import undo
from distributed_tracer.store.annotations import annotation_keys, read_labels, write_groups, write_labels
from distributed_tracer.store.backend.base import Backend
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.annotation import Annotation, PromptGroups
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.object_names import annotation_key
from distributed_tracer.store.reader import Store, open_store

FEATURE, NODE = Subject.of_feature(0, 5), NodeKey("feature", 0, 1, 7)


def store_of(url: str) -> Backend:
    return make_store(url, [random_graph("a", seed=1)]).root


class Counted:
    """A root that counts the objects that are read."""

    def __init__(self, root: Backend) -> None:
        self._root, self.num_read = root, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._root, name)

    def read_many(self, keys: Sequence[str], *args: Any, **kwargs: Any) -> dict[str, bytes]:
        self.num_read += len(keys)
        return self._root.read_many(keys, *args, **kwargs)


def put_notes(root: Backend, count: int) -> None:
    """Write notes by somebody else, quickly."""
    objects = {}
    for number in range(count):
        content = {"subject": Subject.of_feature(number % 7, number).to_json(), "entry": {"text": f"note {number}"}}
        data = Annotation("notes", "ann", "2026-01-01T00:00:00.000+00:00", number, (), content).to_json()
        objects[annotation_key("notes", data)] = data
    root.put_many(objects)


def test_each_annotation_is_read_once_however_often_the_cache_is_refreshed(store_url: str) -> None:
    root = Counted(store_of(store_url))
    put_notes(root, 600)
    cache = AnnotationCache(root)
    assert cache.refresh() == root.num_read == 600
    assert (cache.refresh(), root.num_read) == (0, 600)
    write_note(cache, FEATURE, "mine", "bob")
    assert (cache.refresh(), root.num_read) == (0, 600), "what was written here is known"
    write_note(open_backend(store_url), FEATURE, "by another process", "ann")
    assert [one.content and one.content["text"] for one in cache.heads("notes", FEATURE)] == ["mine"]
    assert (cache.refresh(["labels"]), cache.refresh(["notes"]), cache.refresh()) == (0, 1, 0)
    texts = [one.content and one.content["text"] for one in cache.heads("notes", FEATURE)]
    assert texts == ["mine", "by another process"]
    assert len(cache.heads("notes")) == 602


def test_a_damaged_annotation_is_left_out_named_and_forgotten_once_it_is_repaired(tmp_path: Path) -> None:
    root = store_of(str(tmp_path))
    kept, damaged = (write_note(root, FEATURE, text, "ann") for text in ("kept", "damaged"))
    key = f"annotations/notes/{damaged}.json"
    (tmp_path / key).chmod(0o644)
    (tmp_path / key).write_bytes(b'{"kind":"notes"}')
    huge = "annotations/labels/" + "0" * 32 + ".json"
    (tmp_path / "annotations" / "labels").mkdir()
    with (tmp_path / huge).open("wb") as file:
        file.truncate((1 << 26) + 1)
    cache = AnnotationCache(root)
    assert cache.refresh() == 1
    assert [problem.key for problem in cache.problems] == [huge, key]
    assert "67,108,865 bytes; at most 67,108,864" in cache.problems[0].message
    assert [one.ref for one in cache.heads("notes")] == [kept]
    cache.check(["groups"])
    with pytest.raises(StoreCorrupt, match=f"{key} does not hold annotations.*`repair` takes it out"):
        cache.check(["notes"])
    with pytest.raises(StoreCorrupt, match=r"\(1 more are damaged\)"):
        cache.check()
    write_note(cache, FEATURE, "goes on", "ann")
    assert (cache.refresh(), len(cache.problems)) == (0, 2)
    repair(str(tmp_path))
    assert (cache.refresh(), cache.problems, len(cache.heads("notes"))) == (0, [], 2)


def test_records_of_all_kinds_are_found_by_their_name(tmp_path: Path) -> None:
    root = store_of(str(tmp_path))
    write_labels(root, [(0, 5, Label("x", "file")), (1, 6, Label("y", "file"))])
    note = write_note(root, FEATURE, "x", "ann")
    asked = "f" * 64
    write_groups(root, [PromptGroups(name, asked, (Group("x", (NODE,)),)) for name in ("a", "b")])
    cache = open_log(root)
    label = cache.heads("labels", Subject.of_feature(1, 6))[0]
    assert cache.find(label.ref) == label
    assert label.content == {"text": "y", "source": "file"}
    assert cache.find(note).subject == FEATURE
    with pytest.raises(ConfigError, match="it speaks about 2 prompts"):
        cache.find(cache.heads("groups")[0].ref)
    with pytest.raises(ConfigError, match="no single annotation of the name 'x'"):
        cache.find("x")
    with pytest.raises(ConfigError, match="no kind of annotations 'colours'"):
        cache.history("colours")


def test_the_order_is_that_of_numbers_then_of_clocks(tmp_path: Path) -> None:
    root = store_of(str(tmp_path))
    for number, created, text in ((2, "2020", "c"), (1, "2030", "b"), (1, "2025", "a"), (7, "2000", "d")):
        content = {"subject": FEATURE.to_json(), "entry": {"text": text}}
        data = Annotation("notes", "ann", created, number, (), content).to_json()
        root.put_if_absent(annotation_key("notes", data), data)
    cache = open_log(root)
    assert [one.content and one.content["text"] for one in cache.history("notes")] == ["a", "b", "c", "d"]
    assert cache.next_number("notes") == 8


def test_many_threads_may_read_and_write_through_one_cache(tmp_path: Path) -> None:
    cache = AnnotationCache(store_of(str(tmp_path)))
    stop = threading.Event()

    def read() -> int:
        seen = 0
        while not stop.is_set():
            found = len(cache.heads("notes")) + len(cache.about_prompt("groups", "a", ""))
            assert found >= seen
            seen = found
            cache.refresh()
        return seen

    def write(number: int) -> None:
        write_note(cache, Subject.of_feature(0, number % 3), f"note {number}", "ann")
        write_groups_edit(cache, "a", "", [Group(f"group {number}", (NODE,))], [], "ann")
        write_label_edit(cache, 0, number, "x", "ann")

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        list(pool.map(write, range(30)))
        stop.set()
        for reader in readers:
            assert reader.result() <= 60
    cache.refresh()
    counts = [len(cache.heads(kind)) for kind in ("notes", "groups", "labels")]
    assert counts == [30, 30, 30]
    assert cache.problems == []


ANN, BOB = "ann", "bob"
STEP = st.tuples(
    st.sampled_from(["file", "label", "label", "remove", "source", "undo", "groups", "many groups"]),
    st.sampled_from([ANN, BOB]),
    st.integers(0, 1 << 16),
)


def take(step: tuple[str, str, int], store: Store, cache: AnnotationCache) -> None:
    """Do one thing that people do, with what counts at that moment; what makes no sense is refused, or does nothing."""
    what, author, number = step
    site, prompt = (0, number % 2), "ab"[number % 2]
    kind, subject = ("labels", Subject.of_feature(*site)) if number % 3 else ("groups", Subject.of_prompt(prompt, ""))
    heads = cache.heads(kind, subject)
    seen = [head.ref for place, head in enumerate(heads) if number >> (2 + place) & 1]
    match what:
        case "file":
            rows = [(0, n % 2, Label(f"file {n}", author)) for n in range(number % 5)]
            write_labels(store.root, rows, author, [head.name for head in heads], [author])
        case "label" if kind == "labels":
            write_label_edit(cache, *site, f"text {number}", author, author, seen)
        case "remove" if seen and kind == "labels":
            write_label_edit(cache, *site, None, author, parents=seen)
        case "source" if author in label_sources(read_labels(store.root)):
            remove_labels(open_store(store.url), author, author)
        case "undo":
            with suppress(ConfigError):
                undo(cache, kind, subject, author, seen[0] if seen else None)
        case "groups" if kind == "groups":
            write_groups_edit(cache, prompt, "", [Group(f"group {number}", (NODE,))], [], author, seen)
        case "many groups":
            found = [PromptGroups(name, "", (Group(f"many {number}", (NODE,)),)) for name in "ab"[: 1 + number % 2]]
            write_groups(store.root, found, author, [head.name for head in cache.heads("groups")][: number % 4])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=12))
def test_whatever_people_do_the_cache_says_what_a_store_that_is_opened_says(
    steps: list[tuple[str, str, int]], fresh: Store
) -> None:
    for key in annotation_keys(fresh.root):
        fresh.root.remove(key)
    cache = AnnotationCache(fresh.root)
    for step in steps:
        take(step, fresh, cache)
        cache.refresh()
    labels: dict[tuple[int, int], list[Label]] = {}
    for head in cache.heads("labels"):
        assert head.content is not None
        label = Label(head.content["text"], head.content["source"])
        labels.setdefault((head.subject.layer, head.subject.feature), []).append(label)
    assert {site: tuple(dict.fromkeys(found)) for site, found in labels.items()} == dict(read_labels(fresh.root))
    for prompt in "ab":
        heads = cache.heads("groups", Subject.of_prompt(prompt, ""))
        names = [group["name"] for head in heads for group in (head.content or {})["groups"]]
        expected = [group.name for group in open_store(fresh.url).context(prompt).groups]
        assert list(dict.fromkeys(names)) == expected
    again = open_log(fresh.root)
    for kind in ("labels", "groups"):
        assert cache.history(kind) == again.history(kind), "reading bit by bit is reading at once"
        for record in cache.history(kind):
            assert record in cache.history(kind, record.subject)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("fresh") / "store"), [random_graph("a"), random_graph("b")])
