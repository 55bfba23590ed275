"""A run that started Ray by itself: a signal to all its processes, who reaches it, what its workers import."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from jobs_of_cases import CASE, LOCAL, job, plain_rows

from distributed_tracer.config import JobConfig
from distributed_tracer.pipeline import run_job
from distributed_tracer.report.status import status_of
from distributed_tracer.store.reader import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
NUM_PROMPTS = 80
WORKERS = 2


def processes_of(session: int) -> list[psutil.Process]:
    """Those of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def with_workers(processes: list[psutil.Process]) -> list[psutil.Process]:
    """All of them, once the workers are among them."""
    names = [" ".join(process.cmdline()) for process in processes if process.is_running()]
    return processes if sum("WorkerActor" in name for name in names) == WORKERS else []


def wait_for(run: subprocess.Popen[str], found: Callable[[], list[Any]]) -> list[Any]:
    """Until there is something, while the run goes on."""
    deadline = time.monotonic() + 120
    while not (there := found()):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return there


def listening(process: psutil.Process) -> set[str]:
    """Addresses, IPv4 in its own form."""
    return {
        str(one.laddr.ip).removeprefix("::ffff:")
        for one in process.net_connections(kind="inet")
        if one.status == psutil.CONN_LISTEN
    }


@contextmanager
def run_of(config: JobConfig, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command line in a session of its own, which leaves no process behind."""
    trace, ray_folder = config.trace, f"/tmp/t{os.getpid()}"
    command = f"""trace --model {CASE / "model"} --transcoders {CASE / "transcoders"} --store {config.store.store}
        --prompts {config.corpus.prompts} --max-feature-nodes {trace.max_feature_nodes} --round-size {trace.round_size}
        --sweep-rows {trace.sweep_rows} --workers {WORKERS} --threads 1 --part-prompts 4 --no-progress""".split()
    Path(ray_folder).mkdir()
    run = subprocess.Popen(
        [sys.executable, "-m", "distributed_tracer", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": ray_folder},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield run
        assert processes_of(run.pid) == []
    finally:
        for process in processes_of(run.pid):
            process.kill()
        run.communicate()
        shutil.rmtree(ray_folder)


def end_all(run: subprocess.Popen[str]) -> tuple[str, str]:
    """What is printed when all its processes get SIGTERM, as from systemd and Slurm."""
    everyone = processes_of(run.pid)
    os.killpg(run.pid, signal.SIGTERM)
    for process in everyone:  # workers have groups of their own
        if process.pid != run.pid and process.is_running():
            process.send_signal(signal.SIGTERM)
    return run.communicate(timeout=60)


def test_a_signal_to_all_processes_lets_workers_finish_and_nobody_else_reaches_them(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(NUM_PROMPTS), LOCAL)
    data, store = tmp_path / "data", tmp_path / "store"
    data.mkdir()
    (data / "scipy.py").write_text("open('imported', 'w').close()\n")
    with run_of(config, data) as run:  # where Ray would let workers import from, and Python the driver
        everyone = wait_for(run, lambda: with_workers(processes_of(run.pid)))
        assert {address for process in everyone for address in listening(process)} == {"127.0.0.1"}
        (private,) = Path(f"/tmp/t{os.getpid()}").iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        wait_for(run, lambda: list(store.glob("commits/*")))
        printed, errors = end_all(run)
        assert (run.returncode, errors.count("stopping: writing what is under way")) == (130, 1), errors
        assert "run the same command again to go on" in printed
        assert ", 0 failed" in printed
        assert "tried again" not in printed
    assert not (data / "imported").exists()
    begun = len(open_store(str(store)))
    assert 4 <= begun < NUM_PROMPTS
    run_job(config)
    reference = replace(config, store=replace(config.store, store=str(tmp_path / "reference")))
    run_job(reference)
    assert open_store(str(store)).digest() == open_store(reference.store.store).digest()


@pytest.mark.parametrize("process", ["gcs_server", pytest.param("WorkerActor", marks=pytest.mark.thorough)])
def test_a_signal_while_ray_or_a_worker_starts_ends_the_run_at_once(process: str, tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(NUM_PROMPTS), LOCAL)
    with run_of(config, tmp_path) as run:
        wait_for(run, lambda: [one for one in processes_of(run.pid) if process in " ".join(one.cmdline())])
        printed, errors = end_all(run)
    assert run.returncode == 130, errors
    assert f"stopped with {NUM_PROMPTS} prompts left: run the same command again to go on" in printed
    assert status_of(config.store.store)["run"]["end"]["reason"] == "SIGTERM"
