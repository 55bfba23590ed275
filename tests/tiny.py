"""Tiny random models of every architecture, and transcoders for them in circuit-tracer's file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from distributed_tracer.model.load import Model, wrap

CASES = Path(__file__).parent / "cases"
TOKENIZER = CASES / "llama_relu_plt" / "model"  # 320 tokens, <bos> is 1
WIDTH, LAYERS, VOCABULARY = 32, 3, 320
_GROUPED: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12}
_COMMON: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "vocab_size": VOCABULARY,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_LOCAL = {"sliding_window": 4}


def _config(model_type: str) -> Any:
    from transformers import AutoConfig

    extra: dict[str, dict[str, Any]] = {
        "llama": {**_GROUPED, "attention_bias": True},
        "mistral": {**_GROUPED, **_LOCAL},
        "qwen2": _GROUPED,
        "qwen3": _GROUPED,
        "gemma": _GROUPED,
        "gemma2": {**_GROUPED, **_LOCAL, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
        "gemma3_text": {**_GROUPED, **_LOCAL, "layer_types": ["sliding_attention", "full_attention"] * 2},
        "olmo2": {"num_attention_heads": 4, "num_key_value_heads": 2},
        "phi3": {"num_attention_heads": 4, "num_key_value_heads": 2},
        "gpt_neox": {"num_attention_heads": 4, "use_parallel_residual": True},
        "gpt_neox_serial": {"num_attention_heads": 4, "use_parallel_residual": False},
        "gpt_oss": {
            **_GROUPED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        },
        "gpt2": {"num_attention_heads": 4},
    }
    if model_type == "gemma3":
        vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        text = {**_COMMON, **extra["gemma3_text"], "layer_types": ["sliding_attention"] * LAYERS}
        return AutoConfig.for_model("gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=4)
    options = {**_COMMON, **extra[model_type]}
    if "layer_types" in options:
        options["layer_types"] = options["layer_types"][:LAYERS]
    return AutoConfig.for_model(model_type.removesuffix("_serial"), **options)


ARCHITECTURES = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "gpt_neox_serial",
    "olmo2",
    "phi3",
    "gpt_oss",
)


def hf_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """A random model whose every weight, norms and biases included, is far from its initial value."""
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(_config(architecture), attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if parameter.ndim > 1 else 0.2
            centre = 1.0 if parameter.ndim == 1 and "norm" in name and "weight" in name else 0.0
            parameter.copy_(centre + spread * torch.randn_like(parameter))
    return model.eval()


def tiny_model(architecture: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Model:
    """The same, wrapped for attribution."""
    return wrap(hf_model(architecture, seed).to(dtype), AutoTokenizer.from_pretrained(TOKENIZER))


def save_model(directory: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """The same, as a Hugging Face directory."""
    hf_model(architecture, seed).save_pretrained(directory)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return directory


def save_transcoders(
    directory: Path,
    *,
    kind: Literal["plt", "clt"] = "plt",
    activation: Literal["relu", "jumprelu", "topk"] = "relu",
    input_site: str = "mlp.hook_in",
    output_site: str = "mlp.hook_out",
    skip: bool = False,
    num_layers: int = LAYERS,
    width: int = WIDTH,
    size: int = 40,
    seed: int = 0,
) -> Path:
    """Random transcoders of which a few features per position fire."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "model_name": "tiny",
        "model_kind": "cross_layer_transcoder" if kind == "clt" else "transcoder_set",
        "feature_input_hook": input_site,
        "feature_output_hook": output_site,
    }
    if kind == "plt" and activation != "jumprelu":
        config |= {"activation": activation} | ({"k": 5} if activation == "topk" else {})
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    for layer in range(num_layers):
        encoder, bias, threshold = random(size, width) / 4, random(size) / 4 - 1.0, random(size).abs() / 4
        if kind == "plt":
            tensors = {
                "W_enc": encoder,
                "W_dec": random(size, width) / 4,
                "b_enc": bias,
                "b_dec": random(width) / 4,
            }
            if activation == "jumprelu":
                tensors["activation_function.threshold"] = threshold
            if skip:
                tensors["W_skip"] = random(width, width) / 8
            save_file(tensors, directory / f"layer_{layer}.safetensors")
            continue
        tensors = {f"W_enc_{layer}": encoder, f"b_enc_{layer}": bias, f"b_dec_{layer}": random(width) / 4}
        if activation == "jumprelu":
            tensors[f"threshold_{layer}"] = threshold
        save_file(tensors, directory / f"W_enc_{layer}.safetensors")
        decoder = random(size, num_layers - layer, width) / 4
        save_file({f"W_dec_{layer}": decoder}, directory / f"W_dec_{layer}.safetensors")
    return directory
