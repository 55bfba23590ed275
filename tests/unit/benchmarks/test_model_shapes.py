"""shapes: random models of known sizes, and transcoders of which as many features fire as asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from prose import prompt_tokens
from shapes import SHAPES, shaped_model, shaped_transcoders

from distributed_tracer.model.forward_cache import run_with_cache

SMALLER = {"num_hidden_layers": 3, "hidden_size": 128, "intermediate_size": 256, "vocab_size": 1000}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", SHAPES)
def test_as_many_features_fire_as_asked_and_write_as_much_as_the_mlp(name: str, dtype: torch.dtype) -> None:
    shape = SHAPES[name].with_options(**SMALLER)
    model = shaped_model(shape, dtype=dtype)
    transcoders = shaped_transcoders(model, shape, num_features=1024, num_active=30)
    tokens = prompt_tokens(model.tokenizer, 60)
    cache = run_with_cache(model, tokens, shape.input_site, shape.output_site)
    assert len(set(tokens)) > 40
    for layer, (x_PD, y_PD) in enumerate(zip(cache.inputs_PD, cache.outputs_PD, strict=True)):
        position, feature, activation = transcoders.encode(layer, x_PD[1:])
        assert 30 / 1.5 < len(feature) / len(x_PD[1:]) < 30 * 1.5
        wanted_PD = (y_PD[1:] - transcoders.decoder_bias(layer)).float()
        rows_AD = transcoders.decoder_rows(layer, feature, layer).float() * activation[:, None].float()
        written_PD = torch.zeros_like(wanted_PD).index_add_(0, position, rows_AD)
        assert 1 / 1.5 < written_PD.norm() / wanted_PD.norm() < 1.5


@pytest.mark.parametrize(("name", "billions"), [("gemma-2-2b", 2.61), ("llama-3.1-8b", 8.03)])
def test_a_model_has_as_many_parameters_as_the_one_it_is_shaped_like(name: str, billions: float) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        hf = AutoModelForCausalLM.from_config(AutoConfig.for_model(SHAPES[name].model_type, **SHAPES[name].options))
    assert hf.num_parameters() / 1e9 == pytest.approx(billions, abs=0.005)  # published with two decimals
