"""Two runs of `trace` into one store, beside `compact`, `split`, `gc` and `verify` without end, all of them killed and
suspended at random: whatever happened, the store ends with the digest of a run that nobody disturbed.

`gc` has a grace of two seconds, and processes are suspended for longer: parts are removed before their writers wake up.
RACE_SECONDS (15) is for how long; the last round is finished. `RACE_SEED` (0) chooses moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jobs_of_cases import CASE, job, plain_rows
from killing import ROOT

from distributed_tracer.pipeline import run_job
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import open_store

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SECONDS, SEED = float(os.environ.get("RACE_SECONDS", "15")), int(os.environ.get("RACE_SEED", "0"))
NUM_PROMPTS = 24
GRACE_SECONDS = 2.0
UPKEEP = """
import itertools, sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from distributed_tracer.errors import StoreError
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.maintenance.verify import verify

what, url, other = sys.argv[1:]
def split():
    store = open_store(url)
    split_store(store, other, sorted(store)[::2])
def check():
    assert not (found := verify(open_backend(url)).damages), found
work = {{
    "compact": lambda: compact(url, part_prompts=8),
    "gc": lambda: collect_garbage(url, grace_hours={grace} / 3600),
    "split": split,
    "verify": check,
}}[what]
for number in itertools.count(1):
    try:
        work()
    except StoreError as error:  # a store that was cleaned meanwhile, or another's compaction
        print(type(error).__name__, error, file=sys.stderr, flush=True)
    print(number, flush=True)
    time.sleep(0.05)
"""


@dataclass
class Player:
    """A process that is begun anew whenever it ends."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    asleep_until: float = 0.0
    ends: Counter[int] = field(default_factory=Counter)

    def begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log)

    def look(self, now: float) -> bool:
        """Wake it up if it is time; whether it has ended."""
        assert self.process
        if self.asleep_until and now > self.asleep_until:
            self.asleep_until = 0.0
            self.process.send_signal(signal.SIGCONT)
        if self.process.poll() is None:
            return False
        self.ends[self.process.returncode] += 1
        return True

    def disturb(self, rng: random.Random, now: float) -> None:
        assert self.process
        if self.process.poll() is not None or self.asleep_until:
            return
        if rng.random() < 0.5:
            self.process.kill()
        else:
            self.process.send_signal(signal.SIGSTOP)
            self.asleep_until = now + rng.uniform(0.5, 3 * GRACE_SECONDS)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


def race(folder: Path, until: float, rng: random.Random) -> Counter[str]:
    """One store, from nothing to all prompts done twice over; what came of the processes."""
    url, other = str(folder / "store"), str(folder / "half")
    trace = [sys.executable, "-m", "distributed_tracer", "trace", "--local", "--threads", "1", "--no-progress"]
    trace += ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--store", url]
    trace += ["--prompts", str(folder / "store.jsonl"), "--part-prompts", "1", "--max-feature-nodes", "40"]
    trace += ["--round-size", "16", "--sweep-rows", "32"]
    code = UPKEEP.format(root=str(ROOT), tests=str(ROOT / "tests"), grace=GRACE_SECONDS)
    players = [Player(f"trace{n}", trace, folder / f"trace{n}.log") for n in range(2)]
    players += [
        Player(name, [sys.executable, "-c", code, name, url, other], folder / f"{name}.log")
        for name in ("compact", "gc", "split", "verify")
    ]
    try:
        for player in players:
            player.begin()
        next_disturbance, finished = time.monotonic() + 4.0, set[str]()
        while len(finished) < 2:
            time.sleep(0.02)
            now = time.monotonic()
            for player in players:
                if player.name in finished or not player.look(now):
                    continue
                assert player.process
                if player.name.startswith("trace") and player.process.returncode == 0:
                    finished.add(player.name)
                else:
                    player.begin()
            if now > next_disturbance and now < until:
                awake = [player for player in players if player.name not in finished]
                rng.choice(awake).disturb(rng, now)
                next_disturbance = now + rng.uniform(0.5, 6.0)
    finally:
        for player in players:
            player.stop()
    for player in players:
        told = player.log.read_text()
        assert "Traceback" not in told, told[-4000:]
    return Counter({f"{player.name} {code}": count for player in players for code, count in player.ends.items()})


def test_upkeep_and_runs_beside_each_other_killed_and_suspended_end_in_the_same_digest(tmp_path: Path) -> None:
    rows, rng = plain_rows(NUM_PROMPTS), random.Random(SEED)
    calm = job(tmp_path, rows, store="calm")
    run_job(calm)
    digest = open_store(calm.store.store).digest()
    until, ends = time.monotonic() + SECONDS, Counter[str]()
    for number in range(1_000_000):
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        shutil.copy(tmp_path / "calm.jsonl", folder / "store.jsonl")
        ends += race(folder, until, rng)
        for name in ("store", "half"):
            url = str(folder / name)
            if open_backend(url).read("run.json") is None:  # never came to it
                continue
            assert not verify(open_backend(url)).damages
            compact(url)
            collect_garbage(url, grace_hours=0.0)
            assert not verify(open_backend(url)).damages
        assert open_store(str(folder / "store")).digest() == digest
        shutil.rmtree(folder)
        if time.monotonic() > until:
            break
    print(f"{number + 1} rounds; ends of processes: {dict(sorted(ends.items()))}")
    assert sum(ends.values()) >= 2
