"""Tensors that a checkpoint lacks, or has beside those of its architecture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import save_model
from torch import Tensor

from distributed_tracer.errors import ModelError
from distributed_tracer.model.load import load_model
from distributed_tracer.model.loading_report import check_report

Tensors = dict[str, Tensor]


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> str:
    """The model with other tensors in its file."""
    path = folder / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in change(load_file(path)).items()}, path, {"format": "pt"})
    return str(folder)


def test_a_missing_tensor_is_an_error_and_no_random_number(tmp_path: Path) -> None:
    lost = "model.layers.1.self_attn.v_proj.weight"
    model = rewrite(save_model(tmp_path), lambda all_: {k: v for k, v in all_.items() if k != lost})
    with pytest.raises(ModelError, match=rf"1 missing, which would be random numbers \({lost}\)"):
        load_model(model)


@pytest.mark.parametrize(
    ("prefix", "remedy"), [("_orig_mod.", "save the model inside it"), ("base_model.model.", "merge_and_unload")]
)
def test_prefixes_of_wrappers_are_refused_with_what_to_save_instead(tmp_path: Path, prefix: str, remedy: str) -> None:
    model = rewrite(save_model(tmp_path), lambda all_: {prefix + name: tensor for name, tensor in all_.items()})
    with pytest.raises(ModelError) as refused:
        load_model(model)
    assert f"not of this architecture, which would be ignored ({prefix}" in str(refused.value)
    assert "missing" in str(refused.value)
    assert remedy in str(refused.value)


def test_tensors_of_layers_that_the_config_does_not_count_are_named(tmp_path: Path) -> None:
    save_model(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(ModelError, match=r"not of this architecture.* \(model\.layers\.2\.input_layernorm\.weight"):
        load_model(str(tmp_path))


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    model = rewrite(save_model(tmp_path), lambda all_: {**all_, "model.norm.weight": torch.ones(31)})
    with pytest.raises(ModelError, match=r"1 of another shape \(model\.norm\.weight \(\[31\] in the file, \[32\] by"):
        load_model(model)


def test_weights_stored_as_codes_without_a_word_about_it_are_refused(tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    model = rewrite(save_model(tmp_path), lambda all_: {**all_, name: all_[name].mul(20).to(torch.int8)})
    with pytest.raises(ModelError, match=rf"1 tensors as whole numbers \({name}\)"):
        load_model(model)


def test_what_old_files_store_and_no_pass_over_text_reads_is_let_pass(tmp_path: Path) -> None:
    harmless = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "vision_tower.encoder.weight": torch.ones(2),
        "mtp.layers.0.weight": torch.ones(2),
        "model.layers.0.attn.masked_bias": torch.ones((), dtype=torch.uint8),
    }
    plain_VD = load_model(str(save_model(tmp_path))).unembed_VD.clone()  # of a file that is about to change
    loaded = load_model(rewrite(tmp_path, lambda all_: {**all_, **harmless}))
    assert torch.equal(plain_VD, loaded.unembed_VD)


def test_tied_unembeddings_need_no_tensor_and_others_do(tmp_path: Path) -> None:
    save_model(tmp_path)
    model = rewrite(tmp_path, lambda all_: {k: v for k, v in all_.items() if k != "lm_head.weight"})
    with pytest.raises(ModelError, match=r"1 missing.*lm_head"):
        load_model(model)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    tied = load_model(model)
    assert torch.equal(tied.unembed_VD, tied.hf.get_input_embeddings().get_parameter("weight"))


def test_what_the_library_could_not_do_is_said_too() -> None:
    report = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": ["size mismatch for x"]}
    with pytest.raises(ModelError, match="size mismatch for x"):
        check_report("m", report)
