"""Group nodes into batches of similar positions, so that few products are computed where no gradient can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_WASTE = 1.15
"""A batch ends where the number of products would exceed this many times the number needed, if the batch is large
enough for fast products."""
_ENOUGH = {"cpu": 2048, "cuda": 16384}
"""Rows times positions of a batch, by type of device, from which on its products are about as fast as larger ones."""


def batches(layers: Sequence[int], positions: Sequence[int], limit: int, device: str) -> Iterator[list[int]]:
    """Yield batches of the numbers of nodes, at most `limit` in each, sorted deepest first. Ties are broken by number.

    `layers` and `positions` are those of each node, and `device` is the type of the device.
    """
    batch: list[int] = []
    weight = needed = 0  # a row passes through its layer and those below, at its position and those before
    for node in sorted(range(len(layers)), key=lambda node: (-positions[node], -layers[node], node)):
        deep, wide = layers[node] + 1, positions[node] + 1
        if batch:
            widest = positions[batch[0]] + 1
            large = widest * len(batch) >= _ENOUGH.get(device, _ENOUGH["cpu"])
            if len(batch) == limit or (large and widest * (weight + deep) > _WASTE * (needed + deep * wide)):
                yield _deepest_first(batch, layers)
                batch, weight, needed = [], 0, 0
        batch.append(node)
        weight, needed = weight + deep, needed + deep * wide
    if batch:
        yield _deepest_first(batch, layers)


def _deepest_first(batch: list[int], layers: Sequence[int]) -> list[int]:
    return sorted(batch, key=lambda node: (-layers[node], node))
