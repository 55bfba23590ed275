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

    shard: Shard

    def encode_candidates(self, layer: int, x_PD: Tensor) -> Candidates:
        """Return the features of this shard that may be active."""
        ...


ShardCall = Callable[[], Any]
RunCalls = Callable[[Sequence[ShardCall]], Sequence[Any]]
"""Function that makes calls to shard owners and returns their results in the same order. Owners in other processes may
work in parallel."""


def one_by_one(calls: Sequence[ShardCall]) -> list[Any]:
    """Make the calls one after another and return their results; this is for shard owners in this process."""
    return [call() for call in calls]


class ShardedTranscoders:
    """A set of transcoders that calls the owners of its shards and combines their results.

    `owners` are the owners, and `run_calls` makes calls to them. Raises ValueError unless each shard has one owner, in
    order.
    """

    def __init__(self, owners: Sequence[ShardOwner], run_calls: RunCalls = one_by_one) -> None:
        if not owners or [owner.shard for owner in owners] != [
            Shard(index, len(owners)) for index in range(len(owners))
        ]:
            raise ValueError(
                f"{len(owners)} owners of {[owner.shard for owner in owners]}: each shard needs one owner, in order"
            )
        self.shape = owners[0].shape
        self.dtype = owners[0].dtype
        self.device = owners[0].device
        on_host = all(owner.decoder_device.type == "cpu" for owner in owners)
        self.decoder_device = torch.device("cpu") if on_host else self.device
        self._owners, self._run_calls = owners, run_calls

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return positions [A], features [A] and activations [A] of the active features, by (position, feature)."""
        return merge(self._run_calls([partial(owner.encode_candidates, layer, x_PD) for owner in self._owners]))

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder vectors [F, D] and biases [F] of features of `layer`."""
        W_enc_FD = features_F.new_empty((len(features_F), self.shape.d_model), dtype=self.dtype)
        b_enc_F = features_F.new_empty(len(features_F), dtype=self.dtype)
        those = list(self._owners_of(layer, features_F))
        found = self._run_calls([partial(owner.encoder_rows, layer, features_F[mine_F]) for owner, mine_F in those])
        for (_, mine_F), answer in zip(those, found, strict=True):
            W_enc_FD[mine_F], b_enc_F[mine_F] = answer
        return W_enc_FD, b_enc_F

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Return the decoder vectors [F, D] from `layer` to `output_layer`."""
        W_dec_FD = features_F.new_empty((len(features_F), self.shape.d_model), dtype=self.dtype)
        those = list(self._owners_of(layer, features_F))
        wanted = [partial(owner.decoder_rows, layer, features_F[mine_F], output_layer) for owner, mine_F in those]
        for (_, mine_F), answer in zip(those, self._run_calls(wanted), strict=True):
            W_dec_FD[mine_F] = answer
        return W_dec_FD

    def decoder_bias(self, layer: int) -> Tensor:
        """Return the decoder bias [D], which shard 0 has."""
        return self._owners[0].decoder_bias(layer)

    def skip(self, layer: int) -> Tensor | None:
        """Return the skip matrix [D_out, D_in], or None, as shard 0 has it."""
        return self._owners[0].skip(layer)

    def _owners_of(self, layer: int, features_F: Tensor) -> Iterator[tuple[ShardOwner, Tensor]]:
        """Yield each owner that keeps any of the features, with the places of these in `features_F`."""
        for owner in self._owners:
            kept = owner.shard.features(self.shape.features_L[layer])
            mine_F = ((features_F >= kept.start) & (features_F < kept.stop)).nonzero().flatten()
            if len(mine_F):
                yield owner, mine_F
