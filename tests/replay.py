"""Runs the model's own modules again with patterns, scales and MLP outputs held at the values of a ForwardCache.

The result is linear in what is added at the embeddings or at an MLP's output. Tests judge the sweep by it: forward, by
perturbing one feature and reading what changes; backward, by autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from distributed_tracer.model.forward_cache import ForwardCache
from distributed_tracer.model.hooks import NormKey, hooked
from distributed_tracer.model.model import Model


@dataclass(eq=False)
class Replay:
    """Values of the frozen model: at each layer's input site and at the final norm's output."""

    inputs_PD: list[Tensor] = field(default_factory=list)
    final_PD: Tensor = field(default_factory=lambda: torch.empty(0))


class _Replayer:
    """ForwardHooks that hold everything at the cached values, except for what is added and for linear skips."""

    def __init__(
        self,
        cache: ForwardCache,
        added: Sequence[Tensor | None],
        skips: Sequence[Tensor | None],
        bottom_PD: Tensor | None,
        replay: Replay,
    ) -> None:
        self.cache, self.added, self.skips, self.bottom_PD, self.replay = cache, added, skips, bottom_PD, replay

    def pattern(self, layer: int, compute: Callable[[], Tensor]) -> Tensor:
        return self.cache.patterns_HPP[layer][None]

    def scale(self, key: NormKey, compute: Callable[[], Tensor]) -> Tensor:
        return self.cache.scales_P1[key][None]

    def embeddings(self, x: Tensor) -> Tensor:
        return x if self.bottom_PD is None else x + self.bottom_PD[None]

    def mlp_input(self, layer: int, x: Tensor) -> None:
        self.replay.inputs_PD.append(x[0])

    def mlp_output(self, layer: int, y: Tensor) -> Tensor:
        held = self.cache.outputs_PD[layer]
        skip, added = self.skips[layer], self.added[layer]
        if skip is not None:
            held = held + (self.replay.inputs_PD[layer] - self.cache.inputs_PD[layer]) @ skip.T
        return (held if added is None else held + added)[None]

    def final(self, y: Tensor) -> None:
        self.replay.final_PD = y[0]


def replay(
    model: Model,
    cache: ForwardCache,
    *,
    added: Sequence[Tensor | None] | None = None,
    skips: Sequence[Tensor | None] | None = None,
    bottom_PD: Tensor | None = None,
) -> Replay:
    """Run the frozen model with `added[l]` [P, D] at each layer's output site and `bottom_PD` in the residual stream.

    Gradients flow to both, through the model's own modules. `skips[l]` are the transcoders' skip matrices.
    """
    nothing: list[Tensor | None] = [None] * model.shape.num_layers
    result = Replay()
    hooks = _Replayer(cache, added or nothing, skips or nothing, bottom_PD, result)
    with hooked(model, hooks, cache.input_site, cache.output_site):
        model.hf(input_ids=cache.tokens_P[None], use_cache=False, logits_to_keep=1)
    return result
