"""Ray is started once for all tests that need it; what needs a GPU is left out where there is none."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
for _name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
    os.environ.setdefault(_name, "0")  # read when Ray is imported
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")  # as workers do; read at this process's first matrix product


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a GPU is skipped where there is none, and says so."""
    import torch

    if not torch.cuda.is_available() and "GPU_TESTS_DEVICE" not in os.environ:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Two CPUs; actors can import what tests can. The folder's name is short: sockets in it may have 107 characters."""
    import ray

    directory = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=directory,
        )
    yield
    ray.shutdown()
    shutil.rmtree(directory, ignore_errors=True)
