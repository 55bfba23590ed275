"""What a command prints: it ends no run and has no line that a stranger wrote; and outputs are checked at the start."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from jobs_of_cases import CASE, plain_rows, write_prompts

from distributed_tracer.cli.main import main
from distributed_tracer.names import unknown
from distributed_tracer.plan.work import Outcome
from distributed_tracer.runtime.telemetry.progress import ProgressTracker, show_progress
from distributed_tracer.store.format.run_file import differences
from distributed_tracer.store.reader import open_store

FLAGS = ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders")]
FORGED = "key\nerror: the disk has failed"


def test_characters_that_the_output_cannot_show_end_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    prompts, store = write_prompts(tmp_path / "é.jsonl", plain_rows(1)), str(tmp_path / "Zürich\udcff")
    trace = ["trace", *FLAGS, "--prompts", str(prompts), "--store", store, "--local", "--max-feature-nodes", "8"]
    assert main([*trace, "--no-progress"]) == 0
    assert main(["status", store]) == 0
    assert len(open_store(store)) == 1
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main([*trace, "--no-progress"]) == 0, "all is stored, though nothing can be said"


def test_progress_that_nobody_reads_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        with show_progress(ProgressTracker(1, 1.0), True, line_seconds=0.01) as show:
            show(Outcome("a", "traced"))


@pytest.fixture
def plain_file(tmp_path: Path) -> str:
    (tmp_path / "file").touch()
    return str(tmp_path / "file")


@pytest.mark.parametrize("command", ["draw", "faithfulness", "export", "intervene"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    command: str, plain_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = {"export": ["no-store", "--prompt", "p"], "intervene": ["--model", "m", "--transcoders", "t", "--text", "x"]}
    for out, says in (("x.xyz", "ends in"), (f"{plain_file}/x.png", "no directory"), ("/x", "ends in")):
        if command == "export":
            out = out.replace(".png", ".npz")
        assert main([command, *rest.get(command, ["no-store"]), "--out", out]) == 1
        said = capsys.readouterr().err
        assert says in said
        assert "Traceback" not in said


def test_what_a_stranger_named_begins_no_line_of_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n" not in unknown("column", "x", [FORGED]) + unknown("column", FORGED, ["a"])
    assert "\n" not in "".join(differences({FORGED: 1}, {}))
    rows = [{**plain_rows(1)[0], FORGED: 1}]
    prompts, store = write_prompts(tmp_path / "p.jsonl", rows), str(tmp_path / "store")
    trace = ["trace", *FLAGS, "--prompts", str(prompts), "--store", store, "--local", "--max-feature-nodes", "8"]
    assert main([*trace, "--no-progress"]) == 0
    for wrong in (
        ["query", store, "--where", "nothing=1"],
        ["draw", store, "--by", "nothing", "--out", f"{tmp_path}/x.png"],
        ["status", str(tmp_path / FORGED)],
        ["plan", *FLAGS, "--prompts", str(write_prompts(tmp_path / "q.jsonl", [{"text": "a", FORGED: "\ud800"}]))],
    ):
        capsys.readouterr()
        assert main(wrong) == 1
        lines = capsys.readouterr().err.splitlines()
        assert [line for line in lines if line.startswith("error:")] == lines[:1]
