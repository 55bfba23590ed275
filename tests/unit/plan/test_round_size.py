"""The features of a round: a default of the device, unless the configuration or the store has a number."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.errors import ConfigError
from distributed_tracer.plan.machine import WorkerResources
from distributed_tracer.plan.plan import Plan, make_plan
from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.prompt import Prompt
from distributed_tracer.report.plan import plan_text
from distributed_tracer.shapes import ModelShape, TranscoderShape

MODEL = ModelShape("llama", 4, 64, 4, 2, 16, 1000, 512, 1_000_000)
SETS = TranscoderShape("plt", 4, 64, (256,) * 4, "mlp.hook_in", "mlp.hook_out", "relu", False, 132_000)
CPU, GPU = (WorkerResources(on_gpu, None, 1e9) for on_gpu in (False, True))


def planned(
    machine: WorkerResources,
    round_size: int | Literal["auto"] = "auto",
    recorded: dict[str, Any] | None = None,
    max_feature_nodes: int | None = 4096,
) -> Plan:
    config = JobConfig(
        ModelConfig("m"),
        TranscoderConfig("t"),
        CorpusConfig("p"),
        StoreConfig("s"),
        TraceConfig(max_feature_nodes, round_size),
    )
    return make_plan(PromptQueue([Prompt("p", tokens=(1,) * 200)]), MODEL, SETS, config, machine, recorded)


def identity(round_size: object) -> dict[str, Any]:
    return {"model": "m", "trace": {"round_size": round_size}}


@pytest.mark.parametrize(
    ("machine", "given", "recorded", "number", "origin"),
    [
        (CPU, "auto", None, 256, "device"),
        (GPU, "auto", None, 1024, "device"),
        (GPU, "auto", identity(256), 256, "store"),
        (CPU, "auto", identity(1024), 1024, "store"),
        (CPU, "auto", identity(16), 16, "store"),
        (GPU, 512, None, 512, "given"),
        (GPU, 512, identity(256), 512, "given"),  # the store refuses it
    ],
)
def test_the_round_size_is_the_given_one_or_the_stores_or_the_devices(
    machine: WorkerResources, given: int | Literal["auto"], recorded: dict[str, Any] | None, number: int, origin: str
) -> None:
    plan = planned(machine, given, recorded)
    assert (plan.config.trace.round_size, plan.round_size_origin) == (number, origin)
    assert plan.config.identity()["trace"]["round_size"] == number
    (line,) = (line for line in plan_text(plan).splitlines() if line.startswith("rounds "))
    assert f" {number:,} features, " in line
    assert {"given": "as configured", "store": "the store", "device": "--round-size"}[origin] in line


@pytest.mark.parametrize(
    ("budget", "number"), [(8, 256), (1024, 256), (1025, 257), (2048, 512), (4090, 1023), (7500, 1024), (None, 1024)]
)
def test_a_gpus_rounds_choose_features_four_times_at_least(budget: int | None, number: int) -> None:
    assert planned(GPU, max_feature_nodes=budget).config.trace.round_size == number
    assert planned(CPU, max_feature_nodes=budget).config.trace.round_size == 256


@pytest.mark.parametrize("unusable", [identity(True), identity(0), identity("64"), identity("auto"), {}, {"trace": 3}])
def test_a_store_without_a_usable_round_size_does_not_decide_it(unusable: dict[str, Any]) -> None:
    plan = planned(GPU, recorded=unusable)
    assert (plan.config.trace.round_size, plan.round_size_origin) == (1024, "device")


def test_a_configuration_whose_round_size_depends_on_the_device_has_no_identity() -> None:
    config = JobConfig(ModelConfig("m"), TranscoderConfig("t"), CorpusConfig("p"), StoreConfig("s"))
    with pytest.raises(ConfigError, match="round_size is auto: a plan turns it into a number"):
        config.identity()


def test_larger_rounds_rank_fewer_times() -> None:
    operations = {
        size: planned(CPU, size, max_feature_nodes=2048).costs[200].num_operations for size in (256, 512, 1024)
    }
    assert operations[256] - operations[512] == 2 * (operations[512] - operations[1024])
    assert operations[512] > operations[1024]


@pytest.mark.parametrize("size", [0, -1])
def test_a_round_of_no_features_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"round_size must be auto or at least 1, not {size}"):
        TraceConfig(round_size=size)
