"""Shard: the features of every layer that one owner keeps. It is plain data that can be sent to the owner's process."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TranscoderError


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`: the same share of the features of every layer, with their encoders and decoders.

    The outputs of all shards add up to the output of the whole set, so the weights that belong to no feature (`b_dec`
    and `W_skip`) belong to shard 0. `Shard()` is the whole set.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise TranscoderError(f"shard {self.index} of {self.count}: the index must be from 0 to {self.count - 1}")

    def features(self, num_features: int) -> range:
        """Return the features that this shard keeps of a layer with `num_features`.

        The sizes of shards differ by at most one.
        """
        return range(
            num_features * self.index // self.count,
            num_features * (self.index + 1) // self.count,
        )
