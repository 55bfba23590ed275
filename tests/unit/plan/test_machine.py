"""What a worker has to itself."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows

from distributed_tracer.config import RunConfig
from distributed_tracer.plan.machine import CPU_FLOPS, GPU_FLOPS, free_cpu_bytes, num_cores, worker_resources


def test_free_memory_is_something_and_less_than_there_is() -> None:
    assert 2**20 < free_cpu_bytes() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= num_cores() <= (os.cpu_count() or 1)


def test_workers_share_the_memory_of_this_machine(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(1), RunConfig(workers=4, threads=3))
    config = replace(config, model=replace(config.model, device_map="cpu"))
    machine = worker_resources(config)
    assert not machine.on_gpu
    assert machine.operations_per_second == 3 * CPU_FLOPS
    assert machine.free_bytes == pytest.approx(free_cpu_bytes() / 4, rel=0.2)  # others take and give back meanwhile


def test_memory_of_a_remote_cluster_is_not_known(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(1), RunConfig(ray_address="auto", gpus_per_worker=2))
    machine = worker_resources(config)
    assert (machine.on_gpu, machine.free_bytes, machine.operations_per_second) == (True, None, 2 * GPU_FLOPS)


def test_free_memory_of_gpus_is_asked_of_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nprintf '1000\\n3000\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    per_worker = worker_resources(job(tmp_path, plain_rows(1), RunConfig(gpus_per_worker=2)))
    assert per_worker.free_bytes == 2000 * 2**20, "of two GPUs, each as full as the fullest"
    assert per_worker.num_gpus == 2
    two = worker_resources(job(tmp_path, plain_rows(1), RunConfig(workers=2, gpus_per_worker=0.5)))
    assert two.free_bytes == 500 * 2**20
    assert two.free_host_bytes == pytest.approx(free_cpu_bytes() / 2, rel=0.2)
    assert (two.on_gpu, two.operations_per_second) == (True, GPU_FLOPS / 2)
    assert worker_resources(job(tmp_path, plain_rows(1), RunConfig(local=True))).on_gpu
