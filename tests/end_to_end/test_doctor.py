"""`doctor` on two raylets with homes and hub caches of their own, as two machines would have."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT
from jobs_of_cases import CASE, plain_rows, write_prompts

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, os, signal, sys
from ray.cluster_utils import Cluster

if __name__ == "__main__":
    root, temp, *homes = sys.argv[1:]
    def variables(home):
        return {"HOME": home, "HF_HOME": f"{home}/hf", "HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{home}/lib:{root}"}
    head = {"num_cpus": 0, "temp_dir": temp, "include_dashboard": False, "env_vars": variables(homes[0])}
    cluster = Cluster(True, head_node_args=head)
    second = cluster.add_node(num_cpus=1, env_vars=variables(homes[1]))
    print(json.dumps([cluster.address, second.node_id]), flush=True)
    raylet = second.all_processes["raylet"][0].process
    for line in sys.stdin:
        os.kill(raylet.pid, getattr(signal, line.strip()))
        print("done", flush=True)
    cluster.shutdown()
"""


@dataclass(frozen=True)
class Machines:
    """Two raylets, the homes of their users, and how to call the second in messages."""

    address: str
    second: str
    homes: tuple[Path, Path]
    environment: dict[str, str]
    process: subprocess.Popen[str]

    def doctor(self, *args: str) -> tuple[int, Any]:
        """Exit code, and what is said as JSON."""
        command = ["distributed_tracer", "doctor", "--ray-address", self.address, "--json", *args]
        # Installed, as on a cluster: a driver's own folders would come before those of the second machine.
        environment = {**self.environment, "HOME": str(self.homes[0])}
        del environment["PYTHONPATH"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", *command],
            cwd=self.homes[0],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def send(self, signal: str) -> None:
        """To the second raylet."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{signal}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    homes = (folder / "first", folder / "second")
    for home in homes:
        home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    program = folder / "program.py"
    program.write_text(PROGRAM)
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as temp:
        command = [sys.executable, str(program), str(ROOT), temp, *map(str, homes)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            address, node_id = json.loads(process.stdout.readline())
            host = os.uname().nodename
            yield Machines(address, f"{host}/{node_id[:6]}", homes, environment, process)
            process.stdin.close()
            process.wait(timeout=60)


def inputs(folder: Path) -> list[str]:
    prompts = write_prompts(folder / "p.jsonl", plain_rows(2))
    return ["--model", str(CASE / "model"), "--store", str(folder / "store"), "--prompts", str(prompts)]


def problems(found: Any) -> dict[str, list[str]]:
    """The nodes of every problem."""
    return {one["what"]: one["nodes"] for one in found["findings"] if one["severity"] == "problem"}


@pytest.mark.ray
@pytest.mark.slow
def test_two_machines_that_are_alike_are_ready(machines: Machines, tmp_path: Path) -> None:
    code, found = machines.doctor(*inputs(tmp_path), "--transcoders", str(CASE / "transcoders"))
    assert (code, problems(found)) == (0, {})
    assert len(found["answers"]) == 2
    assert found["silences"] == []
    for answer in found["answers"]:
        assert answer["versions"] == found["driver"]["versions"]
        assert answer["store"]["shared"] is True
        assert answer["store"]["create_only"] is True
        assert answer["token_auth"] is True
        assert answer["offline"] is True
        assert abs(answer["clock_ahead_seconds"]) <= answer["clock_error_seconds"] + 0.01
    assert os.listdir(tmp_path / "store") == []


@pytest.mark.ray
@pytest.mark.slow
def test_files_and_stores_of_ones_own_are_found_out(machines: Machines, tmp_path: Path) -> None:
    for number, home in enumerate(machines.homes):
        shutil.copytree(CASE / "transcoders", home / "transcoders")
        repository = home / "hf" / "hub" / "models--user--tiny"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        snapshot = repository / "snapshots" / COMMIT
        shutil.copytree(CASE / "model", snapshot)
        config = json.loads((snapshot / "config.json").read_text())
        (snapshot / "config.json").write_text(json.dumps({**config, "bos_token_id": number}))
    (machines.homes[1] / "transcoders" / "layer_0.safetensors").unlink()
    code, found = machines.doctor("--model", "user/tiny", "--transcoders", "~/transcoders", "--store", "~/store")
    assert code == 1
    said = "\n".join(problems(found))
    assert "model (config.json) differs" in said
    assert "transcoders (layer_0.safetensors) differs" in said
    stores = {what: nodes for what, nodes in problems(found).items() if "another one than the driver's" in what}
    assert stores == {
        f"the store {machines.homes[1]}/store is another one than the driver's: "
        "graphs written there would not be found": [machines.second]
    }


@pytest.mark.ray
@pytest.mark.slow
def test_a_store_that_one_machine_cannot_write_is_found_out(machines: Machines) -> None:
    (machines.homes[1] / "taken").write_text("")
    code, found = machines.doctor("--store", "~/taken/store")
    assert code == 1
    ((what, nodes),) = problems(found).items()
    assert "the store cannot be used" in what
    assert "NotADirectoryError" in what
    assert nodes == [machines.second]


@pytest.mark.ray
@pytest.mark.slow
def test_other_code_and_code_without_this_check_are_found_out(machines: Machines) -> None:
    library = machines.homes[1] / "lib"
    package = library / "distributed_tracer"
    shutil.copytree(ROOT / "distributed_tracer", package)
    try:
        with (package / "shapes.py").open("a") as file:
            file.write("# changed on one machine only\n")
        code, found = machines.doctor()
        assert code == 1
        ((what, nodes),) = problems(found).items()
        assert what.startswith("the code of distributed_tracer differs")
        assert nodes == [machines.second]
        shutil.rmtree(package / "ops" / "doctor")
        (package / "ops" / "doctor.py").touch()  # or an editable installation's finder would find the package elsewhere
        code, found = machines.doctor()
        assert code == 1
        ((what, nodes),) = problems(found).items()
        assert "No module named 'distributed_tracer.ops.doctor" in what
        assert nodes == [machines.second]
    finally:
        shutil.rmtree(library)


@pytest.mark.ray
@pytest.mark.slow
def test_a_machine_that_hangs_is_reported_and_not_waited_for(machines: Machines) -> None:
    machines.send("SIGSTOP")
    try:
        code, found = machines.doctor("--timeout-seconds", "5")
    finally:
        machines.send("SIGCONT")
    assert code == 1
    assert problems(found) == {"no answer within 5 s": [machines.second]}
    assert len(found["answers"]) == 1
