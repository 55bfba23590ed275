"""A model in several files, as all larger ones are: every command reads it, by directory and by hub id."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hub_server import COMMIT
from jobs_of_cases import CASE, plain_rows, write_prompts
from transformers import AutoModelForCausalLM

from distributed_tracer.cli.main import main
from distributed_tracer.store.reader import open_store

REPO = "user/sharded"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference model, in more than one shard."""
    folder = tmp_path_factory.mktemp("sharded")
    shutil.copytree(CASE / "model", folder, dirs_exist_ok=True)
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(CASE / "model").save_pretrained(folder, max_shard_size="60KB")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    return folder


@pytest.fixture(params=["directory", "hub id"])
def model(request: pytest.FixtureRequest, sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What it is called; as a hub id it is in this machine's cache alone."""
    if request.param == "directory":
        return str(sharded)
    for constant in ("huggingface_hub.constants", "transformers.utils.hub"):
        monkeypatch.setattr(f"{constant}.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    root = tmp_path / "hub" / f"models--{REPO.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    shutil.copytree(sharded, root / "snapshots" / COMMIT)
    return REPO


def test_every_command_reads_a_sharded_model(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, prompts = str(tmp_path / "store"), str(write_prompts(tmp_path / "p.jsonl", plain_rows(2)))
    given = ["--model", model, "--transcoders", str(CASE / "transcoders")]
    here = ["--local", "--no-progress"]
    small = ["--max-feature-nodes", "40", "--round-size", "16", "--threads", "1"]
    assert main(["doctor", *given, "--prompts", prompts]) == 0
    assert main(["plan", *given, "--prompts", prompts, *small]) == 0
    assert main(["trace", *given, "--prompts", prompts, *small, "--store", store, *here]) == 0
    assert main(["verify-edges", store, "--sample", "1", *here]) == 0
    assert main(["faithfulness", store, "--sample", "1", *here]) == 0
    assert main(["intervene", *given, "--text", "the state of Dallas", "--set", "0:1:0=x0"]) == 0
    assert capsys.readouterr().err == ""
    assert len(open_store(store).prompts) == 2
