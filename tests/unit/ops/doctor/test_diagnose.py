"""This machine, without Ray: what it says of itself, and how that is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs_of_cases import CASE, plain_rows, write_prompts

from distributed_tracer.cli.main import main
from distributed_tracer.ops.doctor.diagnose import DoctorReport, diagnose
from distributed_tracer.ops.doctor.inspect_node import code_hash, probe
from distributed_tracer.ops.doctor.node_checks import Finding
from distributed_tracer.ops.doctor.node_report import CheckRequest, ClusterReport, UnreachableNode


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def inputs(tmp_path: Path) -> list[str]:
    prompts = write_prompts(tmp_path / "p.jsonl", plain_rows(3))
    given = ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders")]
    return ["doctor", *given, "--store", str(tmp_path / "store"), "--prompts", str(prompts)]


def test_a_machine_with_everything_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(inputs(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "3 prompts can be read" in text
    assert "ready: problems 0" in text.splitlines()[-1]
    assert os.listdir(tmp_path / "store") == []


def test_everything_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*inputs(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (answer,) = found["answers"]
    assert answer["store"]["create_only"] is True
    assert set(answer["model"]["digests"]) >= {"config.json", "model.safetensors"}
    assert {finding["severity"] for finding in found["findings"]} <= {"info", "warning"}


def test_what_stands_in_the_way_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write_prompts(tmp_path / "bad.jsonl", [{"id": "no text"}])
    given = ["doctor", "--model", "/not/there", "--store", str(bad / "store"), "--prompts", str(bad)]
    assert main(given) == 1
    text = capsys.readouterr().out
    for words in ("there is no directory '/not/there'", "the store cannot be used", "bad.jsonl:1"):
        assert words in text
    assert "do not start yet: problems 3" in text


def test_a_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--timeout-seconds", "0"]) == 1
    assert "timeout_seconds must be positive, not 0.0" in capsys.readouterr().err


def test_the_text_may_be_in_another_field(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\nTexas\n")
    path = str(tmp_path / "p.csv")
    assert "missing column" in diagnose(CheckRequest(), path).describe()
    assert "1 prompts can be read" in diagnose(CheckRequest(), path, text_field="prompt").describe()


@pytest.mark.parametrize(("from_", "unwanted"), [(1, {"ray"}), (3, {"ray", "torch"})])
def test_without_a_cluster_ray_is_not_imported_and_torch_to_read_a_model_only(
    tmp_path: Path, from_: int, unwanted: set[str]
) -> None:
    given = ["doctor", *inputs(tmp_path)[from_:]]  # with and without the model
    code = f"import sys; from distributed_tracer.cli.main import main; main({given!r}); "
    code += f"sys.exit(bool({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho '580.1, 1000, 2000, NVIDIA A100-SXM4'\necho '580.1, [N/A], 2000, NVIDIA A100'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    first, second = probe(CheckRequest()).gpus
    assert (first.name, first.driver, first.free_bytes) == ("NVIDIA A100-SXM4", "580.1", 1000 * 2**20)
    assert second.free_bytes is None
    driver.write_text("#!/bin/sh\ncase $1 in *compute_cap*) echo 'T4, 7.5';; *) echo '580.1, 1, 2, T4';; esac\n")
    assert "T4 has compute capability 7.5, and bfloat16 needs 8.0" in probe(CheckRequest()).precision
    driver.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n")
    assert probe(CheckRequest()).gpu_error == "nvidia-smi is installed and lists no GPU"


def test_the_hash_of_code_is_that_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("1")
    hashes = [code_hash(tmp_path)]
    (tmp_path / "a" / "x.pyc").write_text("not code")
    assert code_hash(tmp_path) == hashes[0]
    (tmp_path / "a" / "x.py").write_text("2")
    hashes.append(code_hash(tmp_path))
    (tmp_path / "a" / "x.py").rename(tmp_path / "x.py")
    assert len({*hashes, code_hash(tmp_path)}) == 3


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    survey = ClusterReport((), (UnreachableNode("evil\x1b[31m", "10.0.0.1", "x"),))
    text = DoctorReport(survey, (Finding("problem", ("n",), "said \x1b[2J", "do \x07"),)).describe()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "nodes 0 of 1" in text
