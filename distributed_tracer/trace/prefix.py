"""Prefix: the first positions, where nothing depends on a feature: all that passes from them is known beforehand.

The residual stream there is a sum of what each of its tokens puts in and of what is constant. These are pushed up
through the frozen layers once for a prompt. A row then needs its gradient behind the lead only: whatever it gets from
there, it gets through the attention of later positions, by one product a layer with the values that they find in it.

T token of the lead, then the constant; P position, K position attended to, both in the lead; G key/value head, Q query
head of it, E head width, D model width; X several of these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.forward_cache import ForwardCache
from ..model.frozen import FrozenLayer
from ..threads import multiply


class Prefix:
    """The first `size` positions of one prompt. Layers must be pushed through in order."""

    def __init__(self, tape: ForwardCache, size: int, dtype: torch.dtype) -> None:
        self.size = size
        self.values_LXT: list[Tensor] = []
        """What attention finds in the lead at each layer; X = (position, key/value head, head width)."""
        token_PD, position_PD = tape.token_vectors_PD[:size].to(dtype), tape.position_vectors_PD
        constant_PD = torch.zeros_like(token_PD) if position_PD is None else position_PD[:size].to(dtype)
        token_TPD = torch.diag_embed(token_PD.T).permute(1, 2, 0)  # each at its own position
        self._stream_TPD = torch.cat([token_TPD, constant_PD[None]])

    def push(self, layer: FrozenLayer, constant_PD: Tensor) -> None:
        """Through one layer, whose MLP writes what is constant [P, D] beside its linear skip."""
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
        value_TKX = multiply(stream_TPD, layer.value_XD.T)
        self.values_LXT.append(value_TKX.flatten(1).T.contiguous())
        pattern_GKPQ = layer.pattern_GKPQ[:, : self.size, : self.size]
        pattern_GYK = pattern_GKPQ.flatten(2).mT  # Y = (position, query head)
        value_TGKE = value_TKX.view(*value_TKX.shape[:2], groups, head_dim).transpose(1, 2)
        shape = (len(stream_TPD), groups, self.size, layer.output_GDX.shape[2])
        mixed_TGPX = multiply(pattern_GYK, value_TGKE).reshape(shape)
        return multiply(mixed_TGPX, layer.output_GDX.mT).sum(1)
