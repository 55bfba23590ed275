"""Limits of a container: a control group whose memory is spent, Ray's object store full with no disk to spill to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from distributed_tracer.store.reader import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.thorough]

ROOT = Path(__file__).parents[2]
PATHS = [str(ROOT), str(ROOT / "tests")]
MEMORY = 4 * 10**9
PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from dataclasses import replace
from pathlib import Path
import ray
from jobs_of_cases import job, plain_rows, units_of
from distributed_tracer.config import RunConfig
from distributed_tracer.plan.machine import free_cpu_bytes
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger

LARGE = 100_000_000

def make_worker(config, threads):
    from distributed_tracer.runtime.worker import Worker
    class Extreme(Worker):
        def graph_of(self, unit, config):
            held = []
            while unit.prompt.id == "greedy":
                held.append(b"x" * LARGE)
            return super().graph_of(unit, config)
        def trace(self, *units):
            reply = super().trace(*units)
            if any(unit.prompt.id == "talkative" for unit in units):
                return replace(reply, outcomes=tuple(replace(one, reason="x" * LARGE) for one in reply.outcomes))
            return reply
    return Extreme(config, threads)

if __name__ == "__main__":
    free, names = free_cpu_bytes(), sys.argv[4:]
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[3],
             object_store_memory=80_000_000)
    rows = [*plain_rows(3), *({"id": name, "text": f"the capital of {name}"} for name in names)]
    config = job(Path(sys.argv[2]), rows, RunConfig(workers=1, threads=1, attempts=1, progress=False))
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    units = sorted(units_of(config), key=lambda unit: [row["id"] for row in rows].index(unit.prompt.id))
    wide = {"wide": "x" * LARGE}
    units = [replace(unit, prompt=replace(unit.prompt, where=wide.get(unit.prompt.id, ""))) for unit in units]
    outcomes = list(RayExecutor(config, ledger.commit, make_worker).run(units))
    print(json.dumps([free, {one.prompt_id: one.reason for one in outcomes if one.status == "failed"}]))
    ray.shutdown()
"""


@pytest.fixture
def group() -> Iterator[Path | None]:
    """A control group that allows MEMORY, by version 1 or 2; None where none can be made."""
    for parent, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        folder = Path("/sys/fs/cgroup") / parent / f"tracer-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / limit).exists():
                (folder / limit).write_text(str(MEMORY))
                yield folder
                return
        finally:
            folder.rmdir()
    yield None


def enter(group: Path | None) -> None:
    if group is not None:
        (group / "cgroup.procs").write_text("0")


def test_what_exceeds_a_limit_fails_alone_with_the_reason(group: Path | None, tmp_path: Path) -> None:
    names = ["wide", "talkative", *(["greedy"] if group else [])]
    limits = {"RAY_local_fs_capacity_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "0"}  # any disk is full
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as short:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(PATHS), str(tmp_path), short, *names],
            env={**os.environ, **limits, "PYTHONPATH": os.pathsep.join(PATHS)},
            preexec_fn=partial(enter, group),
            capture_output=True,
            text=True,
            timeout=270,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    free, failed = json.loads(done.stdout.splitlines()[-1])
    assert sorted(failed) == sorted(names)
    assert "Ray has no room for its 100,0" in failed["wide"]
    assert "is given up, as Ray has no room for its answer: " in failed["talkative"]
    assert set(open_store(str(tmp_path / "store"))) == {"p0", "p1", "p2"}
    if group is None:
        pytest.skip("no control group can be made here: its memory limit was not tried")
    assert free < MEMORY
    assert (
        "was killed by the kernel, as its control group, whose limit is 3.73 GiB, had no memory left"
        in failed["greedy"]
    )
