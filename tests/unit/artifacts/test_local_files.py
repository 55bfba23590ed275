"""Files of models and transcoders: in directories, in the hub's cache, missing, damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from fingerprints import fingerprints
from hub_server import COMMIT
from jobs_of_cases import CASE

from distributed_tracer.artifacts.local_files import model_files, transcoder_files


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


def linking(folder: Path, num_layers: int = 4, revision: str = "") -> Path:
    """A set whose config.yaml names files of the repository user/weights."""
    shutil.copytree(CASE / "transcoders", folder, ignore=lambda _, names: [n for n in names if n != "config.yaml"])
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["transcoders"] = [f"hf://user/weights/layer_{n}.safetensors{revision}" for n in range(num_layers)]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_files_that_a_config_names_on_the_hub_are_those_of_the_set(tmp_path: Path, hub_cache: Path) -> None:
    here = str(linking(tmp_path / "here"))
    absent = transcoder_files(here)
    assert (absent.folder, absent.on_hub, absent.digests) == (None, True, None)
    assert (
        "names hf://user/weights/layer_0.safetensors: no such directory, and not in the hub's cache" in absent.missing
    )
    assert fingerprints("/not/there", here)["content"] == {}

    weights = cache(hub_cache, "user/weights", CASE / "transcoders")
    found = transcoder_files(here)
    assert found.folder == here
    assert found.damaged == ()
    uris = [f"hf://user/weights/layer_{n}.safetensors" for n in range(4)]
    assert set(found.digests or {}) == {"config.yaml", *uris}
    assert found.num_bytes > sum(path.stat().st_size for path in weights.glob("layer_*"))

    (weights / "layer_2.safetensors").write_bytes(b"cut")
    (sentence,) = transcoder_files(here).damaged
    assert sentence.startswith("layer_2.safetensors (3 bytes) has no safetensors header")
    (weights / "layer_2.safetensors").unlink()
    assert "layer_2.safetensors: the hub's cache has user/weights, but not this file" in transcoder_files(here).missing


@pytest.mark.parametrize("listing", ["directory", "hub"])
def test_other_weights_behind_the_same_names_are_another_content(listing: str, tmp_path: Path, hub_cache: Path) -> None:
    weights = cache(hub_cache, "user/weights", CASE / "transcoders")
    source = str(linking(tmp_path / "here"))
    if listing == "hub":
        listed = cache(hub_cache, "user/listing", Path(source))
        source = "user/listing"
    before = fingerprints("/not/there", source)
    assert before["content"]["transcoders"].startswith("sha256:")
    assert before["revisions"] == ({"transcoders": COMMIT} if listing == "hub" else {})
    if listing == "hub":  # what else of the repository was downloaded meanwhile does not count
        (listed / "other.json").write_text("{}")
        assert fingerprints("/not/there", source) == before
    path = weights / "layer_3.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert fingerprints("/not/there", source)["content"] != before["content"]


def test_files_that_a_config_names_outside_of_its_folder_are_seen(tmp_path: Path) -> None:
    shutil.copytree(CASE / "transcoders", tmp_path / "elsewhere")
    here = linking(tmp_path / "here")
    config = yaml.safe_load((here / "config.yaml").read_text())
    config["transcoders"] = [f"../elsewhere/layer_{n}.safetensors" for n in range(4)]
    (here / "config.yaml").write_text(yaml.safe_dump(config))
    found = transcoder_files(str(here))
    assert {"config.yaml", *config["transcoders"]} == set(found.digests or {})
    (tmp_path / "elsewhere" / "layer_1.safetensors").unlink()
    missing = transcoder_files(str(here))
    assert (missing.folder, missing.on_hub) == (None, False)
    assert "names ../elsewhere/layer_1.safetensors: there is no such file" in missing.missing


@pytest.mark.parametrize(
    ("text", "reason"), [("a: [", "config.yaml: cannot be read"), ("transcoders: ['hf://u']", "hf://u")]
)
def test_a_config_that_cannot_be_followed_is_said_to_be_the_reason(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    found = transcoder_files(str(tmp_path))
    assert found.folder is None
    assert reason in found.missing
