"""Readers of files of annotations, and of what a store has after it took their lines."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # fuzz.py runs as a script

from said_stores import annotate, said, trace

from distributed_tracer.annotations.annotation_file import read_annotation_file, write_annotation_file
from distributed_tracer.annotations.selection import Selection, records_table, selected
from distributed_tracer.store.annotation_log import open_log
from distributed_tracer.store.format.checksummed_json import dump_checksummed
from distributed_tracer.store.reader import open_store

PROMPTS = "a", "b"
LONGEST_REASON = 1_000


def read_annotations(data: bytes, folder: Path) -> None:
    """Import a file into a store that has its prompts, then do what commands and pages do with what it took."""
    (folder / "a.jsonl").write_bytes(data)
    store = open_store(STORE)
    try:
        done = read_annotation_file(store, str(folder / "a.jsonl"))
        assert all(len(line.reason) < LONGEST_REASON for line in (*done.refused, *done.not_counting))
        said(store.root)
        records_table(list(selected(open_log(store.root), Selection())))
        write_annotation_file(store, folder / "again.jsonl", Selection())
    finally:
        shutil.rmtree(Path(STORE) / "annotations", ignore_errors=True)


def read_sealed(data: bytes, folder: Path) -> None:
    """The same with a valid checksum in every line that is a JSON object, which a changed line has not."""
    lines = []
    for line in data.split(b"\n"):
        try:
            document = json.loads(line)
            lines.append(dump_checksummed({k: v for k, v in document.items() if k != "sha256"}))
        except (ValueError, RecursionError, AttributeError, TypeError):
            lines.append(line)
    read_annotations(b"\n".join(lines), folder)


def annotation_lines() -> tuple[bytes, ...]:
    """A file with annotations of every kind, and each of its lines alone."""
    with tempfile.TemporaryDirectory() as folder:
        store = trace(f"{folder}/store", *PROMPTS)
        annotate(store, *PROMPTS)
        write_annotation_file(store, Path(folder) / "a.jsonl", Selection())
        whole = (Path(folder) / "a.jsonl").read_bytes()
    return whole, *whole.splitlines()


_HOME = tempfile.TemporaryDirectory()
STORE = f"{_HOME.name}/store"
trace(STORE, *PROMPTS)
LINES = annotation_lines()
