"""Files of models and transcoders: in directories, in the hub's cache, missing, damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hub_server import COMMIT
from jobs_of_cases import CASE

from distributed_tracer.content.find import model_files, transcoder_files


def cache(folder: Path, repo: str, source: Path) -> Path:
    """A repository as the hub's client keeps it; the folder of its files."""
    root = folder / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    shutil.copytree(source, root / "snapshots" / COMMIT)
    return root / "snapshots" / COMMIT


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_directory_is_described_by_what_loading_reads(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(CASE / "model", model)
    before = model_files(str(model))
    assert before.folder == str(model)
    assert before.damaged == ()
    assert {"config.json", "model.safetensors"} <= set(before.digests or {})
    (model / "README.md").write_text("not read")
    (model / "original").mkdir()
    (model / "original" / "params.json").write_text("{}")
    assert model_files(str(model)) == before
    (model / "config.json").write_text("{}")
    assert model_files(str(model)).fingerprint != before.fingerprint


def test_transcoders_may_be_in_folders_and_in_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CASE / "transcoders", tmp_path / "t" / "deep")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = transcoder_files("~/t")
    assert found.folder == str(tmp_path / "t")
    assert "deep/config.yaml" in (found.digests or {})


@pytest.mark.parametrize("name", ["/not/there", "./not/there", "~/not/there", "a/b/c"])
def test_a_model_that_can_only_be_a_directory_is_missing_without_a_look_at_the_hub(name: str) -> None:
    found = model_files(name)
    assert (found.folder, found.on_hub) == (None, False)
    assert "there is no directory" in found.missing
    assert transcoder_files("/not/there").folder is None


def test_a_hub_id_is_looked_up_in_the_cache(hub_cache: Path) -> None:
    absent = model_files("user/tiny@main")
    assert (absent.folder, absent.on_hub) == (None, True)
    assert "not in the hub's cache" in absent.missing
    model = cache(hub_cache, "user/tiny", CASE / "model")
    found = model_files("user/tiny@main")
    assert found.folder == str(model)
    assert found.fingerprint == model_files(str(CASE / "model")).fingerprint
    cache(hub_cache, "user/coders", CASE)
    coders = transcoder_files("user/coders/transcoders")
    assert coders.fingerprint == transcoder_files(str(CASE / "transcoders")).fingerprint
    assert "not its folder nothing" in transcoder_files("user/coders/nothing").missing


def test_shards_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    shutil.copytree(CASE / "model", tmp_path / "m")
    index = tmp_path / "m" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}))
    assert model_files(str(tmp_path / "m")).damaged == ("1 of 2 shards are missing, first model-2.safetensors",)
    index.write_text("[]")
    assert "model.safetensors.index.json cannot be read" in model_files(str(tmp_path / "m")).damaged[0]


def test_a_folder_without_weights_is_damaged(tmp_path: Path) -> None:
    assert "no .safetensors or .npz file" in model_files(str(tmp_path)).damaged[0]


def test_what_cannot_be_read_is_missing_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CASE / "model", tmp_path / "m")

    def fail(self: Path, mode: str) -> None:
        raise OSError(5, "Input/output error", str(self))

    monkeypatch.setattr(Path, "open", fail)
    found = model_files(str(tmp_path / "m"))
    assert found.folder is None
    assert "Input/output error" in found.missing
