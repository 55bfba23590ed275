"""ShardedTranscoders: a whole set whose features are kept by several holders, near or far; same protocol.

P position · D model width · A active feature · F feature asked for
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from .activation import Candidates, merge
from .base import Transcoders
from .shard import Shard


class ShardOwner(Transcoders, Protocol):
    """Keeps one slice: a LoadedTranscoders, or what stands for one in another process."""

    part: Shard

    def encode_candidates(self, layer: int, x_PD: Tensor) -> Candidates:
        """What of this slice may be active."""
        ...


ShardCall = Callable[[], Any]
RunCalls = Callable[[Sequence[ShardCall]], Sequence[Any]]
"""Puts questions to holders, gives the answers in the same order; holders that are far away may answer side by side."""


def one_by_one(questions: Sequence[ShardCall]) -> list[Any]:
    """For holders in this process."""
    return [question() for question in questions]


class ShardedTranscoders:
    """Asks every holder and puts the answers together. Raises ValueError unless each slice has one holder, in order."""

    def __init__(self, holders: Sequence[ShardOwner], ask: RunCalls = one_by_one) -> None:
        if not holders or [holder.part for holder in holders] != [
            Shard(index, len(holders)) for index in range(len(holders))
        ]:
            raise ValueError(
                f"{len(holders)} holders of {[holder.part for holder in holders]}; one for each slice is wanted"
            )
        self.shape = holders[0].shape
        self.dtype = holders[0].dtype
        self.device = holders[0].device
        self._holders, self._ask = holders, ask

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positions [A], features [A] and activations [A], by (position, feature)."""
        return merge(self._ask([partial(holder.encode_candidates, layer, x_PD) for holder in self._holders]))

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder vectors [F, D] and biases [F]."""
        W_enc_FD = features_F.new_empty((len(features_F), self.shape.d_model), dtype=self.dtype)
        b_enc_F = features_F.new_empty(len(features_F), dtype=self.dtype)
        keepers = list(self._keepers(layer, features_F))
        found = self._ask([partial(holder.encoder_rows, layer, features_F[mine_F]) for holder, mine_F in keepers])
        for (_, mine_F), answer in zip(keepers, found, strict=True):
            W_enc_FD[mine_F], b_enc_F[mine_F] = answer
        return W_enc_FD, b_enc_F

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Decoder vectors [F, D] from `layer` to `output_layer`."""
        W_dec_FD = features_F.new_empty((len(features_F), self.shape.d_model), dtype=self.dtype)
        keepers = list(self._keepers(layer, features_F))
        wanted = [partial(holder.decoder_rows, layer, features_F[mine_F], output_layer) for holder, mine_F in keepers]
        for (_, mine_F), answer in zip(keepers, self._ask(wanted), strict=True):
            W_dec_FD[mine_F] = answer
        return W_dec_FD

    def decoder_bias(self, layer: int) -> Tensor:
        """[D], as slice 0 has it."""
        return self._holders[0].decoder_bias(layer)

    def skip(self, layer: int) -> Tensor | None:
        """[D_out, D_in] or None, as slice 0 has it."""
        return self._holders[0].skip(layer)

    def _keepers(self, layer: int, features_F: Tensor) -> Iterator[tuple[ShardOwner, Tensor]]:
        """Holders that keep any of the features, with the indices of those."""
        for holder in self._holders:
            kept = holder.part.features(self.shape.features_L[layer])
            mine_F = torch.nonzero((features_F >= kept.start) & (features_F < kept.stop)).flatten()
            if len(mine_F):
                yield holder, mine_F
