"""ShardedTranscoders: a whole set of transcoders whose shards have several owners, in this process or in others.

It implements the same protocol as LoadedTranscoders. Axes: P position, D model width, A active feature,
F feature requested, L layer.
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
    """The owner of one shard: a LoadedTranscoders, or an object that represents one in another process."""

    part: Shard

    def encode_candidates(self, layer: int, x_PD: Tensor) -> Candidates:
        """Return the features of this shard that may be active."""
        ...


ShardCall = Callable[[], Any]
RunCalls = Callable[[Sequence[ShardCall]], Sequence[Any]]
"""Function that makes calls to shard owners and returns their results in the same order. Owners in other processes may
work in parallel."""


def one_by_one(questions: Sequence[ShardCall]) -> list[Any]:
    """Make the calls one after another and return their results; this is for shard owners in this process."""
    return [question() for question in questions]


class ShardedTranscoders:
    """A set of transcoders that calls the owners of its shards and combines their results.

    `holders` are the owners, and `ask` makes calls to them. Raises ValueError unless each shard has one owner, in
    order.
    """

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
        """Return positions [A], features [A] and activations [A] of the active features, by (position, feature)."""
        return merge(self._ask([partial(holder.encode_candidates, layer, x_PD) for holder in self._holders]))

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder vectors [F, D] and biases [F] of features of `layer`."""
        W_enc_FD = features_F.new_empty((len(features_F), self.shape.d_model), dtype=self.dtype)
        b_enc_F = features_F.new_empty(len(features_F), dtype=self.dtype)
        keepers = list(self._keepers(layer, features_F))
        found = self._ask([partial(holder.encoder_rows, layer, features_F[mine_F]) for holder, mine_F in keepers])
        for (_, mine_F), answer in zip(keepers, found, strict=True):
            W_enc_FD[mine_F], b_enc_F[mine_F] = answer
        return W_enc_FD, b_enc_F

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Return the decoder vectors [F, D] from `layer` to `output_layer`."""
        W_dec_FD = features_F.new_empty((len(features_F), self.shape.d_model), dtype=self.dtype)
        keepers = list(self._keepers(layer, features_F))
        wanted = [partial(holder.decoder_rows, layer, features_F[mine_F], output_layer) for holder, mine_F in keepers]
        for (_, mine_F), answer in zip(keepers, self._ask(wanted), strict=True):
            W_dec_FD[mine_F] = answer
        return W_dec_FD

    def decoder_bias(self, layer: int) -> Tensor:
        """Return the decoder bias [D], which shard 0 has."""
        return self._holders[0].decoder_bias(layer)

    def skip(self, layer: int) -> Tensor | None:
        """Return the skip matrix [D_out, D_in], or None, as shard 0 has it."""
        return self._holders[0].skip(layer)

    def _keepers(self, layer: int, features_F: Tensor) -> Iterator[tuple[ShardOwner, Tensor]]:
        """Yield each owner that keeps any of the features, with the places of these in `features_F`."""
        for holder in self._holders:
            kept = holder.part.features(self.shape.features_L[layer])
            mine_F = torch.nonzero((features_F >= kept.start) & (features_F < kept.stop)).flatten()
            if len(mine_F):
                yield holder, mine_F
