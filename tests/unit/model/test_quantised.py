"""Quantised checkpoints: turned back into weights where the library can, refused by name elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.version import Version
from rounding import of_roundings
from safetensors.torch import load_file, save_file
from tiny import save_model
from torch import Tensor

from distributed_tracer.errors import ModelError
from distributed_tracer.model.load import load_config, load_model, model_shape
from distributed_tracer.model.quantised import method_of

BLOCK = 4
FP4 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])


def set_in_config(folder: Path, **flags: Any) -> str:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **flags}))
    return str(folder)


def fp8(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, the scale of each block, and what they stand for."""
    rows, columns = (size // BLOCK for size in weight.shape)
    blocks = weight.reshape(rows, BLOCK, columns, BLOCK)
    scale = blocks.abs().amax((1, 3), keepdim=True) / 448
    codes = (blocks / scale).to(torch.float8_e4m3fn)
    return codes.reshape(weight.shape), scale.reshape(rows, columns), (codes.float() * scale).reshape(weight.shape)


def test_fp8_weights_are_what_their_codes_and_scales_stand_for(tmp_path: Path) -> None:
    path = save_model(tmp_path) / "model.safetensors"
    tensors, expected = load_file(path), {}
    for name in [name for name in tensors if "proj.weight" in name]:
        tensors[name], tensors[f"{name}_scale_inv"], expected[name] = fp8(tensors[name])
    save_file(tensors, path, {"format": "pt"})
    method = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK]}
    model = load_model(set_in_config(tmp_path, quantization_config=method))
    assert model.dtype == torch.float32
    off = of_roundings(torch.float32, 2)  # one product, rounded here and there
    for name, weight in expected.items():
        torch.testing.assert_close(model.hf.get_parameter(name), weight, rtol=off, atol=0)


def mxfp4(generator: torch.Generator, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes of random numbers, two a byte, 32 to a block; exponents; and what they stand for, as [.., in, out]."""
    *outer, width = shape
    codes = torch.randint(256, (*outer, width // 32, 16), generator=generator, dtype=torch.uint8)
    exponents = torch.randint(122, 126, (*outer, width // 32), generator=generator, dtype=torch.uint8)
    values = torch.stack([FP4[(codes & 15).long()], FP4[(codes >> 4).long()]], -1).flatten(-2)
    values = values * (exponents.float() - 127).exp2()[..., None]
    return codes, exponents, values.flatten(-2).transpose(-1, -2)


@pytest.mark.skipif(
    Version(torch.__version__) < Version("2.7") and not torch.cuda.is_available(),
    reason="before torch 2.7, only some versions of transformers read MXFP4 without a GPU",
)
def test_mxfp4_experts_are_what_their_codes_and_exponents_stand_for(tmp_path: Path) -> None:
    set_in_config(save_model(tmp_path, "gpt_oss"), intermediate_size=64)
    path, generator = tmp_path / "model.safetensors", torch.Generator().manual_seed(0)
    tensors, expected = load_file(path), {}
    for layer in range(3):
        experts = f"model.layers.{layer}.mlp.experts"
        tensors[f"{experts}.gate_up_proj_bias"] = torch.zeros(4, 128)
        for name, shape in (("gate_up_proj", (4, 128, 32)), ("down_proj", (4, 32, 64))):
            del tensors[f"{experts}.{name}"]
            codes, exponents, values = mxfp4(generator, *shape)
            tensors |= {f"{experts}.{name}_blocks": codes, f"{experts}.{name}_scales": exponents}
            expected[f"{experts}.{name}"] = values
    save_file(tensors, path, {"format": "pt"})
    skipped = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    method = {"quant_method": "mxfp4", "modules_to_not_convert": skipped}
    model = load_model(set_in_config(tmp_path, quantization_config=method))
    for name, weight in expected.items():
        torch.testing.assert_close(model.hf.get_parameter(name), weight, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["gptq", "awq", "hqq", "torchao", "made-up"])
def test_other_methods_are_refused_by_name_before_any_weight_is_read(tmp_path: Path, method: str) -> None:
    model = set_in_config(save_model(tmp_path), quantization_config={"quant_method": method, "bits": 4})
    (tmp_path / "model.safetensors").unlink()
    for read in (load_config, model_shape, load_model):
        with pytest.raises(
            ModelError, match=rf"is quantised by '{method}'.*give the checkpoint that this one was made"
        ):
            read(model)


@pytest.mark.parametrize(
    ("found", "package"),
    [
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
    ],
)
def test_a_method_whose_package_is_not_installed_names_it(
    tmp_path: Path, found: dict[str, Any], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed_tracer.model.quantised.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=f"{package} is not installed"):
        load_config(set_in_config(save_model(tmp_path), quantization_config=found))


def test_the_method_is_found_wherever_configs_keep_it() -> None:
    found = {"quant_method": "gptq"}
    assert method_of({"quantization_config": found}) == "gptq"
    assert method_of({"text_config": {"quantization_config": found}}) == "gptq"
    assert method_of({"compression_config": {"quant_method": "compressed-tensors"}}) == "compressed-tensors"
    assert method_of({"quantization_config": {"load_in_8bit": True}}) == "bitsandbytes"
    assert method_of({"quantization_config": {}}) is method_of({}) is None
    with pytest.raises(ModelError, match="without quant_method"):
        method_of({"quantization_config": {"bits": 4}})
