"""Cost of failures, and whether anything is lost: a run of the demo's prompts while its processes are killed.

    python benchmarks/soak.py [--prompts 300] [--kills-per-run 8] [--seed 0] [--max-feature-nodes 256]

Two raylets with a worker each serve one `trace` command. Every few seconds a worker, the driver or a raylet is killed
(-9), in a random order of five workers, one driver and one raylet. A raylet is replaced, and when the command has died
it is run again, until it ends with exit code 0. The same command first runs undisturbed, for its time and its digest.

gave up      times that the command ended by itself with an error, and was run again as one would by hand
tried again  prompts that a run began again after a death; a run whose driver was killed does not report this
in vain      parts that were written, but whose driver was killed before they were committed
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

ROOT = Path(__file__).parents[1]
NUM_WORKERS = 2
Victim = Literal["worker", "driver", "raylet"]
VICTIMS: tuple[Victim, ...] = get_args(Victim)
CYCLE: tuple[Victim, ...] = ("worker",) * 5 + ("driver", "raylet")
HEALTH = {f"health_check_{name}_ms": 500 for name in ("initial_delay", "period", "timeout")}
HEALTH["health_check_failure_threshold"] = 6
MAX_RUNS = 100


@dataclass
class Soaked:
    """What happened in a run."""

    prompts: int
    undisturbed_seconds: float = 0.0
    seconds: float = 0.0
    killed: Counter[Victim] = field(default_factory=Counter)
    runs: int = 0
    gave_up: list[str] = field(default_factory=list)
    """Messages of commands that ended by themselves with an error."""
    tried_again: int = 0
    in_vain: int = 0
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    same_digest: bool = False

    def table(self) -> str:
        kills = ", ".join(f"{self.killed[victim]} {victim}s" for victim in VICTIMS)
        rows = {
            "killed": f"{sum(self.killed.values())}: {kills}",
            "runs of the command": f"{self.runs}, of which gave up {len(self.gave_up)}",
            "prompts": f"{self.done} of {self.prompts} done, {len(self.failed)} failed",
            "tried again": f"{self.tried_again} prompts",
            "in vain": f"{self.in_vain} parts",
            "seconds": f"{self.seconds:.0f}, undisturbed {self.undisturbed_seconds:.0f}: "
            f"{self.seconds / self.undisturbed_seconds:.1f} times as long",
            "same digest": "yes" if self.same_digest else "NO",
        }
        return "\n".join([*(f"{name:<20} {text}" for name, text in rows.items()), *self.gave_up])


class Machines:
    """A Ray cluster on this machine: a head without workers, and raylets with room for one worker each."""

    def __init__(self, folder: Path) -> None:
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
            os.environ.setdefault(name, "0")  # read when Ray is imported
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "temp_dir": str(folder), "include_dashboard": False, "_system_config": HEALTH}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._raylets: list[Any] = [self._cluster.add_node(num_cpus=1) for _ in range(NUM_WORKERS)]
        self.address = str(self._cluster.address)

    def workers(self) -> list[int]:
        """Process ids of workers, including those that are still loading."""
        found = []
        for raylet in self._raylets:
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process(_pid(raylet)).children(recursive=True):
                    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                        if process.name().startswith("ray::Wor") and "WorkerActor" in " ".join(process.cmdline()):
                            found.append(process.pid)
        return found

    def replace_raylet(self, number: int) -> None:
        """Kill a raylet with everything that runs on it, and start another one."""
        node = self._raylets[number]
        os.kill(_pid(node), signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)
        self._raylets[number] = self._cluster.add_node(num_cpus=1)

    def close(self) -> None:
        self._cluster.shutdown()


def _pid(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


@contextmanager
def machines() -> Iterator[Machines]:
    """Run the cluster for the duration of the block.

    The folder's name is short, because paths of sockets in it may have at most 107 characters.
    """
    folder = Path(tempfile.mkdtemp(prefix="soak", dir="/tmp"))
    found = Machines(folder)
    try:
        yield found
    finally:
        found.close()
        shutil.rmtree(folder, ignore_errors=True)


class Command:
    """The command that traces, which can be started any number of times."""

    def __init__(self, folder: Path, num_prompts: int, max_feature_nodes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._nodes = folder, max_feature_nodes
        self._prompts = folder / "prompts.jsonl"
        with (ROOT / "demo" / "corpus.jsonl").open() as corpus:
            self._prompts.write_text("".join(islice(corpus, num_prompts)))

    def start(self, store: Path, address: str) -> subprocess.Popen[str]:
        demo = ["--model", "demo/model", "--transcoders", "demo/transcoders/plt", "--prompts", str(self._prompts)]
        graph = ["--max-feature-nodes", str(self._nodes), "--store", str(store), "--part-prompts", "8"]
        run = ["--workers", str(NUM_WORKERS), "--threads", "1", "--ray-address", address, "--no-progress"]
        return subprocess.Popen(
            [sys.executable, "-m", "distributed_tracer", "trace", *demo, *graph, *run],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def soak(folder: Path, num_prompts: int, kills_per_run: float, seed: int, max_feature_nodes: int) -> Soaked:
    """Run the command undisturbed, then again with kills until it is done, and compare the stores."""
    command, result = Command(folder, num_prompts, max_feature_nodes), Soaked(num_prompts)
    with machines() as cluster:
        started = time.monotonic()
        process = command.start(folder / "undisturbed", cluster.address)
        said = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f"the undisturbed run ended with exit code {process.returncode}:\n{said}")
        result.undisturbed_seconds = time.monotonic() - started
        between = result.undisturbed_seconds / kills_per_run
        started = time.monotonic()
        _disturb(command, cluster, folder / "disturbed", between, random.Random(seed), result)
        result.seconds = time.monotonic() - started
    disturbed = str(folder / "disturbed")
    store, root = open_store(disturbed), open_backend(disturbed)
    result.done = len(store)
    result.failed = {name: failure.reason for name, failure in Ledger(disturbed).failures().items()}
    result.in_vain = len(root.list_dir("parts")) - len(root.list_dir("commits"))
    result.same_digest = store.digest() == open_store(str(folder / "undisturbed")).digest()
    return result


def _disturb(
    command: Command, cluster: Machines, store: Path, between: float, rng: random.Random, result: Soaked
) -> None:
    """Kill something every 0.5 to 1.5 times `between` seconds, until the command has ended successfully."""
    victims = _victims(rng)
    process = command.start(store, cluster.address)
    result.runs = 1
    while True:
        try:
            said = process.communicate(timeout=rng.uniform(0.5, 1.5) * between)[0]
        except subprocess.TimeoutExpired:
            victim = next(victims)
            result.killed[victim] += _kill(victim, cluster, process, rng)
            continue
        again = re.search(r"([\d,]+) times a prompt was tried again", said)
        result.tried_again += int(again[1].replace(",", "")) if again else 0
        if process.returncode == 0:
            return
        if process.returncode != -signal.SIGKILL:
            result.gave_up.append(f"exit code {process.returncode}: {said.strip().splitlines()[-1][:200]}")
        if result.runs == MAX_RUNS:
            raise SystemExit(f"not done after {MAX_RUNS} runs of the command\n{result.gave_up}")
        process = command.start(store, cluster.address)
        result.runs += 1


def _victims(rng: random.Random) -> Iterator[Victim]:
    while True:
        yield from rng.sample(CYCLE, len(CYCLE))


def _kill(victim: Victim, cluster: Machines, driver: subprocess.Popen[str], rng: random.Random) -> int:
    """Kill one process, and return how many were killed: 0 if there is no such process at present."""
    if victim == "raylet":
        cluster.replace_raylet(rng.randrange(NUM_WORKERS))
        return 1
    pids = cluster.workers() if victim == "worker" else [driver.pid] if driver.poll() is None else []
    if pids:
        with suppress(ProcessLookupError):
            os.kill(rng.choice(sorted(pids)), signal.SIGKILL)
            return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--kills-per-run", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-feature-nodes", type=int, default=256)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), args.prompts, args.kills_per_run, args.seed, args.max_feature_nodes)
    print(result.table())
    return 0 if result.same_digest and not result.failed else 1


if __name__ == "__main__":
    sys.exit(main())
