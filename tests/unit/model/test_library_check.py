"""A model that computes something else here than in its library, or lets later tokens act on earlier ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import save_model, tiny_model
from torch import nn

from distributed_tracer.errors import ModelError
from distributed_tracer.model import library_check
from distributed_tracer.model.architectures import ARCHITECTURES
from distributed_tracer.model.attention import NAME
from distributed_tracer.model.library_check import check_forward, tolerance
from distributed_tracer.model.load import load_model


def set_in_config(folder: Path, **flags: object) -> str:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **flags}))
    return str(folder)


@pytest.mark.parametrize(
    ("architecture", "flag"),
    [("llama", {"is_causal": False}), ("gemma3_text", {"use_bidirectional_attention": True})],
)
def test_attention_to_later_tokens_is_refused(tmp_path: Path, architecture: str, flag: dict[str, bool]) -> None:
    with pytest.raises(ModelError, match="lets later tokens act on earlier positions"):
        load_model(set_in_config(save_model(tmp_path, architecture), **flag))


def test_a_norm_of_another_kind_than_the_row_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "llama", replace(ARCHITECTURES["llama"], norm="rms_plus_one"))
    with pytest.raises(ModelError, match=r"computes other logits here than in its library: they differ by [0-9.]+ of"):
        load_model(str(save_model(tmp_path)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_norm_of_one_layer_that_is_wrong_is_seen(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama", dtype)
    check_forward(model, "m")
    scaled = model.layers[1]
    assert scaled.mlp_norm is not None
    wrong = replace(scaled, mlp_norm=replace(scaled.mlp_norm, weight_D=scaled.mlp_norm.weight_D * 2))
    with pytest.raises(ModelError, match="computes other logits"):
        check_forward(replace(model, layers=(model.layers[0], wrong, model.layers[2])), "m")


def test_the_check_leaves_the_model_with_the_attention_that_is_watched() -> None:
    model = tiny_model("gemma3")
    check_forward(model, "m")
    assert {module.config._attn_implementation for module in model.hf.modules() if hasattr(module, "config")} == {NAME}


def test_tokens_are_in_the_vocabulary_not_special_and_begin_with_bos() -> None:
    model = tiny_model("llama")
    tokens_2P = library_check._tokens(model)
    assert tokens_2P.shape == (2, 16)
    assert tokens_2P[:, 0].tolist() == [model.tokenizer.bos_token_id] * 2
    assert torch.equal(tokens_2P[0, :8], tokens_2P[1, :8])
    assert not torch.equal(tokens_2P[0, 8:], tokens_2P[1, 8:])
    assert not {*tokens_2P[:, 1:].flatten().tolist()} & {*model.tokenizer.all_special_ids}
    assert tokens_2P.max() < model.shape.vocab_size


def test_logits_that_are_not_finite_are_left_to_the_prompts() -> None:
    model = tiny_model("llama")
    nn.init.constant_(model.hf.get_input_embeddings().get_parameter("weight"), torch.inf)
    check_forward(model, "m")


def test_what_rounding_explains_follows_from_the_type() -> None:
    types = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    assert [round(tolerance(dtype), 4) for dtype in types] == [0.0014, 0.0014, 0.125, 0.3536]


def test_a_model_that_fails_in_its_own_library_is_refused() -> None:
    model = tiny_model("llama")
    model.hf.get_submodule("model.layers.1.mlp.up_proj").weight = nn.Parameter(torch.ones(48, 31))  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"cannot read 16 tokens in its own library: RuntimeError: mat1 and mat2"):
        check_forward(model, "m")
