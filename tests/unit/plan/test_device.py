"""What kind of device workers compute on, as far as this machine knows."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows

from distributed_tracer.config import RunConfig
from distributed_tracer.plan.machine import cpu_here, worker_resources
from distributed_tracer.plan.processor import Processor


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a driver of two GPUs on the path."""
    driver = folder / "nvidia-smi"
    driver.write_text(
        "#!/bin/sh\ncase $1 in *compute_cap*) printf 'NVIDIA H200, 9.0\\nTesla T4, 7.5\\n';; "
        "*) printf '1000\\n3000\\n';; esac\n"
    )
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_the_kind_of_gpus_is_asked_of_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    per_worker = worker_resources(job(tmp_path, plain_rows(1), RunConfig(gpus_per_worker=2)))
    assert per_worker.processor == Processor("Tesla T4", capability=(7, 5)), "the older of two"
    assert worker_resources(job(tmp_path, plain_rows(1), RunConfig(local=True))).device == "cuda"


@pytest.mark.parametrize(("setting", "device"), [("", "cpu"), ("-1", "cpu"), ("0", "cuda")])
def test_a_process_that_may_see_no_gpu_works_on_the_cpu(
    setting: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert worker_resources(job(tmp_path, plain_rows(1), RunConfig(local=True))).device == device


def test_a_model_that_is_placed_on_the_cpu_is_planned_there(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(1), RunConfig(gpus_per_worker=1))
    machine = worker_resources(replace(config, model=replace(config.model, device_map="cpu")))
    assert machine.device == "cpu"
    assert machine.free_bytes is not None
    assert machine.processor == cpu_here()


def test_the_processor_of_a_remote_cluster_is_not_known(tmp_path: Path) -> None:
    assert worker_resources(job(tmp_path, plain_rows(1), RunConfig(ray_address="auto"))).processor is None
