"""What prompts really take, from what was expected and what they took."""

from __future__ import annotations

from rounding import nearly

from distributed_tracer.runtime.telemetry.estimate import DurationModel


def after(*taken: tuple[float, float]) -> DurationModel:
    estimate = DurationModel()
    for expected, seconds in taken:
        estimate.observe(expected, seconds)
    return estimate


def test_before_anything_is_known_the_plan_is_believed() -> None:
    assert DurationModel().predict(3, 12.0) == 12.0


def test_one_prompt_tells_the_speed() -> None:
    assert after((2.0, 6.0)).predict(5, 4.0) == nearly(12.0, 2)


def test_several_tell_what_each_costs_beside_its_work() -> None:
    estimate = after((1.0, 2.5), (2.0, 4.5), (10.0, 20.5))  # half a second each, twice what is expected
    assert estimate.predict(4, 3.0) == nearly(8.0, 3, magnitude=20.5**2)  # from sums of squares


def test_neither_part_is_ever_negative() -> None:
    assert after((1.0, 1.0), (2.0, 4.0)).predict(10, 0.0) == 0.0, "work only"
    assert after((1.0, 4.0), (2.0, 2.0)).predict(2, 100.0) == nearly(6.0, 2), "the same for each"


def test_prompts_that_were_expected_to_take_no_time_have_a_mean() -> None:
    assert after((0.0, 1.0), (0.0, 3.0)).predict(2, 0.0) == nearly(4.0, 2)
