"""Do interventions do to the model what edges say, one by one and many at once?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from frozen import FLAVOURS, FULL, TOKENS, Case
from rounding import apart, of_roundings, of_tiny_model
from torch import Tensor

from distributed_tracer.errors import InterventionError
from distributed_tracer.intervene.intervene import InterventionCase as Asked
from distributed_tracer.intervene.intervene import InterventionResult, intervene
from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.model.forward_cache import run_with_cache

STORED = of_roundings(torch.float32, 2)
"""Between one float64 value and another that is the same but for its last digits, both stored as float32, relative."""
SHORT = TOKENS[:6]


def off(*values: Tensor) -> float:
    """How far float64 round-off may take what is computed from `values`."""
    return of_tiny_model(*values, dtype=torch.float64)


def assert_same(found: Tensor, expected: Tensor, *of: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=off(expected, *of))


def effects(case: Case, asked: Sequence[Asked], **options: Any) -> list[InterventionResult]:
    return intervene(asked, case.model, case.transcoders, **options)


def turned_off(case: Case, number: int, times: float = 0.0) -> Intervention:
    """The `number`-th active feature, at its position."""
    of = case.features
    return Intervention(int(of.layer_A[number]), int(of.position_A[number]), int(of.feature_A[number]), times=times)


def some(case: Case, count: int = 8) -> list[int]:
    return list(range(0, len(case.features), max(1, len(case.features) // count)))


class Explained:
    """An observer: every active feature's pre-activation and every target's value, without biases, for each case."""

    def __init__(self, case: Case) -> None:
        self._case, self._found = case, list[Tensor]()

    def __call__(self, layer: int, x_BPD: Tensor) -> None:
        of = self._case
        if layer == of.transcoders.shape.num_layers:
            self._found.append(x_BPD[:, -1] @ of.directions.vector_KD.T)
            return
        here = of.features.layer_A == layer
        vectors, _ = of.transcoders.encoder_rows(layer, of.features.feature_A[here])
        self._found.append((x_BPD[:, of.features.position_A[here]] * vectors).sum(-1))

    @property
    def value_BN(self) -> Tensor:
        return torch.cat(self._found, dim=1)


@pytest.mark.parametrize(("architecture", "flavour"), FULL)
def test_where_nothing_reacts_changes_are_the_edges(
    architecture: str, flavour: str, case: Callable[[str, str], Case]
) -> None:
    of = case(architecture, flavour)
    rows, _ = of.all_rows()
    numbers = some(of)
    explained = Explained(of)
    asked = [Asked(TOKENS, ()), *(Asked(TOKENS, (turned_off(of, number),)) for number in numbers)]
    asked.append(Asked(TOKENS, tuple(turned_off(of, number, times=3.0) for number in numbers)))
    effects(of, asked, constrained_layers=range(of.transcoders.shape.num_layers), observe=explained)
    plain, *without, all_thrice = explained.value_BN
    assert_same(plain - torch.stack(without), rows[:, numbers].T, explained.value_BN)
    assert_same(all_thrice - plain, 2 * rows[:, numbers].sum(1), explained.value_BN)


@pytest.mark.parametrize(("architecture", "flavour"), FULL)
@pytest.mark.parametrize("freeze_attention", [True, False])
def test_many_at_once_are_each_alone(
    architecture: str, flavour: str, freeze_attention: bool, case: Callable[[str, str], Case]
) -> None:
    of = case(architecture, flavour)
    asked = [
        Asked(tokens, tuple(turned_off(of, number, times) for number in numbers if _is_within(of, number, tokens)))
        for tokens in (TOKENS, SHORT)
        for times, numbers in ((0.0, some(of)[:1]), (2.0, some(of)[1:4]), (-1.0, some(of)))
    ]
    together = effects(of, asked, freeze_attention=freeze_attention)
    assert sum(changes_logits(effect) for effect in together) >= 2
    for one, among in zip(asked, together, strict=True):
        (alone,) = effects(of, [one], freeze_attention=freeze_attention)
        assert_same(among.before.logits_V, alone.before.logits_V)
        assert_same(among.after.logits_V, alone.after.logits_V)


def changes_logits(effect: InterventionResult) -> bool:
    before_V, after_V = effect.before.logits_V, effect.after.logits_V
    return apart(before_V, after_V, off(before_V, after_V))


def _is_within(case: Case, number: int, tokens: Sequence[int]) -> bool:
    return int(case.features.position_A[number]) < len(tokens)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_set_to_what_it_is_changes_nothing(flavour: str, case: Callable[[str, str], Case]) -> None:
    of = case("llama", flavour)
    number = some(of)[2]
    layer, position, feature = (
        int(t[number]) for t in (of.features.layer_A, of.features.position_A, of.features.feature_A)
    )
    value = float(of.features.activation_A[number])
    asked = [
        Asked(TOKENS, (turned_off(of, number, times=1.0),)),
        Asked(TOKENS, (Intervention(layer, position, feature, value),)),
    ]
    for options in (
        {},
        {"freeze_attention": False},
        {"constrained_layers": range(3)},
        {"constrained_layers": range(1, 2)},
    ):
        for effect in effects(of, asked, **options):
            assert_same(effect.after.logits_V, effect.before.logits_V)


def test_where_all_reacts_it_is_the_library_s_model_with_a_vector_added(case: Callable[[str, str], Case]) -> None:
    of = case("llama", "plt-relu-skip")
    number = some(of)[1]
    layer, position = int(of.features.layer_A[number]), int(of.features.position_A[number])
    row = of.transcoders.decoder_rows(layer, of.features.feature_A[number : number + 1], layer)[0]

    def add(_module: Any, _args: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, position] += 1.5 * of.features.activation_A[number] * row
        return output

    handle = of.model.decoder_layers[layer].get_submodule("mlp").register_forward_hook(add)
    expected = run_with_cache(of.model, TOKENS, "mlp.hook_in", "mlp.hook_out").logits[len(TOKENS) - 1]
    handle.remove()
    (effect,) = effects(of, [Asked(TOKENS, (turned_off(of, number, times=2.5),))], freeze_attention=False)
    assert_same(effect.after.logits_V, expected)


def test_a_slice_is_each_of_its_positions_that_has_features(case: Callable[[str, str], Case]) -> None:
    of = case("llama", "clt-jumprelu-resid")
    open_slice = Asked(TOKENS, (Intervention(1, slice(None), 3, 2.0),))
    each = Asked(TOKENS, tuple(Intervention(1, p - len(TOKENS), 3, 2.0) for p in range(1, len(TOKENS))))
    first, second = effects(of, [open_slice, each])
    assert_same(first.after.logits_V, second.after.logits_V)
    assert changes_logits(first)


def test_within_a_range_a_feature_writes_to_the_layers_of_the_range(case: Callable[[str, str], Case]) -> None:
    of = case("llama", "clt-jumprelu-resid")
    at_the_end = (of.features.layer_A == 0) & (of.features.position_A == len(TOKENS) - 1)
    number = int(at_the_end.nonzero()[0])
    asked = Asked(TOKENS, (turned_off(of, number, times=-5.0),))
    for layers, is_written in ((range(2), False), (range(1, 2), True), (range(0), True), (range(3), True)):
        (effect,) = effects(of, [asked], constrained_layers=layers)
        silent = SilentAt(of.transcoders, 2)
        (without,) = intervene([asked], of.model, silent, constrained_layers=layers)  # type: ignore[arg-type]
        seen, other = effect.after.logits_V, without.after.logits_V
        assert apart(seen, other, off(seen, other)) is is_written, layers


class SilentAt:
    """Transcoders whose features do not write to one layer."""

    def __init__(self, transcoders: Any, layer: int) -> None:
        self._transcoders, self._layer = transcoders, layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transcoders, name)

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        rows_FD: Tensor = self._transcoders.decoder_rows(layer, features_F, output_layer)
        return rows_FD * (output_layer != self._layer)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_active_features_are_those_of_tracing_and_what_was_set_is_what_it_was_set_to(
    flavour: str, case: Callable[[str, str], Case]
) -> None:
    of = case("llama", flavour)
    number = some(of)[2]
    none, twice = turned_off(of, number), turned_off(of, number, times=2.0)
    fires = {int(f) for f in of.features.feature_A[(of.features.layer_A == 0) & (of.features.position_A == 2)]}
    dead = Intervention(0, 2, min(set(range(of.transcoders.shape.features_L[0])) - fires), 3.0)
    cases = [Asked(TOKENS, (none,)), Asked(SHORT, ()), Asked(TOKENS, (twice, dead))]
    first, short, last = effects(of, cases, with_active=True)
    expected, site = of.features.table(), (none.layer, int(none.position), none.feature)  # type: ignore[arg-type]
    for name in ("layer_A", "position_A", "feature_A"):
        np.testing.assert_array_equal(getattr(first.before.active, name), getattr(expected, name))
    assert first.before.active is not None
    assert first.after.active is not None
    assert last.after.active is not None
    assert short.after.active is not None
    np.testing.assert_allclose(first.before.active.activation_A, expected.activation_A, rtol=STORED)
    original = expected.activation(*site)
    assert original > 0
    assert first.after.active.activation(*site) == 0
    assert last.after.active.activation(*site) == pytest.approx(2 * original, rel=STORED)
    assert last.after.active.activation(0, 2, dead.feature) == 3
    assert first.after.active.activation(0, 2, dead.feature) == 0
    assert short.after.active.position_A.max() == len(SHORT) - 1
    within = expected.position_A < len(SHORT)
    np.testing.assert_allclose(short.after.active.activation_A, expected.activation_A[within], rtol=STORED)
    below = expected.layer_A < none.layer
    np.testing.assert_allclose(
        first.after.active.activation_A[first.after.active.layer_A < none.layer],
        expected.activation_A[below],
        rtol=STORED,
    )
    order = [getattr(last.after.active, name) for name in ("feature_A", "position_A", "layer_A")]
    assert (np.lexsort(order) == np.arange(len(last.after.active))).all()


@pytest.mark.parametrize(
    ("interventions", "says"),
    [
        ([Intervention(3, 1, 0, 1.0)], "no layer 3: the transcoders have 3"),
        ([Intervention(0, 1, 10**6, 1.0)], "no feature 1000000"),
        ([Intervention(0, 0, 0, 1.0)], "position 0 of a prompt of 10 tokens has no features; those from 1 to 9 have"),
        ([Intervention(0, -10, 0, 1.0)], "position -10 "),
        ([Intervention(0, 10, 0, 1.0)], "position 10 "),
        ([Intervention(0, 2, 0, 1.0), Intervention(0, slice(1, None), 0, times=0.0)], "set twice at position 2"),
    ],
)
def test_what_cannot_be_set_is_said_before_anything_runs(
    interventions: list[Intervention], says: str, case: Callable[[str, str], Case]
) -> None:
    with pytest.raises(InterventionError, match=says):
        effects(case("llama", "plt-relu-skip"), [Asked(TOKENS, tuple(interventions))])


@pytest.mark.parametrize("given", [{}, {"value": 1.0, "times": 1.0}, {"value": float("nan")}, {"times": float("inf")}])
def test_an_intervention_needs_one_finite_number(given: dict[str, float]) -> None:
    with pytest.raises(InterventionError, match=r"needs a finite value or a finite times|must be a finite number"):
        Intervention(0, 1, 2, **given)
