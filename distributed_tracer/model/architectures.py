"""Architectures: one row for each says where its layers, attention, norms and MLP are.

A row names only the modules through which the linear backward pass goes. Rotary tables, query and key weights,
softcaps, sinks and sliding windows act on attention patterns alone, which are recorded. Experts act inside the MLP,
which is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import UnknownArchitecture
from .unsupported import why_not_exact


@dataclass(frozen=True)
class ArchitectureSpec:
    """The module paths and conventions of one architecture.

    Paths in the first block start at the model, and those in the other blocks at a layer. A path is None where there is
    no such module. The model itself provides its embedding and unembedding, whose names differ between versions of the
    library.
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
    """How values share a projection with queries and keys: not at all ("alone"), as the last block ("blocks"), or head
    by head ("heads")."""
    output: str = "self_attn.o_proj"
    norm: Literal["rms", "rms_plus_one", "layer"] = "rms"
    """RMSNorm with weight w ("rms"), RMSNorm with weight 1 + w ("rms_plus_one"), or LayerNorm ("layer")."""
    norm_eps: float | None = None
    """The epsilon of norms whose modules do not store it."""
    parallel: bool | str = False
    """Whether attention and MLP read the same residual stream. A string is the name of the flag in the config that says
    so."""
    shares_norm: bool = False
    """Whether, if attention and MLP are parallel, the MLP reads the output of the attention's norm."""
    residual_multiplier: str | None = None
    """Name of the config's factor by which the outputs of attention and MLP are multiplied."""
    logit_multiplier: str | None = None
    """Name of the config's factor by which logits are multiplied."""
    logit_divisor: str | None = None
    """Name of the config's number by which logits are divided."""

    def of(self, config: Any) -> ArchitectureSpec:
        """Return the specification with the flags of a text config applied.

        `parallel` is then a bool, and `mlp_norm` is the attention's norm if the MLP shares it.
        """
        parallel = bool(getattr(config, self.parallel)) if isinstance(self.parallel, str) else self.parallel
        shared = parallel and self.shares_norm
        return replace(self, parallel=parallel, mlp_norm=self.attention_norm if shared else self.mlp_norm)

    def residual_scale(self, config: Any) -> float:
        """Return the factor by which the outputs of attention and MLP are multiplied before they are added to the
        residual stream."""
        return 1.0 if self.residual_multiplier is None else float(getattr(config, self.residual_multiplier))

    def logit_scale(self, config: Any) -> float:
        """Return the factor by which logits are multiplied."""
        scale = 1.0 if self.logit_multiplier is None else float(getattr(config, self.logit_multiplier))
        return scale if self.logit_divisor is None else scale / float(getattr(config, self.logit_divisor))


_LLAMA = ArchitectureSpec()
_PRE_AND_POST_NORMS = replace(
    _LLAMA,
    attention_post_norm="post_attention_layernorm",
    mlp_norm="pre_feedforward_layernorm",
    mlp_post_norm="post_feedforward_layernorm",
    norm="rms_plus_one",
)
_POST_NORMS = replace(
    _LLAMA,
    attention_norm=None,
    attention_post_norm="post_attention_layernorm",
    mlp_norm=None,
    mlp_post_norm="post_feedforward_layernorm",
)
_LAYER_NORMS = replace(_LLAMA, norm="layer")
_ONE_NORM = replace(_LAYER_NORMS, parallel=True, shares_norm=True)


def _within(sites: ArchitectureSpec) -> ArchitectureSpec:
    """Return the specification of a language model that is a part of a vision-language model."""
    return replace(sites, layers="model.language_model.layers", final_norm="model.language_model.norm")


ARCHITECTURES: dict[str, ArchitectureSpec] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mistral3": _within(_LLAMA),
    "ministral": _LLAMA,
    "ministral3": _LLAMA,
    "mixtral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen2_moe": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3_moe": _LLAMA,
    "gpt_oss": _LLAMA,
    "olmoe": _LLAMA,
    "smollm3": _LLAMA,
    "glm": _LLAMA,
    "seed_oss": _LLAMA,
    "hunyuan_v1_dense": _LLAMA,
    "ernie4_5": _LLAMA,
    "arcee": _LLAMA,
    "llama4": replace(_LLAMA, mlp="feed_forward"),
    "llama4_text": replace(_LLAMA, mlp="feed_forward"),
    "apertus": replace(_LLAMA, attention_norm="attention_layernorm", mlp_norm="feedforward_layernorm"),
    "phi3": replace(_LLAMA, value="self_attn.qkv_proj", value_packing="blocks"),
    "granite": replace(_LLAMA, residual_multiplier="residual_multiplier", logit_divisor="logits_scaling"),
    "glm4": replace(_LLAMA, attention_post_norm="post_self_attn_layernorm", mlp_post_norm="post_mlp_layernorm"),
    "olmo": replace(_LAYER_NORMS, norm_eps=1e-5),
    "olmo2": _POST_NORMS,
    "olmo3": _POST_NORMS,
    "exaone4": _POST_NORMS,
    "gemma": replace(_LLAMA, norm="rms_plus_one"),
    "gemma2": _PRE_AND_POST_NORMS,
    "gemma3_text": _PRE_AND_POST_NORMS,
    "gemma3": _within(_PRE_AND_POST_NORMS),
    "starcoder2": _LAYER_NORMS,
    "stablelm": replace(_LAYER_NORMS, parallel="use_parallel_residual", shares_norm=True),
    "cohere": replace(_ONE_NORM, logit_multiplier="logit_scale"),
    "cohere2": replace(_ONE_NORM, logit_multiplier="logit_scale"),
    "phi": replace(_ONE_NORM, final_norm="model.final_layernorm", output="self_attn.dense"),
    "gpt2": ArchitectureSpec(
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
    "gpt_neox": ArchitectureSpec(
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        attention="attention",
        value="attention.query_key_value",
        value_packing="heads",
        output="attention.dense",
        norm="layer",
        parallel="use_parallel_residual",
    ),
}
"""The specification for each `model_type` of a config. Llama covers Llama 2 and 3, Qwen 2 covers Qwen 2.5, GPT-NeoX
covers Pythia, and Phi covers Phi 1 to 2."""


def architecture_spec(model_type: str, config: Any, model: str) -> ArchitectureSpec:
    """Return the specification of an architecture, with the flags of a config applied.

    Raises UnknownArchitecture with the reason if graphs of the architecture, or of a model with these flags, would not
    be exact; and with the list of known architectures if this one has no row.
    """
    text = config.get_text_config()
    if reason := why_not_exact(model_type, text):
        raise UnknownArchitecture(f"{model}: graphs of {model_type!r} models would not be exact: {reason}")
    if model_type not in ARCHITECTURES:
        raise UnknownArchitecture(
            f"{model}: no row for the architecture {model_type!r}; known are {', '.join(sorted(ARCHITECTURES))}. "
            "A new one is a row in distributed_tracer/model/architectures.py and a line in the oracle tests."
        )
    return ARCHITECTURES[model_type].of(text)
