"""Precisions that a processor lacks are said before a run, and those that would be faster."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributed_tracer.config import ModelConfig, Precision, SweepPrecision, TraceConfig
from distributed_tracer.plan.machine import WorkerResources, cpu_here
from distributed_tracer.plan.precision import Note, bfloat16_advice, precision_notes
from distributed_tracer.plan.processor import Processor, cpu_of, gpu_of

AVX2 = "fpu sse2 avx fma avx2"
AVX512 = f"{AVX2} avx512f avx512dq avx512bw avx512vl"
ZEN3 = f"processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t\t: {AVX2}\nbugs\t\t: amx_bf16_erratum\n"
SKYLAKE = f"model name : Xeon 8168\nflags : {AVX512}\n"
ZEN4 = f"model name : AMD EPYC 9654\nflags : {AVX512} avx512_bf16\n"
RAPIDS = f"model name : Xeon 8592+\nflags : {AVX512} avx512_bf16 avx512_fp16 amx_bf16 amx_tile\n"
LAKE = f"model name : Core Ultra\nflags : {AVX2} avx_ne_convert\n"
GRAVITON2 = "processor : 0\nFeatures : fp asimd fphp asimdhp\nCPU implementer : 0x41\n"
GRAVITON3 = "processor : 0\nFeatures : fp asimd fphp asimdhp sve bf16\n"
V100, H200 = Processor("Tesla V100", capability=(7, 0)), Processor("NVIDIA H200", capability=(9, 0))


def notes(
    processor: Processor | None, forward: Precision, sweep: SweepPrecision, on_gpu: bool | None = None
) -> list[Note]:
    on_gpu = processor is not None and processor.capability is not None if on_gpu is None else on_gpu
    machine = WorkerResources(on_gpu, None, 1e9, processor=processor)
    return list(precision_notes(ModelConfig("m", forward), TraceConfig(sweep_dtype=sweep), machine))


@pytest.mark.parametrize(
    ("cpuinfo", "lack"),
    [
        (
            ZEN3,
            "AMD EPYC 7763 has none of the instructions amx_bf16, avx512_bf16, so that a graph takes about 20",
        ),
        (SKYLAKE, "Xeon 8168 has none of the instructions amx_bf16, avx512_bf16, so that a graph takes about 2 times"),
        (LAKE, "Core Ultra has only avx_ne_convert instructions, which convert bfloat16 to float32, so that it is not"),
        (
            GRAVITON2,
            "this CPU has no bf16 instructions, so that it is slower than float32 (by how much was not measured)",
        ),
    ],
)
def test_a_bfloat16_sweep_on_a_cpu_without_the_instructions_is_warned_of(cpuinfo: str, lack: str) -> None:
    (note,) = notes(cpu_of(cpuinfo), "float32", "bfloat16")
    assert note.severity == "warning"
    assert note.text.startswith(f"--sweep-dtype bfloat16: {lack}")
    assert note.text.endswith("Use --sweep-dtype float32.")


@pytest.mark.parametrize("cpuinfo", [ZEN4, RAPIDS, GRAVITON3])
def test_a_cpu_with_the_instructions_is_no_reason_for_a_warning_and_one_for_a_hint(cpuinfo: str) -> None:
    assert notes(cpu_of(cpuinfo), "float32", "bfloat16") == []
    (hint,) = notes(cpu_of(cpuinfo), "float32", "float32")
    assert hint.severity == "hint"
    assert "--sweep-dtype bfloat16, for a new store, took 0.55 to 0.75 of the time" in hint.text


@pytest.mark.parametrize("cpuinfo", [ZEN3, SKYLAKE, GRAVITON2, LAKE])
def test_nothing_is_said_of_float32_where_it_is_the_fastest(cpuinfo: str) -> None:
    assert notes(cpu_of(cpuinfo), "float32", "float32") == []


@pytest.mark.parametrize(
    ("cpuinfo", "forward", "times"),
    [(ZEN4, "float16", "4"), (RAPIDS, "float16", None), (SKYLAKE, "bfloat16", "2"), (ZEN3, "bfloat16", "4")],
)
def test_a_slow_forward_pass_is_warned_of(cpuinfo: str, forward: Precision, times: str | None) -> None:
    found = [note for note in notes(cpu_of(cpuinfo), forward, "float32") if note.severity == "warning"]
    assert [f"a forward pass takes about {times} times as long" in note.text for note in found] == [True] * bool(times)
    assert all(note.text.endswith("Use --forward-dtype float32.") for note in found)


def test_tf32_does_nothing_on_a_cpu_whether_it_is_known_or_not() -> None:
    for processor in (cpu_of(RAPIDS), None):
        (note,) = notes(processor, "float32", "tf32")
        assert note.severity == "warning"
        assert "has no TensorFloat-32 and computes in float32, so that it is not faster than float32" in note.text


def test_gpus_older_than_compute_capability_8_lack_both_precisions() -> None:
    (tf32,), (bfloat16,) = notes(V100, "float32", "tf32"), notes(V100, "float32", "bfloat16")
    assert "Tesla V100 has compute capability 7.0, and tf32 needs 8.0, so that it is not faster" in tf32.text
    assert "Tesla V100 has compute capability 7.0, and bfloat16 needs 8.0, so that it is slower" in bfloat16.text
    assert notes(V100, "float16", "float32") == []
    assert notes(H200, "float32", "tf32") == notes(H200, "bfloat16", "bfloat16") == []
    (hint,) = notes(H200, "float32", "float32")
    assert hint.text.startswith("NVIDIA H200 has compute capability 9.0: --sweep-dtype bfloat16")


def test_of_processors_elsewhere_it_is_said_that_they_are_not_known() -> None:
    for on_gpu in (False, True):
        (note,) = notes(None, "float32", "bfloat16", on_gpu)
        assert note.severity == "hint"
        assert "it is not known here whether the workers' processors are faster with it" in note.text
        assert notes(None, "float32", "float32", on_gpu) == []
        assert notes(None, "float64", "float64", on_gpu) == []


def test_only_what_all_cores_have_counts() -> None:
    cpu = cpu_of(f"flags : {AVX512} avx512_bf16\n\nflags : {AVX512}\n")
    assert cpu is not None
    assert "avx512_bf16" not in cpu.flags
    assert "avx512bw" in cpu.flags


def test_of_several_gpus_the_oldest_counts() -> None:
    assert gpu_of([["NVIDIA H200", "9.0"], ["Tesla V100", "7.0"], ["GPU", "[N/A]"]]) == V100
    assert gpu_of([["GPU", "[N/A]"]]) is None
    assert gpu_of([]) is None


def test_a_machine_that_does_not_describe_its_cpu_is_not_known(tmp_path: Path) -> None:
    assert cpu_here(tmp_path / "cpuinfo") is None
    (tmp_path / "cpuinfo").write_bytes(b"processor : 0\n\xff\xfe no colon\n")
    assert cpu_here(tmp_path / "cpuinfo") is None
    (tmp_path / "cpuinfo").write_text(ZEN4)
    assert cpu_here(tmp_path / "cpuinfo") == cpu_of(ZEN4)


@pytest.mark.parametrize(("cpuinfo", "advice"), [(ZEN3, "use --sweep-dtype float32"), (RAPIDS, "0.55 to 0.75")])
def test_a_node_gets_one_sentence(cpuinfo: str, advice: str) -> None:
    cpu = cpu_of(cpuinfo)
    assert cpu is not None
    assert advice in bfloat16_advice(cpu)
