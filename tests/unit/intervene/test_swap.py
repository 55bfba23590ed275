from __future__ import annotations

from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.intervene.supernode import Feature, Supernode
from distributed_tracer.intervene.swap import resolve_positions, swap

POSITIONS = range(1, 10)  # of a prompt of ten tokens whose first has no features
ON = Supernode("California", (Feature(1, 9, 5), Feature(2, 9, 6)), activations=(2.0, 3.0))


def test_one_is_turned_on_and_the_other_off() -> None:
    off = Supernode("Texas", (Feature(1, 8, 5), Feature(1, 9, 7)), activations=(4.0, 5.0))
    found = swap(ON, off, POSITIONS, times=1.5, times_off=-1.0)
    on = (Intervention(1, 9, 5, value=3.0), Intervention(2, 9, 6, value=4.5))
    assert found == (*on, Intervention(1, 8, 5, value=-4.0), Intervention(1, 9, 7, value=-5.0))


def test_what_both_have_is_on_however_its_position_is_written() -> None:
    features = (Feature(1, -1, 5), Feature(1, slice(7, None), 5), Feature(2, slice(2, 4), 6), Feature(2, 9, 6))
    measured = Supernode("Texas", features, activations=(4.0, 5.0, 6.0, 7.0))
    on = ON.times(1.0)
    off = [(1, 7, 5, 10.0), (1, 8, 5, 10.0), (2, slice(2, 4), 6, 12.0)]
    expected = tuple(Intervention(layer, place, feature, value=value) for layer, place, feature, value in off)
    assert swap(ON, measured, POSITIONS, times_off=2.0) == on + expected
    unmeasured = tuple(Intervention(layer, place, feature, times=0.0) for layer, place, feature, _ in off)
    assert swap(ON, Supernode("Texas", features), POSITIONS) == on + unmeasured


def test_places_are_those_that_have_features() -> None:
    assert resolve_positions(slice(None, 3), POSITIONS) == [1, 2]
    assert resolve_positions(slice(-2, None), POSITIONS) == [8, 9]
    assert resolve_positions(-1, POSITIONS) == resolve_positions(9, POSITIONS) == [9]
