"""Commands of mining on a cluster of two machines, of which one dies: the same bytes as in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from killed_tasks import content
from killing import finish
from mined_commands import COMMANDS, make_inputs

from distributed_tracer.mine.result import open_result
from distributed_tracer.tasks.phases import perform_here

HERE = Path(__file__).parents[1]
NAMES = ["contrast-features", "contrast-edges", "weights", "similar", "consensus", "chains", "stability", "vectors"]
NAMES += ["dark-matter"]
PROGRAM = """
import json, os, signal, subprocess, sys
from dataclasses import replace
from pathlib import Path
from ray.cluster_utils import Cluster
from killed_tasks import noting
from mined_commands import COMMANDS
from distributed_tracer.config import RunConfig
from distributed_tracer.runtime.task_runner import task_runner
from distributed_tracer.tasks.task import Task

def on_noted_nodes(execute, folder, after):
    def run(calls):
        noted = []
        for call in calls:
            more = {"name": call.task.name, "arguments": call.task.arguments, "folder": folder}
            noted.append(replace(call, task=Task(noting, more)))
        for call, done in execute(noted):
            yield call, done
            after(call)
    return run

if __name__ == "__main__":
    place, names = Path(sys.argv[1]), sys.argv[2:]
    health = {f"health_check_{name}_ms": 500 for name in ("initial_delay", "period", "timeout")}
    health["health_check_failure_threshold"] = 3
    cluster = Cluster(True, head_node_args={"num_cpus": 0, "_system_config": health})
    machines = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    killed = []

    def kill_one(call):
        if call.folder.startswith("candidates/") and not killed:  # in the middle of a phase of `weights`
            raylet = machines[0].all_processes["raylet"][0].process
            os.kill(raylet.pid, signal.SIGKILL)
            raylet.wait()
            killed.append(call.folder)
            cluster.add_node(num_cpus=1)

    (place / "nodes").mkdir()
    with task_runner(RunConfig(workers=2, ray_address=cluster.address, progress=False)) as execute:
        for name in names:
            COMMANDS[name].mine(place, place / name, on_noted_nodes(execute, str(place / "nodes"), kill_one))
    command = [sys.executable, "-m", "distributed_tracer", "mine", "contrast", str(place / "store"), "--a", "set=a"]
    command += ["--cluster", "topic", "--min-clusters", "1", "--permutations", "99", "--out", str(place / "command")]
    subprocess.run([*command, "--workers", "2", "--ray-address", cluster.address], check=True, stdout=sys.stderr)
    print(json.dumps([len(list((place / "nodes").iterdir())), len(killed)]))
    cluster.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_two_machines_of_which_one_dies_make_the_bytes_of_one_process(tmp_path: Path) -> None:
    make_inputs(tmp_path)
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.path[:0] = {[str(HERE), str(HERE.parent)]!r}\n{PROGRAM}")
    path = {"PYTHONPATH": f"{HERE}:{HERE.parent}:{tmp_path}"}
    command = [sys.executable, str(program), str(tmp_path), *NAMES]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, **path}
    )
    assert answer.returncode == 0, answer.stderr
    num_machines, num_killed = json.loads(answer.stdout.splitlines()[-1])
    assert num_machines >= 2
    assert num_killed == 1
    for name in NAMES:
        here = content(COMMANDS[name].mine(tmp_path, tmp_path / f"{name}-here", perform_here))
        assert content(open_result(tmp_path / name)) == here, name
    out = ["--cluster", "topic", "--min-clusters", "1", "--permutations", "99", "--out", str(tmp_path / "command-here")]
    finish("mine", "contrast", str(tmp_path / "store"), "--a", "set=a", *out)
    assert content(open_result(tmp_path / "command")) == content(open_result(tmp_path / "command-here"))
