"""Prefix: the first positions of a prompt, where nothing depends on a feature, so that all they pass on is known.

The residual stream at these positions is the sum of what each of their tokens contributes and of what is constant. Once
per prompt these terms are propagated through the frozen layers. A row then needs its gradient only at the positions
after the prefix: whatever it receives from the prefix comes through the attention of later positions, and one product
per layer with the values that they attend to in the prefix computes it.

Axes: T token of the prefix (then the constant), P position (in the prefix), J position attended to (in the prefix),
G key/value head, Q query head of one key/value head, U head width, L layer, D model width, X several of these in one,
Y several of these in one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.forward_cache import ForwardCache
from ..model.frozen import FrozenLayer
from ..threads import multiply


class Prefix:
    """The first `size` positions of one prompt. `push` must be called for the layers in order."""

    def __init__(self, cache: ForwardCache, size: int, dtype: torch.dtype) -> None:
        self.size = size
        self.values_LXT: list[Tensor] = []
        """The values that attention reads in the prefix at each layer; X = (position, key/value head, head width)."""
        token_PD, position_PD = cache.token_vectors_PD[:size].to(dtype), cache.position_vectors_PD
        constant_PD = torch.zeros_like(token_PD) if position_PD is None else position_PD[:size].to(dtype)
        token_TPD = torch.diag_embed(token_PD.T).permute(1, 2, 0)  # each at its own position
        self._stream_TPD = torch.cat([token_TPD, constant_PD[None]])

    def advance(self, layer: FrozenLayer, constant_PD: Tensor) -> None:
        """Propagate the residual stream of the prefix through one layer.

        `constant_PD` is what the layer's MLP adds besides its linear skip.
        """
        before_TPD = self._stream_TPD.to(layer.device)
        after_TPD = before_TPD + self._attended(layer, before_TPD)
        if layer.constant_PD is not None:
            after_TPD[-1] += layer.constant_PD[: self.size]
        if layer.skip_DD is not None:
            skipped_TPD = multiply(before_TPD if layer.parallel else after_TPD, layer.skip_DD.T)
            if layer.skip_scale_P is not None:
                skipped_TPD *= layer.skip_scale_P[: self.size, None]
            after_TPD += skipped_TPD
        after_TPD[-1] += constant_PD[: self.size].to(after_TPD)
        self._stream_TPD = after_TPD

    def _attended(self, layer: FrozenLayer, stream_TPD: Tensor) -> Tensor:
        groups, head_dim = layer.num_groups, layer.head_dim
        value_TJX = multiply(stream_TPD, layer.value_XD.T)
        self.values_LXT.append(value_TJX.flatten(1).T.contiguous())
        pattern_GJPQ = layer.pattern_GJPQ[:, : self.size, : self.size]
        pattern_GYJ = pattern_GJPQ.flatten(2).mT  # Y = (position, query head)
        value_TGJU = value_TJX.view(*value_TJX.shape[:2], groups, head_dim).transpose(1, 2)
        shape = (len(stream_TPD), groups, self.size, layer.output_GDX.shape[2])
        mixed_TGPX = multiply(pattern_GYJ, value_TGJU).reshape(shape)
        return multiply(mixed_TGPX, layer.output_GDX.mT).sum(1)
