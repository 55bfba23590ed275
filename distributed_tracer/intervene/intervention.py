"""Intervention: a feature set to another value at some positions. Plain data, and what it means for one prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import InterventionError
from ..shapes import TranscoderShape


@dataclass(frozen=True)
class Intervention:
    """One feature at one position, or at each of a slice's, with exactly one of `value` and `times`.

    `value` is the activation to set, `times` a multiple of the one that the feature has in the prompt as it is: 0 turns
    it off. A position counts from the end if negative; a slice may be open (`slice(3, None)`).
    """

    layer: int
    position: int | slice
    feature: int
    value: float | None = None
    times: float | None = None

    def __post_init__(self) -> None:
        given = [number for number in (self.value, self.times) if number is not None]
        if len(given) != 1 or not math.isfinite(given[0]):
            raise InterventionError(
                f"an intervention needs a finite value or a finite times, not value={self.value}, times={self.times}"
            )


@dataclass(frozen=True)
class Change:
    """One feature at one position; `number` is its activation, or a multiple of the original one."""

    layer: int
    position: int
    feature: int
    number: float
    is_multiple: bool


def changes(
    interventions: Sequence[Intervention], shape: TranscoderShape, num_tokens: int, zeroed: int
) -> tuple[Change, ...]:
    """What interventions mean for a prompt of so many tokens.

    The first `zeroed` positions have no features: slices leave them out. Raises InterventionError for a layer, position
    or feature that there is not, and for a feature that is set twice.
    """
    found: dict[tuple[int, int, int], Change] = {}
    for intervention in interventions:
        for change in _each(intervention, shape, num_tokens, zeroed):
            place = change.layer, change.position, change.feature
            if place in found:
                raise InterventionError(
                    f"feature {change.feature} of layer {change.layer} is set twice at position {change.position}"
                )
            found[place] = change
    return tuple(found.values())


def _each(intervention: Intervention, shape: TranscoderShape, num_tokens: int, zeroed: int) -> Iterator[Change]:
    layer, feature, position = intervention.layer, intervention.feature, intervention.position
    if not 0 <= layer < shape.num_layers:
        raise InterventionError(f"there is no layer {layer}: the transcoders have {shape.num_layers}")
    if not 0 <= feature < shape.features_L[layer]:
        raise InterventionError(f"there is no feature {feature}: layer {layer} has {shape.features_L[layer]:,}")
    if isinstance(position, slice):
        positions = [place for place in range(num_tokens)[position] if place >= zeroed]
    else:
        place = position + num_tokens if position < 0 else position
        if not zeroed <= place < num_tokens:
            raise InterventionError(
                f"position {position} of a prompt of {num_tokens} tokens has no features; those from {zeroed} to "
                f"{num_tokens - 1} have"
            )
        positions = [place]
    is_multiple = intervention.times is not None
    number = intervention.times if intervention.times is not None else intervention.value
    assert number is not None
    for place in positions:
        yield Change(layer, place, feature, number, is_multiple)
