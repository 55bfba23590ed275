"""ForwardCache: the values of one forward pass that are held constant for a prompt, and those that are read later.

Axes: H attention head, P position, D model width, V vocabulary. Each tensor stays on the device of the layer it
belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import transformers
from torch import Tensor

from ..errors import ModelError
from .hooks import NormKey, hooked
from .model import Model


@dataclass(eq=False)
class ForwardCache:
    """The constants of one prompt's local replacement model, and the values at the input and output sites of the
    transcoders."""

    tokens_P: Tensor
    input_site: str
    output_site: str
    patterns_HPP: list[Tensor] = field(default_factory=list)
    scales_P1: dict[NormKey, Tensor] = field(default_factory=dict)
    inputs_PD: list[Tensor] = field(default_factory=list)
    outputs_PD: list[Tensor] = field(default_factory=list)
    final_PD: Tensor = field(default_factory=lambda: torch.empty(0))
    """The output of the final norm, by which the directions of targets are multiplied."""
    token_vectors_PD: Tensor = field(default_factory=lambda: torch.empty(0))
    position_vectors_PD: Tensor | None = None
    logits: dict[int, Tensor] = field(default_factory=dict)
    """The logits [V] at each position requested, in float32 or better, after any final softcap."""


class _Recorder:
    """Forward hooks that change nothing and record everything in a ForwardCache."""

    def __init__(self, cache: ForwardCache) -> None:
        self.cache = cache

    def pattern(self, layer: int, compute: Callable[[], Tensor]) -> Tensor:
        assert layer == len(self.cache.patterns_HPP), "layers run in order"
        pattern = compute()
        self.cache.patterns_HPP.append(pattern[0])
        return pattern

    def scale(self, key: NormKey, compute: Callable[[], Tensor]) -> Tensor:
        scale = compute()
        self.cache.scales_P1[key] = scale[0]
        return scale

    def embeddings(self, x: Tensor) -> Tensor:
        self.cache.token_vectors_PD = x[0]
        return x

    def mlp_input(self, layer: int, x: Tensor) -> None:
        self.cache.inputs_PD.append(x[0])

    def mlp_output(self, layer: int, y: Tensor) -> Tensor:
        self.cache.outputs_PD.append(y[0])
        return y

    def final(self, y: Tensor) -> None:
        self.cache.final_PD = y[0]


@torch.no_grad()
def run_with_cache(
    model: Model, tokens: Sequence[int], input_site: str, output_site: str, positions: Sequence[int] = (-1,)
) -> ForwardCache:
    """Run the model once and return its patterns, norm scales, MLP inputs and outputs, and the logits at `positions`.

    Raises ModelError if the library computes the attention of a layer without calling this package for its pattern.
    """
    tokens_P = torch.tensor(list(tokens), dtype=torch.long, device=model.input_device)
    cache = ForwardCache(tokens_P, input_site, output_site)
    wanted = sorted({p % len(tokens_P) for p in positions})
    with hooked(model, _Recorder(cache), input_site, output_site):
        result = model.hf(
            input_ids=tokens_P[None],
            use_cache=False,
            logits_to_keep=wanted,
        )
    if len(cache.patterns_HPP) != model.shape.num_layers:
        raise ModelError(
            f"only {len(cache.patterns_HPP)} of {model.shape.num_layers} layers of a {model.shape.architecture} model "
            f"let their attention patterns be recorded by transformers {transformers.__version__}; a later one may"
        )
    logits = result.logits[0].to(torch.promote_types(result.logits.dtype, torch.float32))
    cache.logits = dict(zip(wanted, logits, strict=True))
    if model.sites.position_embed is not None:
        embedded = model.hf.get_input_embeddings()(tokens_P)
        cache.position_vectors_PD = cache.token_vectors_PD - embedded
        cache.token_vectors_PD = embedded
    return cache
