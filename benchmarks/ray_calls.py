"""Cost of one actor call for the driver: the real RayExecutor, with workers that answer at once.

    python benchmarks/ray_calls.py [--workers 1 2 16] [--calls 5000]

Each call carries one prompt of 50 tokens and returns without a graph. This needs no model; it starts Ray here.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed_tracer.config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TranscoderConfig
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.runtime.reply import WorkerReply

WARM_UP = 500


class Nobody:
    """A worker that answers at once."""

    def trace(self, *units: WorkUnit) -> WorkerReply:
        return WorkerReply(tuple(Outcome(unit.prompt.id, "failed", "trace", "not tried") for unit in units))

    def flush(self) -> WorkerReply:
        return WorkerReply()


def make_nobody(config: JobConfig, threads: int) -> Any:
    """Make a worker that loads nothing."""
    return Nobody()


def measure(workers: int, num_calls: int) -> tuple[float, float]:
    """Return seconds of wall-clock time and of this process's CPU time, per call."""
    run = RunConfig(workers=workers, threads=1, progress=False)
    nothing = JobConfig(ModelConfig(""), TranscoderConfig(""), CorpusConfig(""), StoreConfig(""), run=run)
    units: Iterator[WorkUnit] = (
        WorkUnit(Prompt(f"prompt-{number}", tokens=tuple(range(1000, 1050)))) for number in range(WARM_UP + num_calls)
    )
    clock = cores = 0.0
    outcomes = RayExecutor(nothing, lambda *manifests: None, make_nobody).run(units)
    for number, _ in enumerate(outcomes):
        if number == WARM_UP:
            clock, cores = time.perf_counter(), time.process_time()
    return (time.perf_counter() - clock) / num_calls, (time.process_time() - cores) / num_calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 16])
    parser.add_argument("--calls", type=int, default=5000)
    args = parser.parse_args()
    here = str(Path(__file__).parent)  # where actors find this file
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    print(f"{'workers':>10} {'ms a call':>10} {'of a core':>10}")
    for workers in args.workers:
        clock, cores = measure(workers, args.calls)
        print(f"{workers:>10} {1000 * clock:>10.2f} {1000 * cores:>10.2f}", flush=True)


if __name__ == "__main__":
    import ray_calls  # by its name, so that actors can import what is sent to them

    ray_calls.main()
