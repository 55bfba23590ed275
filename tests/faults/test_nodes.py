"""Machines come and go while a run is under way: raylets of their own, started late and killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs_of_cases import LOCAL, job, plain_rows

from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import open_store

HERE = Path(__file__).parents[1]
NUM_PROMPTS = 30
PROGRAM = """
import json, os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from ray.cluster_utils import Cluster
from jobs_of_cases import job, plain_rows, units_of
from distributed_tracer.config import RunConfig
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger

def make_waiting_worker(config, threads):
    # after five prompts it waits for the other worker, however long that one takes to come
    from distributed_tracer.runtime.worker import Worker
    class Waiting(Worker):
        num_traced = 0
        def graph_of(self, unit, config):
            (there := Path(config_folder, "there")).mkdir(exist_ok=True)
            (there / str(os.getpid())).touch()
            self.num_traced += 1
            while self.num_traced > 5 and len(list(there.iterdir())) < 2:
                time.sleep(0.1)
            time.sleep(0.1)
            return super().graph_of(unit, config)
    config_folder = Path(config.store.store).parent
    return Waiting(config, threads)

if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    health = {f"health_check_{name}_ms": 500 for name in ("initial_delay", "period", "timeout")}
    health["health_check_failure_threshold"] = 3
    cluster = Cluster(True, head_node_args={"num_cpus": 0, "_system_config": health})
    first = cluster.add_node(num_cpus=1)
    run = RunConfig(workers=2, threads=1, progress=False, ray_address=cluster.address)
    config = job(folder, plain_rows(count), run, part_prompts=4)
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    workers, came, left = [], False, False
    for outcome in RayExecutor(config, ledger.commit, make_waiting_worker).run(units_of(config)):
        if outcome.status == "traced":
            workers.append(outcome.worker)
        if workers and not came:
            came = cluster.add_node(num_cpus=1)
        if len(set(workers)) == 2 and not left:
            left = first.all_processes["raylet"][0].process
            os.kill(left.pid, signal.SIGKILL)
            left.wait()
    print(json.dumps([len(set(workers)), bool(left), sorted(ledger.done())]))
    cluster.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_machine_that_joins_is_used_and_one_that_dies_costs_no_prompt(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.path[:0] = {[str(HERE), str(HERE.parent)]!r}\n{PROGRAM}")
    path = {"PYTHONPATH": f"{HERE}:{HERE.parent}:{tmp_path}"}
    command = [sys.executable, str(program), str(tmp_path), str(NUM_PROMPTS)]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, env={**os.environ, **path}
    )
    assert answer.returncode == 0, answer.stderr
    num_workers, killed, done = json.loads(answer.stdout.splitlines()[-1])
    assert (num_workers >= 2, killed) == (True, True)
    assert done == sorted(f"p{n}" for n in range(NUM_PROMPTS))
    here = job(tmp_path, plain_rows(NUM_PROMPTS), LOCAL, store="reference")
    run_job(here)
    assert open_store(str(tmp_path / "store")).digest() == open_store(here.store.store).digest()
