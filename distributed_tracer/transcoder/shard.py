"""Shard: the features of every layer that one holder keeps. Plain data, so it travels to wherever the holder is."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TranscoderError


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`: the same share of every layer's features, encoder and decoder alike.

    What the slices of a set write adds up to what the whole set writes, so what belongs to no feature (`b_dec` and
    `W_skip`) belongs to slice 0. `Slice()` is the whole.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise TranscoderError(f"slice {self.index} of {self.count}: the index must be from 0 to {self.count - 1}")

    def features(self, num_features: int) -> range:
        """The features kept of a layer with that many; sizes of slices differ by one at most."""
        return range(
            num_features * self.index // self.count,
            num_features * (self.index + 1) // self.count,
        )
