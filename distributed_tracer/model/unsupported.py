"""Architectures and config flags with which graphs would not be exact, each with its reason in one sentence."""

from __future__ import annotations

from typing import Any

_LINEAR_ATTENTION = "some layers mix positions by linear attention, which has no pattern that could be held constant"
_STATE_SPACE = "some layers mix positions by a state space or a convolution, which has no pattern to hold constant"
_RECURRENT = "its layers carry a recurrent state from position to position, and no pattern could be held constant"
_LATENT = (
    "values pass through a compressed vector behind a norm of its own (multi-head latent attention), "
    "whose scale is not recorded"
)
_OWN_ATTENTION = "the library computes its attention inside the layer, so that patterns cannot be recorded or replaced"
_GEMMA_4 = (
    "values are normed, some layers reuse other layers' values, and per-layer inputs and a factor on the residual "
    "stream act beside attention and MLP"
)
_ALT_UP = (
    "AltUp predicts and corrects four residual streams, and per-layer inputs are gated into them, so that there is "
    "no one stream to which attention and MLP write"
)
_NO_MLP_MODULE = "its MLP is not a module of its own, so that a transcoder has no site to read and write"

REFUSED: dict[str, str] = {
    **dict.fromkeys(("gemma3n", "gemma3n_text"), _ALT_UP),
    **dict.fromkeys(("gemma4", "gemma4_text", "gemma4_unified", "gemma4_unified_text"), _GEMMA_4),
    **dict.fromkeys(("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "qwen3_next"), _LINEAR_ATTENTION),
    **dict.fromkeys(("kimi_linear", "minimax", "olmo_hybrid"), _LINEAR_ATTENTION),
    **dict.fromkeys(
        ("bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "lfm2", "lfm2_moe"), _STATE_SPACE
    ),
    **dict.fromkeys(("mamba", "mamba2", "nemotron_h", "zamba", "zamba2"), _STATE_SPACE),
    **dict.fromkeys(("recurrent_gemma", "rwkv", "xlstm"), _RECURRENT),
    **dict.fromkeys(
        ("deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "longcat_flash", "minicpm3"), _LATENT
    ),
    **dict.fromkeys(("bloom", "codegen", "falcon", "gpt_neo", "gptj", "mpt"), _OWN_ATTENTION),
    "opt": _NO_MLP_MODULE,
}
"""The reason for each `model_type` of a config that is refused."""

_ATTENTION_TYPES = {"full_attention", "sliding_attention", "chunked_attention", "attention"}


def why_not_exact(model_type: str, text: Any) -> str | None:
    """Return why a model with this text config cannot be traced exactly, or None if nothing prevents it."""
    if model_type in REFUSED:
        return REFUSED[model_type]
    if others := sorted(set(getattr(text, "layer_types", None) or ()) - _ATTENTION_TYPES):
        return f"layers of type {', '.join(others)} have no attention pattern that could be held constant"
    if (limit := getattr(text, "clip_qkv", None)) is not None:
        return f"clip_qkv={limit} clips values, which is not linear"
    return None
