"""A store goes on only with the model and transcoders that it was begun with, under whatever name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fingerprints import fingerprints
from jobs_of_cases import CASE, job, plain_rows
from safetensors.numpy import load_file, save_file

from distributed_tracer.config import JobConfig, ModelConfig, TranscoderConfig
from distributed_tracer.errors import StoreMismatch
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import open_store


@pytest.fixture
def config(tmp_path: Path) -> JobConfig:
    """A job whose model and transcoders may be changed."""
    for name in ("model", "transcoders"):
        shutil.copytree(CASE / name, tmp_path / name)
    model, transcoders = ModelConfig(str(tmp_path / "model")), TranscoderConfig(str(tmp_path / "transcoders"))
    return replace(job(tmp_path, plain_rows(2)), model=model, transcoders=transcoders)


def retrain(folder: Path) -> None:
    """One weight becomes another; names and sizes stay."""
    path = next(iter(sorted(folder.rglob("*.safetensors"))))
    weights = load_file(path)
    name = max(weights, key=lambda name: weights[name].size)
    weights[name] = weights[name] + np.float32(0.25)
    save_file(weights, path, {"format": "pt"})


@pytest.mark.parametrize("what", ["model", "transcoders"])
def test_a_retrained_one_under_the_same_path_is_refused(config: JobConfig, tmp_path: Path, what: str) -> None:
    assert run_job(config).exit_code == 0
    content = open_store(config.store.store).info["content"]
    assert content.keys() == {"model", "transcoders"}
    assert run_job(config).exit_code == 0
    retrain(tmp_path / what)
    with pytest.raises(
        StoreMismatch, match=f"other files:\n  {what}: the store has .{content[what]}., this run .sha256:"
    ):
        run_job(config)


def test_a_store_begun_before_hashes_were_kept_goes_on(config: JobConfig) -> None:
    run_job(config)
    path = Path(config.store.store) / "run.json"
    info = json.loads(path.read_text())
    del info["content"], info["revisions"]
    path.write_text(json.dumps(info))
    assert run_job(config).exit_code == 0


def test_what_does_not_change_graphs_does_not_change_the_hash(tmp_path: Path) -> None:
    shutil.copytree(CASE / "model", tmp_path / "m")
    before = fingerprints(str(tmp_path / "m"), str(CASE / "transcoders"))
    (tmp_path / "m" / "trainer_state.json").write_text("{}")
    (tmp_path / "m" / "README.md").write_text("read me")
    assert fingerprints(str(tmp_path / "m"), str(CASE / "transcoders")) == before
    assert fingerprints(str(CASE / "model"), str(CASE / "transcoders")) == before


def test_what_is_not_here_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert fingerprints(str(tmp_path), "/not/there") == {"content": {}, "revisions": {}}


def test_a_cached_model_of_the_hub_has_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = tmp_path / "models--user--tiny"
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(CASE / "model", repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = fingerprints("user/tiny", str(CASE / "transcoders"))
    assert found["revisions"] == {"model": commit}
    assert found["content"].keys() == {"transcoders"}
