"""What is said of a model that cannot be read: the reason in full, and what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import REPO, serve
from tiny import save_model

from distributed_tracer.errors import ModelError
from distributed_tracer.model.from_pretrained import from_hub
from distributed_tracer.model.load import load_config, load_model, load_tokenizer

ROOT = Path(__file__).parents[3]


def test_of_a_gated_model_the_licence_and_the_login_are_named(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    read = f"from distributed_tracer.model.load import load_config; load_config({REPO!r})"
    with serve(tmp_path / "repo", gated=True) as (address, _):
        variables = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        environment = {**os.environ, **variables, "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", read], capture_output=True, text=True, timeout=120, env=environment
        )
    said = done.stderr.splitlines()[-1]
    assert said.startswith("distributed_tracer.errors.ModelError: cannot read config.json of model 'user/tiny'")
    assert f"accept its licence at {address}/{REPO}" in said
    assert "`hf auth login`" in said
    assert "HF_TOKEN" in said


@pytest.mark.parametrize("read", [load_config, load_tokenizer, load_model])
def test_an_adapter_beside_the_weights_is_refused_with_how_to_merge_it(tmp_path: Path, read: object) -> None:
    (save_model(tmp_path) / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(ModelError, match=r"adapter beside its weights .*merge_and_unload"):
        read(str(tmp_path))  # type: ignore[operator]


def test_an_adapter_without_a_model_is_known_for_one(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="merge_and_unload"):
        load_config(str(tmp_path))


def test_of_weights_that_are_cut_the_file_and_both_sizes_are_named(tmp_path: Path) -> None:
    path = save_model(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors has [\d,]+ bytes; its header says [\d,]+\. Copy or"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_pointers_of_git_lfs_are_named(tmp_path: Path, name: str) -> None:
    (save_model(tmp_path) / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match=f"{name} is not there: git-lfs has left only a pointer"):
        load_model(str(tmp_path))


def test_a_missing_package_is_an_error_with_what_to_install(tmp_path: Path) -> None:
    def load(*_: object, **__: object) -> None:
        raise ImportError("This needs sentencepiece.\n`pip install sentencepiece`")

    with pytest.raises(ModelError, match=r"pip install sentencepiece`\. Install the package that it names on every"):
        from_hub(load, str(tmp_path), None, "tokenizer files")


def test_what_torch_needs_for_mxfp4_without_a_gpu_is_said(tmp_path: Path) -> None:
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot access accelerator device when none is available.")

    with pytest.raises(ModelError, match=r"without a GPU this model needs torch 2\.7"):
        from_hub(load, str(tmp_path), None, "model.safetensors")


def test_addresses_in_messages_lose_their_signatures(tmp_path: Path) -> None:
    def load(*_: object, **__: object) -> None:
        raise OSError("403 for https://cdn.example/file?X-Amz-Signature=abc at last")

    with pytest.raises(ModelError, match=r"403 for https://cdn\.example/file at last\.") as refused:
        from_hub(load, str(tmp_path), None, "config.json")
    assert "Signature" not in str(refused.value)


def test_a_full_memory_is_no_fault_of_the_model(tmp_path: Path) -> None:
    def load(*_: object, **__: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        from_hub(load, str(tmp_path), None, "config.json")
