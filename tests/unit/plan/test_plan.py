"""From prompts and sizes to work units, and what will not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import job

from distributed_tracer.config import JobConfig, RunConfig
from distributed_tracer.errors import PlanDoesNotFit
from distributed_tracer.plan.machine import WorkerResources
from distributed_tracer.plan.plan import Plan, make_plan
from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.prompt import Prompt
from distributed_tracer.report.plan import plan_text
from distributed_tracer.shapes import ModelShape, TranscoderShape

MODEL = ModelShape("llama", 4, 64, 4, 2, 16, 1000, 512, 1_000_000)
SETS = TranscoderShape("plt", 4, 64, (256,) * 4, "mlp.hook_in", "mlp.hook_out", "relu", False, 132_000)
PROMPTS = [Prompt(f"p{length}", tokens=(1,) * length) for length in (5, 200, 12, 30)]
WEIGHTS = 4 * (1_132_000 - 4 * 256 * 64)
"""Bytes of all weights but the decoders, which stay in their files where memory is scarce."""


@pytest.fixture
def config(tmp_path: Path) -> JobConfig:
    return job(tmp_path, [], RunConfig(workers=2))


def plan_with(config: JobConfig, free_bytes: int | None, prompts: list[Prompt] = PROMPTS) -> Plan:
    return make_plan(PromptQueue(prompts), MODEL, SETS, config, WorkerResources(False, free_bytes, 1e9))


def test_units_come_longest_first_with_bytes_and_seconds(config: JobConfig) -> None:
    plan = plan_with(config, None)
    units, costs = list(plan.units()), plan.costs.values()
    assert [unit.prompt.id for unit in units] == ["p200", "p30", "p12", "p5"]
    assert all(unit.expected_bytes == cost.bytes.total for unit, cost in zip(units, costs, strict=True))
    assert all(unit.expected_seconds == cost.num_operations / 1e9 for unit, cost in zip(units, costs, strict=True))
    assert plan.total() == (4, sum(unit.expected_seconds for unit in units))


def test_prompts_that_are_done_leave_the_plan(config: JobConfig) -> None:
    plan = plan_with(config, None)
    plan.prompts.mark_done([("p200", ""), ("p12", ""), ("another", "")])
    assert [unit.prompt.id for unit in plan.units()] == ["p30", "p5"]
    assert [plan.costs[length].num_tokens for length in plan.prompts.lengths()] == [30, 5]
    assert plan.total()[0] == 2


def test_weights_that_do_not_fit_are_an_error_with_both_sizes_and_a_remedy(config: JobConfig) -> None:
    plan_with(config, WEIGHTS).check_fits()
    plan_with(config, None).check_fits()
    with pytest.raises(PlanDoesNotFit, match=r"4\.1 MiB on each worker .* 4\.1 MiB are free. Try fewer --workers"):
        plan_with(config, WEIGHTS - 1).check_fits()


def test_prompts_that_do_not_fit_are_set_apart_with_a_reason(config: JobConfig) -> None:
    everything = plan_with(config, None)
    needed = everything.resident_bytes + list(everything.units())[1].expected_bytes
    plan = plan_with(config, needed)
    assert [unit.prompt.id for unit in plan.fitting()] == ["p30", "p12", "p5"]
    assert plan.total()[0] == 3
    rest = list(plan.too_large())
    assert [unit.prompt.id for unit, _ in rest] == ["p200"]
    assert "200 tokens need" in rest[0][1]
    assert "are free" in rest[0][1]
    assert "Try --" in rest[0][1]
    assert len(list(everything.fitting())) == 4, "where memory is not known, everything is tried"


def test_more_active_features_take_more(config: JobConfig) -> None:
    dense = replace(config, run=replace(config.run, expected_active=500))
    assert plan_with(dense, None).total()[1] > plan_with(config, None).total()[1]


def test_the_former_method_still_gives_the_text_and_names_its_successor(config: JobConfig) -> None:
    plan = plan_with(config, None)
    with pytest.warns(DeprecationWarning, match=r"distributed_tracer\.report\.plan\.plan_text"):
        assert plan.describe() == plan_text(plan)


def test_a_plan_tells_sizes_assumptions_largest_prompts_and_total(config: JobConfig) -> None:
    text = plan_text(plan_with(config, 10**9))
    for piece in (
        "4 layers x 64, 1.0 M parameters in float32: 3.8 MiB",
        "1,024 features",
        "4; tokens min 5, median 21, max 200",
        "64 active features per token and layer (--expected-active)",
        "953.7 MiB free",
        "on 2 workers",
    ):
        assert piece in text
    table = text[text.index("largest") :].splitlines()
    assert [line.split()[0] for line in table[1:5]] == ["'p200'", "'p30'", "'p12'", "'p5'"]
    assert "do not fit" not in text


def test_a_plan_tells_what_will_not_fit(config: JobConfig) -> None:
    assert "do not fit   4 prompts" in plan_text(plan_with(config, WEIGHTS))
    assert "does not fit: the weights need" in plan_text(plan_with(config, 10))


def test_ids_cannot_steer_the_terminal(config: JobConfig) -> None:
    text = plan_text(plan_with(config, WEIGHTS, [Prompt("\x1b[31mred", tokens=(1,) * 50)]))
    assert "\x1b" not in text


def test_nothing_to_do_is_said(config: JobConfig) -> None:
    assert plan_text(plan_with(config, None, [])) == "nothing to do"
