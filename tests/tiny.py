"""Tiny random models of every architecture, and transcoders for them in circuit-tracer's file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from safetensors.torch import save_file
from transformers import AutoTokenizer, PreTrainedModel

from distributed_tracer.model.load import class_of, wrap
from distributed_tracer.model.model import Model

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
_LAYER_TYPES = ["sliding_attention", "full_attention", "sliding_attention"]
_MIXED = {**_LOCAL, "layer_types": _LAYER_TYPES}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_ROPE = {"rope_type": "default", "rope_theta": 1e4}
_EQUAL_HEADS: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2}
_NO_ROPE_ON_THE_LAST = {"no_rope_layers": [1, 1, 0]}
_YARN = {
    **_ROPE,
    "rope_type": "yarn",
    "factor": 16.0,
    "original_max_position_embeddings": 4,
    "llama_4_scaling_beta": 0.5,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}
_ALPHA = {**_ROPE, "rope_type": "dynamic", "factor": 1.0, "alpha": 1000.0}
_GRANITE = {
    "embedding_multiplier": 1.5,
    "residual_multiplier": 0.6,
    "attention_multiplier": 0.4,
    "logits_scaling": 3.0,
    "attention_bias": True,
}
_LLAMA_4 = {
    **_NO_ROPE_ON_THE_LAST,
    "attention_chunk_size": 4,
    "attn_temperature_tuning": True,
    "floor_scale": 3,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 2,
    "intermediate_size_mlp": 24,
    "attention_bias": True,
}

_VARIED: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {**_GROUPED, "attention_bias": True}),
    "mistral": ("mistral", {**_GROUPED, **_LOCAL}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", _GROUPED),
    "gemma": ("gemma", _GROUPED),
    "gemma2": ("gemma2", {**_GROUPED, **_LOCAL, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma3_text": ("gemma3_text", {**_GROUPED, **_MIXED}),
    "gemma3": ("gemma3", {**_GROUPED, **_LOCAL, "layer_types": ["sliding_attention"] * LAYERS}),
    "gpt2": ("gpt2", {"num_attention_heads": 4, "scale_attn_by_inverse_layer_idx": True}),
    "gpt_neox": ("gpt_neox", {"num_attention_heads": 4, "use_parallel_residual": True}),
    "gpt_neox_serial": ("gpt_neox", {"num_attention_heads": 4, "use_parallel_residual": False}),
    "olmo2": ("olmo2", _EQUAL_HEADS),
    "phi3": ("phi3", _EQUAL_HEADS),
    "gpt_oss": ("gpt_oss", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": _ROPE}),
}
"""Architectures that are tested in full: by name, the config's `model_type` and the flags that are not defaults."""

_SAME_SHAPE: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3_moe": ("qwen3_moe", {**_GROUPED, **_EXPERTS, "mlp_only_layers": [1], "norm_topk_prob": True}),
    "qwen2_moe": ("qwen2_moe", {**_EQUAL_HEADS, **_EXPERTS, "shared_expert_intermediate_size": 24}),
    "mixtral": ("mixtral", {**_GROUPED, **_LOCAL, "num_local_experts": 4}),
    "olmoe": ("olmoe", {**_EQUAL_HEADS, "num_experts": 4, "num_experts_per_tok": 2}),
    "olmo": ("olmo", _EQUAL_HEADS),
    "olmo3": ("olmo3", {**_EQUAL_HEADS, **_MIXED}),
    "smollm3": ("smollm3", {**_EQUAL_HEADS, **_NO_ROPE_ON_THE_LAST}),
    "glm": ("glm", {**_GROUPED, "attention_bias": True, "partial_rotary_factor": 0.5}),
    "glm4": ("glm4", {**_GROUPED, "attention_bias": True, "partial_rotary_factor": 0.5}),
    "ministral": ("ministral", {**_GROUPED, **_MIXED}),
    "ministral3": ("ministral3", {**_GROUPED, "rope_parameters": _YARN}),
    "mistral3": ("mistral3", {**_GROUPED, "model_type": "ministral3", "rope_parameters": _YARN}),
    "starcoder2": ("starcoder2", {**_EQUAL_HEADS, **_LOCAL, "use_bias": True}),
    "seed_oss": ("seed_oss", {**_GROUPED, "attention_bias": True, "attention_out_bias": False}),
    "exaone4": ("exaone4", {**_EQUAL_HEADS, **_MIXED}),
    "apertus": ("apertus", {**_EQUAL_HEADS, "rope_parameters": _ROPE}),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", {**_GROUPED, "rope_parameters": _ALPHA}),
    "ernie4_5": ("ernie4_5", {**_GROUPED, "use_bias": True}),
    "arcee": ("arcee", _EQUAL_HEADS),
    "granite": ("granite", {**_EQUAL_HEADS, **_GRANITE}),
    "stablelm": (
        "stablelm",
        {**_EQUAL_HEADS, "use_qkv_bias": True, "qk_layernorm": True, "partial_rotary_factor": 0.25},
    ),
    "stablelm_parallel": ("stablelm", {**_EQUAL_HEADS, "use_parallel_residual": True}),
    "phi": ("phi", {**_EQUAL_HEADS, "qk_layernorm": True, "partial_rotary_factor": 0.5}),
    "cohere": ("cohere", {**_EQUAL_HEADS, "use_qk_norm": True, "logit_scale": 0.25}),
    "cohere2": ("cohere2", {**_EQUAL_HEADS, **_MIXED, "logit_scale": 0.25}),
    "llama4_text": ("llama4_text", {**_GROUPED, **_LLAMA_4}),
}
"""Architectures that add nothing to how a graph is computed. Only tests that decide whether edges are true use them."""

ARCHITECTURES = tuple(_VARIED)
ROWS = tuple(_SAME_SHAPE)


def tiny_config(architecture: str, **flags: Any) -> Any:
    """Return the configuration of a tiny model; `flags` replace its own values."""
    from transformers import AutoConfig

    model_type, options = (_VARIED | _SAME_SHAPE)[architecture]
    options = {**_COMMON, **options, **flags}
    if model_type in ("gemma3", "mistral3"):
        vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        more = {"mm_tokens_per_image": 4} if model_type == "gemma3" else {}
        return AutoConfig.for_model(model_type, text_config=options, vision_config=vision, **more)
    return AutoConfig.for_model(model_type, **options)


def hf_model(architecture: str, seed: int = 0, **flags: Any) -> PreTrainedModel:
    """Return a random model whose every weight, norms and biases included, is far from its initial value."""
    torch.manual_seed(seed)
    config = tiny_config(architecture, **flags)
    model: PreTrainedModel = class_of(config).from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if parameter.ndim > 1 else 0.2
            centre = 1.0 if parameter.ndim == 1 and "norm" in name and "weight" in name else 0.0
            parameter.copy_(centre + spread * torch.randn_like(parameter))
    return model.eval()


def tiny_model(architecture: str, dtype: torch.dtype = torch.float32, seed: int = 0, **flags: Any) -> Model:
    """Return the model of `hf_model`, wrapped for attribution."""
    return wrap(hf_model(architecture, seed, **flags).to(dtype), AutoTokenizer.from_pretrained(TOKENIZER))


def save_model(directory: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """Save the model of `hf_model` as a Hugging Face directory."""
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
    """Save random transcoders of which a few features fire at each position."""
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
