"""Transplants: a supernode of one prompt turned on in another, in place of one that is there."""

from __future__ import annotations

from collections.abc import Iterator

from .intervention import Intervention
from .supernode import Feature, Supernode


def swap(
    on: Supernode, off: Supernode, positions: range, *, times: float = 1.0, times_off: float = 0.0
) -> tuple[Intervention, ...]:
    """What turns one supernode on and the other off; a feature that both have somewhere is turned on there.

    `on` stands where it is to act (see `Supernode.at`) with the activations of the prompt that it is from; negative
    `times_off` push away what `off` stands for. `positions` are those of the prompt that have features: from the number
    of zeroed ones (see `num_zeroed_positions`) to the number of tokens.
    """
    taken = {(f.layer, place, f.feature) for f in on.features for place in resolve_positions(f.position, positions)}
    kept, activations = list[Feature](), list[float]()
    for number, feature in enumerate(off.features):
        own = list(_without(feature, taken, positions))
        kept += own
        activations += off.activations[number : number + 1] * len(own)
    return *on.times(times), *Supernode(off.name, tuple(kept), activations=tuple(activations)).times(times_off)


def resolve_positions(position: int | slice, positions: range) -> list[int]:
    """The positions that an intervention at `position` means, among those that have features."""
    if isinstance(position, slice):
        return [place for place in range(positions.stop)[position] if place in positions]
    return [position + positions.stop if position < 0 else position]


def _without(feature: Feature, taken: set[tuple[int, int, int]], positions: range) -> Iterator[Feature]:
    """The feature as it is, which may stay open-ended, or place by place where some of them are taken."""
    meant = resolve_positions(feature.position, positions)
    free = [place for place in meant if (feature.layer, place, feature.feature) not in taken]
    if free == meant:
        yield feature
    else:
        yield from (feature._replace(position=place) for place in free)
