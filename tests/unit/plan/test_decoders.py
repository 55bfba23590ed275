"""Where decoders live: the rule by hand, what a plan makes of it, and what workers that share a machine count."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from jobs_of_cases import job

from distributed_tracer.config import JobConfig, RunConfig
from distributed_tracer.errors import ConfigError, PlanDoesNotFit
from distributed_tracer.plan import machine
from distributed_tracer.plan.cost import resident_bytes, transcoder_bytes
from distributed_tracer.plan.decoders import FreeMemory, decoder_place
from distributed_tracer.plan.machine import WorkerResources, most_workers_here
from distributed_tracer.plan.plan import Plan, make_plan
from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.prompt import Prompt
from distributed_tracer.report.plan import plan_text
from distributed_tracer.shapes import ModelShape, TranscoderShape

MODEL = ModelShape("llama", 4, 64, 4, 2, 16, 1000, 512, 1_000_000)
ENCODERS = 4 * (2**18 * 64 + 2**18 + 64)
PLT = TranscoderShape(
    "plt", 4, 64, (2**18,) * 4, "mlp.hook_in", "mlp.hook_out", "relu", False, ENCODERS + 4 * 2**18 * 64
)
CLT = replace(PLT, kind="clt", num_parameters=ENCODERS + 10 * 2**18 * 64)
GIB = 2**30
AUTO = RunConfig(gpus_per_worker=1)


@pytest.mark.parametrize("free_host", [0, 40 * GIB])
def test_decoders_that_just_fit_beside_everything_else_are_on_the_device(free_host: int) -> None:
    """4 + 3 + 2 GiB are nine tenths of 10."""
    assert decoder_place(4 * GIB, 3 * GIB, 2 * GIB, FreeMemory(10 * GIB, free_host)) == "device"
    for more in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        sizes = [size + one for size, one in zip((4 * GIB, 3 * GIB, 2 * GIB), more, strict=True)]
        assert decoder_place(*sizes, FreeMemory(10 * GIB, free_host)) == ("host" if free_host else "files")
    assert decoder_place(4 * GIB, 3 * GIB, 2 * GIB, FreeMemory(10 * GIB - 1, free_host)) != "device"


def test_decoders_beside_a_gpu_take_at_most_half_of_main_memory() -> None:
    assert decoder_place(4 * GIB, 0, 0, FreeMemory(GIB, 8 * GIB)) == "host"
    assert decoder_place(4 * GIB, 0, 0, FreeMemory(GIB, 8 * GIB - 1)) == "files"


def test_without_a_plan_more_than_half_of_the_device_stays_free() -> None:
    assert decoder_place(3 * GIB, GIB, None, FreeMemory(10 * GIB)) == "device"
    assert decoder_place(3 * GIB, GIB, None, FreeMemory(10 * GIB - 1)) == "files"
    assert decoder_place(3 * GIB, GIB, 0, FreeMemory(10 * GIB - 1)) == "device"


@pytest.mark.parametrize("prompt_bytes", [None, 0, 997])
def test_more_free_memory_never_moves_decoders_further_away(prompt_bytes: int | None) -> None:
    order = ("files", "host", "device")
    for host in (1, 800, 3000):
        places = [decoder_place(1000, 501, prompt_bytes, FreeMemory(free, host)) for free in range(5000)]
        assert all(order.index(less) <= order.index(more) for less, more in pairwise(places))
        assert {places[0], places[-1]} == {"host" if host == 3000 else "files", "device"}
    places = [decoder_place(1000, 501, prompt_bytes, FreeMemory(1000, host)) for host in range(1, 5000)]
    assert all(order.index(less) <= order.index(more) for less, more in pairwise(places))


@pytest.mark.parametrize("shape", [PLT, CLT])
@pytest.mark.parametrize("slices", [1, 3])
def test_decoders_are_counted_only_where_they_live(shape: TranscoderShape, slices: int) -> None:
    decoders, others = transcoder_bytes(shape, "float32", slices)
    layers_written = 10 if shape is CLT else 4
    assert decoders == -(-layers_written * 2**18 * 64 // slices) * 4
    assert others == 4 * (4 * 64 + -(-(ENCODERS - 4 * 64) // slices))
    assert resident_bytes(MODEL, shape, "float32", slices, "device") == (4_000_000, decoders + others)
    for place in ("host", "files"):
        assert resident_bytes(MODEL, shape, "float32", slices, place) == (4_000_000, others)  # type: ignore[arg-type]


def plan_on(
    folder: Path, worker: WorkerResources, run: RunConfig = AUTO, sets: TranscoderShape = PLT, longest: int = 30
) -> Plan:
    config: JobConfig = job(folder, [], run)
    prompts = [Prompt(f"p{length}", tokens=(1,) * length) for length in (5, longest)]
    return make_plan(PromptQueue(prompts), MODEL, sets, config, worker)


def gpu(free_bytes: int | None, host: int = 0, num_gpus: float = 1) -> WorkerResources:
    return WorkerResources(True, free_bytes, 1e13, free_host_bytes=host, num_gpus=num_gpus)


def needed(plan: Plan) -> int:
    """The least free memory with which decoders are on the device."""
    weights = sum(resident_bytes(MODEL, plan.transcoders, "float32", plan.config.run.slices))
    return -(-10 * (weights + plan.prompt_bytes) // 9)


@pytest.mark.parametrize("sets", [PLT, CLT])
@pytest.mark.parametrize("slices", [1, 2])
def test_a_plan_puts_decoders_where_they_fit_beside_model_and_costliest_prompt(
    sets: TranscoderShape, slices: int, tmp_path: Path
) -> None:
    run = replace(AUTO, workers=2, slices=slices)
    just = needed(plan_on(tmp_path, gpu(None), run, sets))
    for free, host, place in ((just, 0, "device"), (just - 1, 8 * GIB, "host"), (just - 1, 0, "files")):
        plan = plan_on(tmp_path, gpu(free, host), run, sets)
        assert plan.decoders == place
        on_device = transcoder_bytes(sets, "float32", slices)[0] if place == "device" else 0
        assert plan.weight_bytes[1] == transcoder_bytes(sets, "float32", slices)[1] + on_device
        assert plan.total()[0] == 2, "decoders take no room from a prompt"


def test_a_prompt_that_fits_nowhere_does_not_keep_decoders_off_the_device(tmp_path: Path) -> None:
    short, both = (plan_on(tmp_path, gpu(None), longest=longest) for longest in (30, 5000))
    free = needed(short)
    assert both.prompt_bytes > free
    plan = plan_on(tmp_path, gpu(free), longest=5000)
    assert [unit.prompt.id for unit in plan.fitting()] == ["p5"]
    assert plan.decoders == "device"


def test_decoders_are_on_one_of_several_gpus(tmp_path: Path) -> None:
    free = needed(plan_on(tmp_path, gpu(None)))
    assert plan_on(tmp_path, gpu(free, num_gpus=2)).decoders == "files"
    assert plan_on(tmp_path, gpu(2 * free, num_gpus=2)).decoders == "device"


@pytest.mark.parametrize(
    ("worker", "run", "expected"),
    [
        (gpu(GIB, 8 * GIB), AUTO, "MiB in main memory; rows of active features are copied to the GPU"),
        (gpu(9 * GIB, 8 * GIB), AUTO, "256.0 MiB on the GPU"),
        (gpu(GIB), AUTO, "in their files; rows of active features are copied to the GPU"),
        (WorkerResources(False, 9 * GIB, 1e10), RunConfig(), "256.0 MiB in memory"),
        (WorkerResources(False, GIB // 2, 1e10), RunConfig(), "in their files; rows of active features are read from"),
        (gpu(None), AUTO, "256.0 MiB; each worker decides where they live when it sees its memory (--decoders)"),
        (gpu(None), replace(AUTO, decoders="files"), "256.0 MiB in their files"),
        (gpu(9 * GIB), replace(AUTO, decoders="files"), "256.0 MiB in their files"),
        (gpu(9 * GIB), replace(AUTO, workers=2, slices=2), "128.0 MiB on the GPU on each of 2 workers"),
    ],
)
def test_a_plan_tells_where_decoders_will_live(
    worker: WorkerResources, run: RunConfig, expected: str, tmp_path: Path
) -> None:
    if worker.free_bytes == GIB:
        worker = replace(worker, free_bytes=needed(plan_on(tmp_path, gpu(None))) - 1)
    text = plan_text(plan_on(tmp_path, worker, run))
    (line,) = [line for line in text.splitlines() if line.startswith("decoders")]
    assert expected in line


def test_decoders_on_the_device_by_order_may_leave_no_room_and_the_remedy_is_named(tmp_path: Path) -> None:
    run = replace(AUTO, decoders="device")
    weights = sum(resident_bytes(MODEL, PLT, "float32"))
    plan_on(tmp_path, gpu(weights), run).check_fits()
    with pytest.raises(PlanDoesNotFit, match="--decoders auto, or --slices"):
        plan_on(tmp_path, gpu(weights - 1), run).check_fits()
    plan_on(tmp_path, gpu(weights - 1)).check_fits()


def test_decoders_in_main_memory_by_order_must_fit_there(tmp_path: Path) -> None:
    run, size = replace(AUTO, decoders="host"), 2**28
    plan_on(tmp_path, gpu(9 * GIB, size), run).check_fits()
    with pytest.raises(PlanDoesNotFit, match=r"need 256\.0 MiB of main memory .* Try --decoders auto or files"):
        plan_on(tmp_path, gpu(9 * GIB, size - 1), run).check_fits()


def test_a_worker_on_a_cpu_has_no_host_beside_it(tmp_path: Path) -> None:
    config = job(tmp_path, [], RunConfig(local=True, decoders="host"))
    with pytest.raises(ConfigError, match="only beside a GPU"):
        replace(config, model=replace(config.model, device_map="cpu"))
    with pytest.raises(ConfigError, match="or --gpus-per-worker"):
        job(tmp_path, [], RunConfig(decoders="host"))


def test_where_decoders_live_is_not_part_of_what_a_store_holds(tmp_path: Path) -> None:
    identities = [
        job(tmp_path, [], RunConfig(local=True, decoders=place)).identity()  # type: ignore[arg-type]
        for place in ("auto", "device", "host", "files")
    ]
    assert all(identity == identities[0] for identity in identities)


def test_workers_of_one_machine_do_not_count_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "num_cores", lambda: 32)
    monkeypatch.setattr(machine, "ask_gpus", lambda *names: [["0"], ["1"]])
    cluster = RunConfig(ray_address="auto", workers=100, threads=4)
    cases = (
        (RunConfig(local=True, workers=8), 1),
        (RunConfig(workers=8, threads=16), 8),  # Ray is started on this machine, with as many CPUs as they need
        (cluster, 8),
        (replace(cluster, workers=3), 3),
        (replace(cluster, threads=64), 1),
        (replace(cluster, gpus_per_worker=1), 2),
        (replace(cluster, gpus_per_worker=0.5), 4),
        (replace(cluster, gpus_per_worker=4), 1),
    )
    for run, num_workers in cases:
        assert most_workers_here(run) == num_workers
    assert FreeMemory(80).share_of_worker(cluster) == FreeMemory(10)
    sharing = replace(cluster, gpus_per_worker=0.5)
    assert FreeMemory(80, 100).share_of_worker(sharing) == FreeMemory(40, 25)
    assert FreeMemory(80, 100).share_of_worker(replace(cluster, gpus_per_worker=2)) == FreeMemory(80, 100)
