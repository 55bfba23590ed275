"""Attention patterns, through the attention interface of transformers: they are observed, or replaced by constants.

Axes: H attention head, P position, U head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = "distributed_tracer"
"""The `attn_implementation` with which models are loaded."""

PatternHook = Callable[[int, Callable[[], Tensor]], Tensor]
"""Function that returns the attention pattern [1, H, P, P] to use in a layer.

It is given the layer's number and a function that computes the layer's own pattern.
"""

_hook: ContextVar[PatternHook | None] = ContextVar("pattern_hook", default=None)


@contextmanager
def watch_patterns(hook: PatternHook) -> Iterator[None]:
    """Let `hook` decide every attention pattern of the forward passes inside the block."""
    token = _hook.set(hook)
    try:
        yield
    finally:
        _hook.reset(token)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Compute plain attention on tensors [1, H, P, U], with grouped query heads, softcaps and sinks."""
    groups = query.shape[1] // key.shape[1]
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling

    def pattern() -> Tensor:
        scores = query @ key.repeat_interleave(groups, 1).transpose(-1, -2) * scaling
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        if attention_mask is not None:
            scores = scores + attention_mask[..., : key.shape[-2]]
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if s_aux is None:
            return scores.softmax(-1).to(value.dtype)
        sinks = s_aux.to(scores.dtype).reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        return torch.cat([scores, sinks], -1).softmax(-1)[..., :-1].to(value.dtype)

    hook = _hook.get()
    layer: int = module.layer_idx  # type: ignore[assignment]
    used = pattern() if hook is None else hook(layer, pattern)
    mixed = used @ value.repeat_interleave(groups, 1)
    return mixed.transpose(1, 2).contiguous(), used


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, eager_mask)
