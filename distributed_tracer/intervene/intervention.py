"""Intervention: a feature set to another value at some positions, as plain data, and its meaning for one prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .. import plain_values
from ..errors import InterventionError
from ..shapes import TranscoderShape


@dataclass(frozen=True)
class Intervention:
    """One feature at one position, or at each position of a slice, with exactly one of `value` and `times`.

    `value` is the activation to set; `times` is a multiple of the feature's activation in the unchanged prompt, so that
    0 turns it off. A negative position counts from the end; a slice may be open (`slice(3, None)`). Numbers may be
    numpy or torch scalars. Raises InterventionError for values that are not numbers.
    """

    layer: int
    position: int | slice
    feature: int
    value: float | None = None
    times: float | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.times is None):
            raise InterventionError(
                f"an intervention needs a finite value or a finite times, not value={self.value}, times={self.times}"
            )
        converted = {
            "layer": plain_values.integer(self.layer, "the layer of an intervention", InterventionError),
            "position": plain_values.place(self.position, "the position of an intervention", InterventionError),
            "feature": plain_values.integer(self.feature, "the feature of an intervention", InterventionError),
            "value": self.value if self.value is None else _number(self.value, "value"),
            "times": self.times if self.times is None else _number(self.times, "times"),
        }
        for name, number in converted.items():
            object.__setattr__(self, name, number)


def _number(given_: object, name: str) -> float:
    return plain_values.finite(given_, f"the {name} of an intervention", InterventionError)


def named_positions(position: int | slice) -> tuple[int, ...]:
    """Return the positions that `position` names explicitly; for a slice, its bounds, as far as they are given."""
    bounds = (position.start, position.stop) if isinstance(position, slice) else (position,)
    return tuple(bound for bound in bounds if bound is not None)


def sequence_of(interventions: object) -> tuple[Intervention, ...]:
    """Return several interventions as a tuple. Raises InterventionError for a single one and for any other type."""
    if isinstance(interventions, Intervention) or not isinstance(interventions, Iterable):
        raise InterventionError(f"interventions must be a sequence of them, not {plain_values.shown(interventions)}")
    found = tuple(interventions)
    for item in found:
        if not isinstance(item, Intervention):
            raise InterventionError(f"an intervention must be an Intervention, not {plain_values.shown(item)}")
    return found


@dataclass(frozen=True)
class ResolvedIntervention:
    """One feature at one position; `number` is its activation, or a multiple of the original activation."""

    layer: int
    position: int
    feature: int
    number: float
    is_multiple: bool


def resolve_interventions(
    interventions: Sequence[Intervention], shape: TranscoderShape, num_tokens: int, zeroed: int
) -> tuple[ResolvedIntervention, ...]:
    """Resolve interventions for a prompt of `num_tokens` tokens: one entry per feature and position.

    The first `zeroed` positions have no features, and slices skip them. Raises InterventionError for a layer, position
    or feature that does not exist, and for a feature that is set twice.
    """
    found: dict[tuple[int, int, int], ResolvedIntervention] = {}
    for intervention in interventions:
        for change in _each(intervention, shape, num_tokens, zeroed):
            place = change.layer, change.position, change.feature
            if place in found:
                raise InterventionError(
                    f"feature {change.feature} of layer {change.layer} is set twice at position {change.position}"
                )
            found[place] = change
    return tuple(found.values())


def _each(
    intervention: Intervention, shape: TranscoderShape, num_tokens: int, zeroed: int
) -> Iterator[ResolvedIntervention]:
    layer, feature, position = intervention.layer, intervention.feature, intervention.position
    if not 0 <= layer < shape.num_layers:
        raise InterventionError(
            f"there is no layer {layer}: the transcoders have {shape.num_layers}, 0 to {shape.num_layers - 1}"
        )
    if not 0 <= feature < shape.features_L[layer]:
        size = shape.features_L[layer]
        raise InterventionError(f"there is no feature {feature}: layer {layer} has {size:,}, 0 to {size - 1}")
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
        yield ResolvedIntervention(layer, place, feature, number, is_multiple)
