"""The commands `annotations`: what they say, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from said_stores import NODE, OTHER, annotate, asking, trace

from distributed_tracer.cli.main import main
from distributed_tracer.store.annotation_edits import write_note
from distributed_tracer.store.annotations import annotation_keys
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.annotation import Annotation
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.object_names import annotation_key
from distributed_tracer.store.reader import Store

HOSTILE = "\x1b[2J\r\n<b>\u202e\u2028"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return trace(str(tmp_path / "store"), "a", "b")


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["annotations", *args])
    out, err = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in out + err)
    return code, out, err


def test_notes_are_written_listed_undone_exported_and_imported(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "list", store.url)[1].endswith("\n0 annotations\n")
    code, out, _ = run(capsys, "note", store.url, "a note", "--prompt", "a", "--author", "ann")
    name = out.split()[2]
    assert (code, out) == (0, f"wrote note {name} about 'a'\n")
    assert run(capsys, "note", store.url, "of a feature", "--feature", "0:5", "--author", "bob")[0] == 0
    assert run(capsys, "note", store.url, "of the store")[0] == 0
    out = run(capsys, "list", store.url, "--limit", "2")[1]
    assert out.splitlines()[-2:] == ["... 1 more", "3 annotations"]
    assert [line.split()[:3] for line in out.splitlines()[1:3]] == [
        ["notes", "'a'", "ann"],
        ["notes", "feature", "0:5"],
    ]
    for flags, count in (
        (("--author", "ann"), 1),
        (("--feature", "0:5"), 1),
        (("--prompt", "a"), 1),
        (("--kind", "views"), 0),
        (("--kind", "notes"), 3),
    ):
        assert len(json.loads(run(capsys, "list", store.url, *flags, "--json")[1])) == count
    code, out, _ = run(capsys, "undo", store.url, name, "--author", "bob")
    assert code == 0
    assert out.startswith(f"took back what {name} says about 'a', by ")
    assert len(json.loads(run(capsys, "list", store.url, "--json")[1])) == 2
    out = run(capsys, "list", store.url, "--prompt", "a", "--history")[1]
    assert [line.split()[-2:] for line in out.splitlines()[1:2]] == [["no", name]]
    assert "(removed)  yes" in out.splitlines()[2]
    file = str(tmp_path / "all.jsonl")
    assert run(capsys, "export", store.url, file)[1] == f"wrote 4 annotations to {file}\n"
    other = trace(str(tmp_path / "other"), "a")
    assert run(capsys, "import", other.url, file)[:2] == (0, "added 4 annotations; 0 were there\n")
    assert run(capsys, "import", other.url, file, file)[:2] == (0, "added 0 annotations; 8 were there\n")
    assert run(capsys, "list", other.url)[1] == run(capsys, "list", store.url)[1]


def test_every_kind_is_printed_in_a_line_and_as_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    annotate(store, "a")
    out = run(capsys, "list", store.url)[1]
    for text in (
        "'by bob' (bob)",
        "1 group: 'new of a'; 1 pin",
        "'first of a'",
        "'view of a': graph?prompt=a",
        "'result of a'",
        "refused: 'of a'",
        "'a': feature 0:7 at 1 -> target 3:0 at 2",
    ):
        assert text in out
    found = json.loads(run(capsys, "list", store.url, "--prompt", "a", "--kind", "results", "--json")[1])
    assert found[0]["content"] == {"name": "result of a", "result": {"prompt": "a", "effect": 0.5}}
    assert found[0]["subject"] == {"of": "prompt", "prompt": "a", "asked": asking("a")}


def test_text_of_strangers_controls_no_terminal(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"subject": Subject.of_edge(HOSTILE, HOSTILE, NODE, OTHER).to_json(), "entry": {"text": HOSTILE}}
    data = Annotation("notes", HOSTILE, HOSTILE, 0, (HOSTILE,), content, "").to_json()
    store.root.put_if_absent(annotation_key("notes", data), data)
    for flags in ((), ("--history",), ("--json",)):
        code, out, _ = run(capsys, "list", store.url, *flags)
        assert code == 0
        assert "\\x1b[2J" in out or "\\u001b[2J" in out


def test_what_cannot_be_imported_is_reported_with_its_line(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_note(store.root, Subject.of_prompt("b", asking("b")), "x", "ann")
    file = tmp_path / "some.jsonl"
    assert run(capsys, "export", store.url, str(file), "--prompt", "b")[0] == 0
    with file.open("a") as more:
        more.write("{}\n" * 30)
    other = trace(str(tmp_path / "other"), "a")
    code, out, err = run(capsys, "import", other.url, str(file))
    assert (code, out) == (3, "added 0 annotations; 0 were there; 31 lines refused\n")
    assert err.splitlines()[0] == f"{file}:1: no prompt 'b' in {other.url}"
    assert err.splitlines()[1].startswith(f"{file}:2: no annotation: expected a JSON object")
    assert err.splitlines()[-1] == "11 more such lines"
    assert annotation_keys(open_backend(other.url)) == []


def test_what_is_about_a_prompt_of_another_store_is_listed_as_not_counting(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    write_note(store.root, Subject.of_prompt("c", asking("c")), "x", "ann")
    write_note(store.root, Subject.of_prompt("a", "e" * 64), "y", "ann")
    write_note(store.root, Subject.of_prompt("a", asking("a")), "z", "ann")
    out = run(capsys, "list", store.url)[1]
    said = "2 of prompts that are not in this store, or ask for something else here: they do not count"
    assert out.splitlines()[-2:] == ["3 annotations", said]
    found = json.loads(run(capsys, "list", store.url, "--prompt", "a", "--json")[1])
    assert [(record["content"]["text"], record["fits"]) for record in found] == [("y", False), ("z", True)]
    assert run(capsys, "list", store.url, "--prompt", "c")[0] == 0


def test_a_damaged_annotation_is_named(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write_note(store.root, Subject.of_store(), "x", "ann")
    path = tmp_path / "store" / "annotations" / "notes" / f"{name}.json"
    path.chmod(0o644)
    path.write_bytes(b"{}")
    for args in (("list", store.url), ("export", store.url, str(tmp_path / "x.jsonl"))):
        code, _, err = run(capsys, *args)
        assert code == 1
        assert f"annotations/notes/{name}.json does not hold annotations" in err
    assert run(capsys, "list", store.url, "--kind", "labels")[0] == 0


def test_mistakes_are_one_line(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for args, message in (
        (("list", store.url, "--feature", "x"), "error: --feature is LAYER:INDEX, as in 12:3045, not 'x'"),
        (("list", store.url, "--kind", "note"), "error: no kind of annotations 'note'; there are 'labels', 'groups'"),
        (("list", store.url, "--limit", "-1"), "error: --limit must not be negative"),
        (("note", store.url, " "), "error: a note has no text"),
        (("note", store.url, "\x1b"), "error: a note has the control character"),
        (("note", store.url, "x", "--prompt", "c"), "error: no prompt 'c' among the 2"),
        (("note", store.url, "x", "--feature", "9:1"), "error: layer 9 is not among the 3"),
        (("note", store.url, "x", "--feature", "0:1", "--prompt", "a"), "error: --prompt and --feature exclude"),
        (("list", store.url, "--prompt", "c"), "error: no prompt 'c' among the 2"),
        (("list", store.url, "--feature", "9:1"), "error: layer 9 is not among the 3"),
        (("export", store.url, str(tmp_path / "x.jsonl"), "--prompt", "c"), "error: no prompt 'c' among the 2"),
        (("undo", store.url, "x"), "error: no single annotation of the name 'x'"),
        (
            ("export", store.url, str(tmp_path / "x.csv")),
            "error: annotations are written to a file that ends in .jsonl",
        ),
        (("import", store.url), "error: no file: name at least one file of annotations"),
        (("import", store.url, str(tmp_path / "x.jsonl")), f"error: {tmp_path / 'x.jsonl'}: no such file"),
        (("list", str(tmp_path / "none")), "error: there is no store at"),
    ):
        code, _, err = run(capsys, *args)
        assert code == 1, args
        assert err.startswith(message), err
        assert err.count("\n") == 1
