"""The commands about features, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jobs_of_cases import CASE, plain_rows, write_prompts

from distributed_tracer.cli.main import main
from distributed_tracer.profile.reader import open_profile


def typed(tmp_path: Path, *flags: str) -> int:
    prompts = str(write_prompts(tmp_path / "texts.jsonl", [*plain_rows(2), {"id": "\x1b[31mbad"}]))
    files = ("--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--prompts", prompts)
    return main(["profile", *files, "--out", str(tmp_path / "p"), "--local", "--no-progress", "--threads", "1", *flags])


def test_a_dry_run_says_what_it_will_take_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tmp_path, "--dry-run") == 0
    assert capsys.readouterr().out.startswith("to examine: ")
    assert not (tmp_path / "p").exists()


def test_a_profile_is_made_and_what_failed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(tmp_path, "--contexts", "1", "--top-tokens", "2", "--context-length", "8") == 3
    said = capsys.readouterr()
    assert said.err.startswith("to examine: ")
    assert "failed in read: '\\x1b[31mbad': " in said.out
    assert said.out.startswith("2 texts examined, 0 skipped (done before), 1 failed, and the decoders of 4 layers, in ")
    assert said.out.splitlines()[-1] == f"wrote {tmp_path / 'p'}: {len(open_profile(tmp_path / 'p')):,} features"
    assert typed(tmp_path, "--contexts", "1", "--top-tokens", "2", "--context-length", "8", "--json") == 3
    again = json.loads(capsys.readouterr().out)
    assert (again["num_done"], list(again["failed"])) == (0, ["\x1b[31mbad"])


def test_settings_of_another_profile_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(tmp_path, "--top-tokens", "0", "--neighbours", "0") == 3
    assert typed(tmp_path, "--top-tokens", "0", "--neighbours", "0", "--seed", "4") == 1
    assert "seed: the profile has 0, this run 4" in capsys.readouterr().err
