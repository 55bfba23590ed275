"""InterventionGraph: sets supernodes of a prompt to other values, and reports how the others and the answer change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InterventionError
from ..graph.nodes import ActiveTable
from ..model.tokenize import num_zeroed_positions, token_strings
from ..moved import renamed
from ..names import unknown
from ..text import counted, html_table, listed, short
from .intervene import InterventionResult
from .intervention import Intervention, resolve_interventions
from .replacement_model import ReplacementModel, Text
from .supernode import Supernode
from .swap import resolve_positions, swap

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class SupernodeSettings:
    """What to set, by names of supernodes: multiples (`times`), activations (`values`), and replacements (`swaps`)."""

    times: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    swaps: Mapping[str, Supernode] = field(default_factory=dict)


@dataclass(frozen=True)
class SupernodeState:
    """One supernode before and after: activations as shares of its reference activation, None where that is zero.

    The reference activation of a supernode is the sum of its activations; if it brings none, the sum of its features'
    activations in the prompt. The share is a ratio of sums, not a mean of ratios, so that one feature that hardly fires
    in the prompt cannot outweigh the others.
    """

    supernode: Supernode
    before: float | None
    after: float | None
    setting: str | None
    """`×0` or `=3` where the supernode was set."""
    replaces: str | None


@dataclass(frozen=True, eq=False)
class AppliedSettings:
    """What was set and what was observed.

    `next_tokens` are the likeliest tokens before and after, each as (token, probability before, probability after).
    """

    prompt: str
    readings: tuple[SupernodeState, ...]
    next_tokens: tuple[tuple[str, float, float], ...]
    effect: InterventionResult

    def __repr__(self) -> str:
        named = [f"{reading.supernode.name} {reading.setting}" for reading in self.readings if reading.setting]
        tokens = ", ".join(f"{short(token)} {was:.3f} → {is_:.3f}" for token, was, is_ in self.next_tokens[:3])
        return f"<AppliedSettings to {short(self.prompt)}: set {listed(named) or 'nothing'}; next {tokens}>"

    def _repr_html_(self) -> str:
        """Return an HTML table for notebooks: the next tokens before and after. Text is escaped."""
        rows = [(short(token), f"{was:.4f}", f"{is_:.4f}") for token, was, is_ in self.next_tokens]
        return html_table(("next token", "before", "after"), rows, repr(self))

    def summary(self) -> dict[str, Any]:
        """Return plain data for `report.interventions`, `plot.interventions` and JSON."""
        names = ("token", "before", "after")
        return {
            "prompt": self.prompt,
            "supernodes": [_plain(reading) for reading in self.readings],
            "next_tokens": [dict(zip(names, row, strict=True)) for row in self.next_tokens],
        }


class InterventionGraph:
    """Supernodes in one prompt, which can be set any number of times."""

    def __init__(self, replacement: ReplacementModel, prompt: Text, supernodes: Sequence[Supernode]) -> None:
        """Check the supernodes and tokenize the prompt.

        Raises InterventionError for names that are not unique and for children, features, layers and positions that do
        not exist.
        """
        names = [supernode.name for supernode in supernodes]
        for name in names:
            if names.count(name) > 1:
                raise InterventionError(f"two supernodes have the name {name!r}")
        self.supernodes = dict(zip(names, supernodes, strict=True))
        for supernode in supernodes:
            for child in supernode.children:
                self._known(child)
        everything = [intervention for supernode in supernodes for intervention in supernode.value(0.0)]
        self.tokens = replacement.tokens(prompt, everything)
        zeroed = num_zeroed_positions(self.tokens, replacement.model.shape.architecture)
        self.positions = range(zeroed, len(self.tokens))
        self._replacement = replacement
        for supernode in supernodes:
            resolve_interventions(supernode.value(0.0), replacement.transcoders.shape, len(self.tokens), zeroed)

    def __repr__(self) -> str:
        supernodes = f"{counted(len(self.supernodes), 'supernode')} ({listed(list(self.supernodes))})"
        return f"<InterventionGraph of {counted(len(self.tokens), 'token')}, with {supernodes}>"

    def interventions(
        self,
        times: Mapping[str, float] = _NOTHING,
        values: Mapping[str, float] = _NOTHING,
        swaps: Mapping[str, Supernode] = _NOTHING,
    ) -> tuple[Intervention, ...]:
        """Return the interventions that `apply` makes for these settings, for `generate` or for other prompts."""
        new = {supernode.name: supernode for supernode in swaps.values()}
        for name in new:
            if name in self.supernodes:
                raise InterventionError(f"a supernode {name!r} is in the graph: it cannot be swapped in too")
        for name in (*times, *values, *swaps):
            self._known(name, new)
        found: list[Intervention] = []
        for name, on in swaps.items():
            by = {"times": times.get(on.name, 1.0), "times_off": times.get(name, 0.0)}
            found += swap(on, self.supernodes[name], self.positions, **by)
        swapped = {*swaps, *new}
        for name, number in times.items():
            found += () if name in swapped else self.supernodes[name].times(number)
        for name, number in values.items():
            if name in swapped:
                raise InterventionError(f"supernode {name!r} is swapped: give its times, not its value")
            found += self.supernodes[name].value(number)
        return tuple(found)

    def apply(
        self,
        times: Mapping[str, float] = _NOTHING,
        values: Mapping[str, float] = _NOTHING,
        swaps: Mapping[str, Supernode] = _NOTHING,
        *,
        num_tokens: int = 5,
        **options: Any,
    ) -> AppliedSettings:
        """Set supernodes to multiples of their activations, to absolute activations, or swap them for others.

        A swap turns the named supernode off (or to its `times`) and the other one on (at 1, or its `times`); a feature
        that both have is turned on. `options` are those of `intervene`; `num_tokens` is the number of likeliest next
        tokens to list, both of before and of after. Raises InterventionError.
        """
        return self.apply_many([SupernodeSettings(times, values, swaps)], num_tokens=num_tokens, **options)[0]

    def apply_many(
        self, setups: Sequence[SupernodeSettings], *, num_tokens: int = 5, **options: Any
    ) -> list[AppliedSettings]:
        """Apply each setting separately, all in one pass.

        For example: `[SupernodeSettings(times={name: 0}) for name in graph.supernodes]`.
        """
        cases = [(self.tokens, self.interventions(setup.times, setup.values, setup.swaps)) for setup in setups]
        effects = self._replacement.intervene_many(cases, with_active=True, **options)
        return [self._applied(setup, effect, num_tokens) for setup, effect in zip(setups, effects, strict=True)]

    def _applied(self, setup: SupernodeSettings, effect: InterventionResult, num_tokens: int) -> AppliedSettings:
        settings = dict.fromkeys(setup.swaps, "×0") | {on.name: "×1" for on in setup.swaps.values()}
        settings |= {name: f"×{number:g}" for name, number in setup.times.items()}
        settings |= {name: f"={number:g}" for name, number in setup.values.items()}
        replaces = {on.name: name for name, on in setup.swaps.items()}
        readings = [
            self._reading(supernode, effect, settings.get(supernode.name), replaces.get(supernode.name))
            for supernode in (*self.supernodes.values(), *setup.swaps.values())
        ]
        prompt = str(self._replacement.model.tokenizer.decode(list(self.tokens[self.positions.start :])))
        return AppliedSettings(prompt, tuple(readings), _next_tokens(self._replacement, effect, num_tokens), effect)

    def _known(self, name: str, more: Mapping[str, Supernode] = _NOTHING) -> None:
        if name not in self.supernodes and name not in more:
            raise InterventionError(unknown("supernode", name, [*self.supernodes, *more], quoted=True))

    def _reading(
        self, supernode: Supernode, effect: InterventionResult, setting: str | None, replaces: str | None
    ) -> SupernodeState:
        assert effect.before.active is not None
        assert effect.after.active is not None
        before = _sum(supernode, effect.before.active, self.positions)
        after = _sum(supernode, effect.after.active, self.positions)
        measure = _measure(supernode, self.positions) if supernode.activations else before
        before_share, after_share = (before / measure, after / measure) if measure else (None, None)
        return SupernodeState(supernode, before_share, after_share, setting, replaces)


def _sum(supernode: Supernode, active: ActiveTable, positions: range) -> float:
    return sum(
        active.activation(layer, place, feature)
        for layer, position, feature in supernode.features
        for place in resolve_positions(position, positions)
    )


def _measure(supernode: Supernode, positions: range) -> float:
    both = zip(supernode.features, supernode.activations, strict=True)
    return sum(activation * len(resolve_positions(feature.position, positions)) for feature, activation in both)


def _next_tokens(
    replacement: ReplacementModel, effect: InterventionResult, count: int
) -> tuple[tuple[str, float, float], ...]:
    before_V, after_V = (seen.logits_V.softmax(0) for seen in (effect.before, effect.after))
    best = [token for p_V in (after_V, before_V) for token in p_V.topk(min(count, len(p_V))).indices.tolist()]
    tokens = list(dict.fromkeys(best))
    strings = token_strings(tokens, replacement.model.tokenizer)
    return tuple(zip(strings, before_V[tokens].tolist(), after_V[tokens].tolist(), strict=True))


def _plain(reading: SupernodeState) -> dict[str, Any]:
    supernode = reading.supernode
    return {
        "name": supernode.name,
        "features": [[layer, _position(position), feature] for layer, position, feature in supernode.features],
        "children": list(supernode.children),
        "set": reading.setting,
        "replaces": reading.replaces,
        "before": reading.before,
        "after": reading.after,
    }


def _position(position: int | slice) -> int | str:
    """Return a position as plain data, a slice in Python's notation: `3:`."""
    if isinstance(position, int):
        return position
    start, stop, step = ("" if n is None else str(n) for n in (position.start, position.stop, position.step))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


__getattr__ = renamed(__name__)
