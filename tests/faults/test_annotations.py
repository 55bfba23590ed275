"""Several processes edit annotations of one store at once, and some are killed: nothing said is lost or half there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from said_stores import FEATURE, asking, trace

from distributed_tracer.store.annotation_edits import write_note
from distributed_tracer.store.annotation_log import open_log
from distributed_tracer.store.annotations import read_labels
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import Store, open_store

pytestmark = pytest.mark.slow

WRITER = """
import sys
from said_stores import FEATURE, NODE, asking
from distributed_tracer.graph.context import Group
from distributed_tracer.store.annotation_edits import write_groups_edit, write_label_edit, write_note
from distributed_tracer.store.annotation_log import AnnotationCache
from distributed_tracer.store.backend.open import open_backend

url, author, parent, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
cache = AnnotationCache(open_backend(url))
cache.refresh()
print("ready", flush=True)
sys.stdin.readline()
note = write_note(cache, FEATURE, f"{author} 0", author, [parent])
write_groups_edit(cache, "a", asking("a"), [Group(f"of {author}", (NODE,))], [], author)
label = write_label_edit(cache, 0, 5, f"{author} 0", author)
print(note, flush=True)
for number in range(1, count):
    note = write_note(cache, FEATURE, f"{author} {number}", author, [note])
    label = write_label_edit(cache, 0, 5, f"{author} {number}", author, parents=[label])
    print(note, flush=True)
"""


def start(store: Store, author: str, parent: str, count: int) -> subprocess.Popen[str]:
    """A process that is about to edit one note and one label `count` times, and tells the names of its notes."""
    here = Path(__file__).parents[1]
    program = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n{WRITER}"
    command = [sys.executable, "-c", program, store.url, author, parent, str(count)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def test_people_who_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    store = trace(str(tmp_path), "a")
    parent = write_note(store.root, FEATURE, "the first", "ada")
    authors, count = ("ann", "bob", "eve"), 12
    writers = [start(store, author, parent, count) for author in authors]
    told = [writer.communicate("go\n")[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    cache = open_log(store.root)
    heads = cache.heads("notes", FEATURE)
    assert sorted(head.ref for head in heads) == sorted(names[-1] for names in told)
    assert sorted(str(head.content) for head in heads) == [f"{{'text': '{author} {count - 1}'}}" for author in authors]
    history = {record.ref: record for record in cache.history("notes", FEATURE)}
    assert history.keys() == {parent, *(name for names in told for name in names)}
    assert sum(record.parents == (parent,) for record in history.values()) == 3
    assert {group.name for group in open_store(store.url).context("a").groups} == {f"of {author}" for author in authors}
    assert {label.text for label in read_labels(store.root).get(0, 5)} == {f"{one} {count - 1}" for one in authors}
    assert verify(store.root).damages == ()


def test_a_writer_that_is_killed_leaves_whole_annotations_alone(tmp_path: Path) -> None:
    store = trace(str(tmp_path), "a")
    parent = write_note(store.root, FEATURE, "the first", "ada")
    for attempt in range(4):
        writer = start(store, f"writer {attempt}", parent, 100_000)
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        told = [writer.stdout.readline().strip() for _ in range(1 + 3 * attempt)]
        writer.kill()
        told += writer.stdout.read().split()  # `communicate` alone would leave out lines that readline has buffered
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        cache = open_log(store.root)
        assert cache.problems == []
        written = [record.ref for record in cache.history("notes") if record.author == f"writer {attempt}"]
        assert written[: len(told)] == told, "what was told is there"
        assert len(written) - len(told) in (0, 1), "at most one was written and not told"
        assert verify(store.root).damages == ()
    temporary = {path.name for path in (tmp_path / "annotations").rglob(".*.tmp")}
    assert {Path(one.key).name for one in collect_garbage(store.url, grace_hours=-1.0)} == temporary
    subject = Subject.of_prompt("a", asking("a"))
    assert len(open_log(store.root).heads("groups", subject)) == 4
