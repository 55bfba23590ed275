"""Rotary tables that depend on a sequence's length: which lengths have the same one, and no memory of passes before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

_OF_ANY_LENGTH = {"default", "linear", "llama3", "yarn", "proportional", "ntk_alpha"}


def rope_regime(config: Any, num_tokens: int) -> tuple[int, ...]:
    """Sequences whose regimes are equal have the same rotary tables: they may share a pass, or a cache of keys.

    The library takes the length of a pass's longest sequence for all of them. longrope has two sets of factors, dynamic
    NTK scaling one for every length beyond the model's; a type not known here is taken to have one for every length.
    """
    text = config.get_text_config()
    regime = []
    for parameters in _all_parameters(text):
        kind = _kind(parameters)
        if kind == "longrope":
            original = parameters.get("original_max_position_embeddings") or text.original_max_position_embeddings
            regime.append(int(num_tokens > original))
        elif kind == "dynamic":
            regime.append(max(num_tokens, text.max_position_embeddings))
        elif kind not in _OF_ANY_LENGTH:
            regime.append(num_tokens)
    return tuple(regime)


def max_positions(config: Any) -> int:
    """The longest sequence that a model takes: dynamic NTK scaling stretches what it was trained on by its factor."""
    text = config.get_text_config()
    dynamic = [of for of in _all_parameters(text) if _kind(of) == "dynamic"]
    return int(text.max_position_embeddings * min((float(of.get("factor") or 1) for of in dynamic), default=1))


def forget_lengths(hf: Any) -> None:
    """Dynamic NTK scaling keeps the table of the longest sequence seen for shorter ones: begin each pass anew."""
    if "dynamic" not in map(_kind, _all_parameters(hf.config.get_text_config())):
        return
    for module in hf.modules():
        types = getattr(module, "rope_type", None)
        for prefix in [f"{of}_" for of in types] if isinstance(types, Mapping) else [""]:
            _forget(module, prefix)


def _forget(module: nn.Module, prefix: str) -> None:
    """Whatever lengths the module remembers: not all releases write them down under the name that they read."""
    original = getattr(module, f"{prefix}original_inv_freq", None)
    if original is not None:
        now = getattr(module, f"{prefix}inv_freq")
        module.register_buffer(f"{prefix}inv_freq", original.to(now.device, copy=True), persistent=False)
        setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def _all_parameters(text: Any) -> Iterator[Mapping[str, Any]]:
    """One for all layers, or one for each type of layer."""
    parameters = getattr(text, "rope_parameters", None) or {}
    nested = [of for of in parameters.values() if isinstance(of, Mapping)]
    yield from nested or [parameters]


def _kind(parameters: Mapping[str, Any]) -> str:
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    return "ntk_alpha" if kind == "dynamic" and parameters.get("alpha") else kind  # Hunyuan's name for a fixed table
