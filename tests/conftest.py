"""Starts Ray once for all tests that need it, and skips tests that need a GPU where there is none.

`make test` runs two pytest processes at the same time. Whatever tests share lives in one process. The tests of a file
therefore stay together, and so do the files whose tests share that Ray.
"""

from __future__ import annotations

import logging
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
STARTED, SECONDS_FOR_TESTS = time.monotonic(), float(os.environ.get("SECONDS_FOR_TESTS", "inf"))
for _name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
    os.environ.setdefault(_name, "0")  # read when Ray is imported
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")  # as workers do; MKL reads it at this process's first matrix product


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU where there is none. With several processes, the tests that use Ray begin first."""
    needs_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if needs_gpu:
        import torch

        if not torch.cuda.is_available() and "GPU_TESTS_DEVICE" not in os.environ:
            for item in needs_gpu:
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))
    if "PYTEST_XDIST_WORKER" in os.environ:
        if math.isfinite(SECONDS_FOR_TESTS):
            _draw_lots(items, os.environ["PYTEST_XDIST_TESTRUNUID"])
        else:
            files = {item.path for item in items if item.get_closest_marker("ray")}
            items.sort(key=lambda item: (not _shares_ray(item.path), item.path not in files))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule the tests of a file one after another in one process, and likewise all tests that share a cluster."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ray" if _shares_ray(config.rootpath / file) else file

    return Together(config, log)


@cache
def _shares_ray(file: Path) -> bool:
    return "ray_cluster" in file.read_text("utf-8")


def _draw_lots(items: list[pytest.Item], seed: str) -> None:
    """Shuffle the files with a seed that differs between runs but not between the processes of one run.

    If time is limited, every file thus gets its turn in some run.
    """
    files = sorted({item.path for item in items})
    random.Random(seed).shuffle(files)
    items.sort(key=lambda item: files.index(item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with a message, tests that would begin after the time limit. A test that has begun may finish."""
    if time.monotonic() - STARTED > SECONDS_FOR_TESTS:
        pytest.skip(f"SECONDS_FOR_TESTS={SECONDS_FOR_TESTS:g} are over")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Start Ray with two CPUs; actors can import what tests can.

    The folder's name is short, because paths of sockets in it may have at most 107 characters.
    """
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium for the tests of one file. They are skipped where there is none, unless BROWSER_TESTS=required."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail("there is no Chromium, and BROWSER_TESTS=required")
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()
