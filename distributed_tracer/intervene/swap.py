"""Swaps: a supernode of one prompt is turned on in another prompt, in place of one that is active there."""

from __future__ import annotations

from collections.abc import Iterator

from .intervention import Intervention
from .supernode import Feature, Supernode


def swap(
    on: Supernode, off: Supernode, positions: range, *, times: float = 1.0, times_off: float = 0.0
) -> tuple[Intervention, ...]:
    """Return interventions that turn one supernode on and another off. A feature that both have at a position is on.

    `on` must already be at the positions where it is to act (see `Supernode.at`), with the activations of its own
    prompt. Negative `times_off` push the model away from what `off` represents. `positions` are the positions of the
    prompt that have features: from the number of zeroed positions (see `num_zeroed_positions`) to the number of tokens.
    """
    taken = {(f.layer, place, f.feature) for f in on.features for place in resolve_positions(f.position, positions)}
    kept, activations = list[Feature](), list[float]()
    for number, feature in enumerate(off.features):
        own = list(_without(feature, taken, positions))
        kept += own
        activations += off.activations[number : number + 1] * len(own)
    return *on.times(times), *Supernode(off.name, tuple(kept), activations=tuple(activations)).times(times_off)


def resolve_positions(position: int | slice, positions: range) -> list[int]:
    """Return the positions that an intervention at `position` refers to, among those that have features."""
    if isinstance(position, slice):
        return [place for place in range(positions.stop)[position] if place in positions]
    return [position + positions.stop if position < 0 else position]


def _without(feature: Feature, taken: set[tuple[int, int, int]], positions: range) -> Iterator[Feature]:
    """Yield the feature unchanged (it may stay open-ended), or once per free position if some positions are taken."""
    meant = resolve_positions(feature.position, positions)
    free = [place for place in meant if (feature.layer, place, feature.feature) not in taken]
    if free == meant:
        yield feature
    else:
        yield from (feature._replace(position=place) for place in free)
