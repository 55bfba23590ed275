"""cluster/slurm.sbatch when Slurm ends a job; Slurm's programs and Ray are stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from killing import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Slurm runs on Linux")

ADDRESS = "127.53.7.1"  # a loopback address where nothing else is
RAY = f"""#!{sys.executable}
import os, signal, socket, sys
assert sys.argv[1:3] == ["start", "--head"]
if os.path.exists("broken"):
    sys.exit("no Ray today")
signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ray was ended by a signal"))  # as Ray does
listening = socket.create_server(({ADDRESS!r}, 6379))
while os.fork() == 0:
    while True:
        listening.accept()
"""
DRIVER = f"""
import os, signal, socket, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
open("ready", "w").close()
while not asked:
    time.sleep(0.01)
time.sleep(0.5)
socket.create_connection(({ADDRESS!r}, 6379)).close()
assert os.environ["RAY_ADDRESS"] == "{ADDRESS}:6379"
print("drained with Ray", flush=True)
sys.exit(130)
"""
PROGRAMS = {
    "hostname": f"#!/bin/sh\necho {ADDRESS} 10.0.0.1\n",
    # what is after its options, with the first node's number
    "srun": '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nSLURM_NODEID=0 exec "$@"\n',
    "ray": RAY,
}


def processes_of(number: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SLURM_JOB_ID") == number and process.status() != psutil.STATUS_ZOMBIE:
                yield process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A shared folder with an environment and a job file."""
    programs = tmp_path / "environment" / "bin"
    programs.mkdir(parents=True)
    for name, text in PROGRAMS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    (programs / "activate").write_text(f"PATH={programs}:$PATH\n")
    (tmp_path / "job.py").write_text(DRIVER)
    return tmp_path


@contextmanager
def batch_job(folder: Path, number: str) -> Iterator[subprocess.Popen[str]]:
    """A job of one node, as Slurm starts it."""
    batch = subprocess.Popen(
        ["bash", str(ROOT / "cluster/slurm.sbatch"), "job.py", "environment"],
        cwd=folder,
        env={**os.environ, "SLURM_JOB_ID": number},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield batch
        deadline = time.monotonic() + 30
        while left := [*processes_of(number), *Path("/tmp").glob(f"tracer-{number}")]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
    finally:
        for process in processes_of(number):
            process.kill()
        batch.communicate()
        shutil.rmtree(f"/tmp/tracer-{number}", ignore_errors=True)


def test_ray_is_there_until_the_driver_is_done_whatever_slurm_sends_to_whom(folder: Path) -> None:
    number = f"test{os.getpid()}"
    with batch_job(folder, number) as batch:
        deadline = time.monotonic() + 60
        while not (folder / "ready").exists():
            assert batch.poll() is None, batch.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert Path(f"/tmp/tracer-{number}").stat().st_mode & 0o777 == 0o700
        batch.terminate()  # --signal=B:TERM does this alone, scancel and the end of the time the rest as well
        for process in processes_of(number):
            if process.pid != batch.pid:
                process.terminate()
        printed, errors = batch.communicate(timeout=60)
        assert (batch.returncode, printed) == (130, "drained with Ray\n"), errors


def test_a_ray_that_does_not_start_ends_the_job_at_once(folder: Path) -> None:
    (folder / "broken").touch()
    with batch_job(folder, f"test{os.getpid()}") as batch:
        _, errors = batch.communicate(timeout=60)
        assert batch.returncode == 1
        assert "no Ray today" in errors
        assert "Ray did not start" in errors
