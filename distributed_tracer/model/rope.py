"""Rotary tables that depend on the length of a sequence: which lengths share a table, and how to reset the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from ..errors import ModelError

_OF_ANY_LENGTH = {"default", "linear", "llama3", "yarn", "proportional", "ntk_alpha"}


def rope_regime(config: Any, num_tokens: int) -> tuple[int, ...]:
    """Return the regime of a sequence of `num_tokens`: sequences with equal regimes have the same rotary tables.

    Such sequences may share a forward pass or a key-value cache. The library uses the length of the longest sequence of
    a pass for all of them. longrope has two sets of factors, and dynamic NTK scaling has one for every length beyond
    the model's. A type that is not known here is assumed to have a table of its own for every length.
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
    """Return the largest number of tokens that a model accepts.

    Dynamic NTK scaling multiplies the length on which the model was trained by its factor. Raises ModelError if that is
    not even one token.
    """
    text = config.get_text_config()
    dynamic = [of for of in _all_parameters(text) if _kind(of) == "dynamic"]
    most = int(text.max_position_embeddings * min((float(of.get("factor") or 1) for of in dynamic), default=1))
    if most < 1:
        raise ModelError(
            f"config.json says that the model accepts {most} tokens; max_position_embeddings is at least 1"
        )
    return most


def forget_lengths(hf: Any) -> None:
    """Reset the rotary tables of a model with dynamic NTK scaling, so that the next pass does not depend on earlier
    ones.

    The library otherwise uses the table of the longest sequence seen so far for shorter sequences as well.
    """
    if "dynamic" not in map(_kind, _all_parameters(hf.config.get_text_config())):
        return
    for module in hf.modules():
        types = getattr(module, "rope_type", None)
        for prefix in [f"{of}_" for of in types] if isinstance(types, Mapping) else [""]:
            _forget(module, prefix)


def _forget(module: nn.Module, prefix: str) -> None:
    """Reset the table and the length that a module remembers. Not every release of the library stores them under the
    name that it reads."""
    original = getattr(module, f"{prefix}original_inv_freq", None)
    if original is not None:
        now = getattr(module, f"{prefix}inv_freq")
        module.register_buffer(f"{prefix}inv_freq", original.to(now.device, copy=True), persistent=False)
        setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def _all_parameters(text: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the rotary parameters of a text config: one mapping for all layers, or one for each type of layer."""
    parameters = getattr(text, "rope_parameters", None) or {}
    nested = [of for of in parameters.values() if isinstance(of, Mapping)]
    yield from nested or [parameters]


def _kind(parameters: Mapping[str, Any]) -> str:
    kind = str(parameters.get("rope_type") or parameters.get("type") or "default")
    return "ntk_alpha" if kind == "dynamic" and parameters.get("alpha") else kind  # Hunyuan's name for a fixed table
