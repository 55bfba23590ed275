"""Nodes in batches: those of similar positions together, so that few products are made where no gradient can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_WASTE = 1.15
"""A batch ends where the products made exceed the needed ones by more, if it is large enough for fast products."""
_ENOUGH = {"cpu": 2048, "cuda": 16384}
"""Rows times positions from which on a product is about as fast as larger ones."""


def batches(layers: Sequence[int], positions: Sequence[int], limit: int, device: str) -> Iterator[list[int]]:
    """Numbers of nodes, at most `limit` at a time, each batch deepest first. Ties are settled by number."""
    batch: list[int] = []
    weight = needed = 0  # a row passes through as many layers as it is deep, at as many positions as are before it
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
