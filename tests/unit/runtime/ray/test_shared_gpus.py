"""Workers that share a GPU: what they may ask for, and the memory that each may take. Ray is not started here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs_of_cases import job, plain_rows

from distributed_tracer.config import JobConfig, ModelConfig, RunConfig
from distributed_tracer.errors import ConfigError
from distributed_tracer.runtime.ray import actors
from distributed_tracer.runtime.ray.actors import WorkerActor
from distributed_tracer.transcoder.shard import Shard


def config_of(tmp_path: Path, gpus: float, device_map: str = "auto", **options: Any) -> JobConfig:
    config = job(tmp_path, plain_rows(1), RunConfig(workers=2, gpus_per_worker=gpus, **options))
    return replace(config, model=ModelConfig(config.model.model, device_map=device_map))


@pytest.mark.parametrize(
    ("gpus", "device_map", "limits"),
    [(0.5, "auto", [0.5]), (0.25, "cuda", [0.25]), (0.5, "cpu", []), (0, "auto", []), (1, "auto", []), (2, "auto", [])],
)
def test_a_worker_with_a_share_of_a_gpu_is_limited_to_it_before_it_loads(
    gpus: float, device_map: str, limits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, at_load = list[float](), list[float]()

    def make_worker(*about: Any) -> object:
        at_load.extend(found)
        return object()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: found.append(share))
    monkeypatch.setattr(actors, "keep_worker_logs", lambda log_format: None)
    WorkerActor().load(make_worker, config_of(tmp_path, gpus, device_map), 1, Shard())
    assert at_load == found == limits


def test_more_than_one_gpu_is_a_whole_number_of_them() -> None:
    with pytest.raises(ConfigError, match=r"gpus_per_worker above 1 must be a whole number, not 1\.5"):
        RunConfig(gpus_per_worker=1.5)


@pytest.mark.parametrize(("gpus", "device_map"), [(0.5, "cuda:1"), (1, "cuda:1"), (2, "cuda:2")])
def test_a_device_that_a_worker_does_not_see_is_refused_with_what_it_sees(
    gpus: float, device_map: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"device_map is {device_map}.* gpus_per_worker is {gpus:g}; leave .* auto"):
        config_of(tmp_path, gpus, device_map)
    assert config_of(tmp_path, 4, device_map).model.device_map == device_map
    assert config_of(tmp_path, 0.5, "cuda:0").model.device_map == "cuda:0"
    assert job(tmp_path, plain_rows(1), RunConfig(local=True, gpus_per_worker=gpus)).run.local
