"""What the table of architectures refuses, and the reasons that it gives."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rounding import of_tiny_model
from tiny import TOKENIZER, tiny_config, tiny_model
from transformers import AutoConfig, AutoTokenizer, Llama4ForConditionalGeneration

from distributed_tracer.errors import ModelError, UnknownArchitecture
from distributed_tracer.model.architectures import ARCHITECTURES, architecture_spec
from distributed_tracer.model.forward_cache import run_with_cache
from distributed_tracer.model.load import load_config, load_model
from distributed_tracer.model.unsupported import REFUSED


def config_with(**flags: Any) -> Any:
    """A text config of which only these flags are known."""
    text = SimpleNamespace(**flags)
    return SimpleNamespace(get_text_config=lambda: text)


def test_an_architecture_is_either_a_row_or_refused() -> None:
    assert not set(ARCHITECTURES) & set(REFUSED)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("gemma3n_text", "AltUp"),
        ("gemma4_text", "per-layer inputs"),
        ("qwen3_5_text", "linear attention"),
        ("mamba2", "state space"),
        ("deepseek_v3", "latent attention"),
        ("gptj", "patterns cannot be recorded"),
    ],
)
def test_what_cannot_be_exact_is_refused_with_the_reason_before_weights_are_read(
    model_type: str, reason: str, tmp_path: Path
) -> None:
    AutoConfig.for_model(model_type).save_pretrained(tmp_path)
    with pytest.raises(UnknownArchitecture, match=f"{model_type}.*not be exact: .*{reason}"):
        load_config(str(tmp_path))


def test_layers_without_attention_patterns_are_refused_whatever_the_architecture_is_called() -> None:
    with pytest.raises(UnknownArchitecture, match="layers of type conv, linear_attention have no attention pattern"):
        architecture_spec("new", config_with(layer_types=["linear_attention", "full_attention", "conv"]), "m")


@pytest.mark.parametrize("model_type", ["olmo", "olmoe"])
def test_clipped_values_are_refused_and_a_missing_limit_is_not(model_type: str, tmp_path: Path) -> None:
    tiny_config(model_type, clip_qkv=8.0).save_pretrained(tmp_path)
    with pytest.raises(UnknownArchitecture, match=r"clip_qkv=8\.0 clips values"):
        load_config(str(tmp_path))
    tiny_config(model_type, clip_qkv=None).save_pretrained(tmp_path)
    assert load_config(str(tmp_path)).clip_qkv is None


def test_the_language_model_of_one_that_also_sees_is_read_from_its_checkpoint(tmp_path: Path) -> None:
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = tiny_config("llama4_text").to_dict()
    torch.manual_seed(0)
    whole = Llama4ForConditionalGeneration._from_config(
        AutoConfig.for_model("llama4", text_config=text, vision_config=vision)
    ).eval()
    whole.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(tmp_path)
    tokens = (1, 40, 296, 86, 28, 263)
    cache = run_with_cache(load_model(str(tmp_path)), tokens, "mlp.hook_in", "mlp.hook_out")
    with torch.no_grad():
        expected = whole(input_ids=torch.tensor([tokens])).logits[0, -1]
    # float32 through three layers; weights that were not read would differ by more than 1e-2
    torch.testing.assert_close(cache.logits[5], expected, rtol=0, atol=of_tiny_model(expected))


def test_a_layer_whose_pattern_is_not_recorded_is_refused() -> None:
    model = tiny_model("llama")
    model.decoder_layers[2].get_submodule("self_attn").config = AutoConfig.for_model("llama")  # its own, so not ours
    with pytest.raises(ModelError, match=r"only 2 of 3 layers .*llama.* let their attention patterns be recorded"):
        run_with_cache(model, (1, 40), "mlp.hook_in", "mlp.hook_out")
