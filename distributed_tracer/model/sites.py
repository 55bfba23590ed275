"""One row per architecture: where its layers, attention, norms and MLP are.

Only what the linear pull-back passes through is named: rotary tables, query and key weights, softcaps, sinks and
sliding windows act on attention patterns alone, which are recorded, and experts act inside the MLP, which is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..errors import UnknownArchitecture


@dataclass(frozen=True)
class Sites:
    """Module paths: the first block from the model, the rest from a layer. None where there is no such module.

    The embedding and the unembedding are asked of the model itself; their names differ between library versions.
    """

    layers: str = "model.layers"
    position_embed: str | None = None
    final_norm: str = "model.norm"

    attention: str = "self_attn"
    attention_norm: str | None = "input_layernorm"
    attention_post_norm: str | None = None
    mlp: str = "mlp"
    mlp_norm: str | None = "post_attention_layernorm"
    mlp_post_norm: str | None = None

    value: str = "self_attn.v_proj"
    value_packing: Literal["alone", "blocks", "heads"] = "alone"
    """How values share a projection with queries and keys: not at all, as the last block, or head by head."""
    output: str = "self_attn.o_proj"
    norm: Literal["rms", "rms_plus_one", "layer"] = "rms"
    """RMS norm by weight w, RMS norm by 1 + w, or LayerNorm."""
    parallel_flag: str | None = None
    """Name of the config's flag that lets attention and MLP read the same residual stream."""


_LLAMA = Sites()
_POST_NORMS = replace(
    _LLAMA,
    attention_post_norm="post_attention_layernorm",
    mlp_norm="pre_feedforward_layernorm",
    mlp_post_norm="post_feedforward_layernorm",
    norm="rms_plus_one",
)

ARCHITECTURES: dict[str, Sites] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gpt_oss": _LLAMA,
    "phi3": replace(_LLAMA, value="self_attn.qkv_proj", value_packing="blocks"),
    "gemma": replace(_LLAMA, norm="rms_plus_one"),
    "gemma2": _POST_NORMS,
    "gemma3_text": _POST_NORMS,
    "gemma3": replace(
        _POST_NORMS,
        layers="model.language_model.layers",
        final_norm="model.language_model.norm",
    ),
    "olmo2": replace(
        _LLAMA,
        attention_norm=None,
        attention_post_norm="post_attention_layernorm",
        mlp_norm=None,
        mlp_post_norm="post_feedforward_layernorm",
    ),
    "gpt2": Sites(
        layers="transformer.h",
        position_embed="transformer.wpe",
        final_norm="transformer.ln_f",
        attention="attn",
        attention_norm="ln_1",
        mlp_norm="ln_2",
        value="attn.c_attn",
        value_packing="blocks",
        output="attn.c_proj",
        norm="layer",
    ),
    "gpt_neox": Sites(
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        attention="attention",
        value="attention.query_key_value",
        value_packing="heads",
        output="attention.dense",
        norm="layer",
        parallel_flag="use_parallel_residual",
    ),
}
"""By the config's `model_type`. Llama covers 2 and 3, Qwen 2 covers 2.5, GPT-NeoX covers Pythia."""


def sites_of(model_type: str, model: str) -> Sites:
    """The row of an architecture. Raises UnknownArchitecture with the list of known ones."""
    if model_type not in ARCHITECTURES:
        raise UnknownArchitecture(
            f"{model}: no row for the architecture {model_type!r}; known are {', '.join(sorted(ARCHITECTURES))}. "
            "A new one is a row in distributed_tracer/model/sites.py and a line in the oracle tests."
        )
    return ARCHITECTURES[model_type]
