"""Overhead of Ray: the demo's prompts, run by the local executor and by one Ray worker, with one CPU thread each.

    python benchmarks/overhead.py [--prompts 200] [--repeats 3] [--max-feature-nodes 1024]

Both do the same: trace, prune, write parts, commit them. They take turns, local first. Each time, model and transcoders
are loaded anew and Ray is started anew; neither counts as tracing.
start     seconds from the call to the beginning of the first prompt: loading, and starting Ray and its worker
tracing   seconds from then to the last prompt's commit
busy      of these, seconds spent in tracing prompts, as workers report; the rest is writing, committing and Ray
overhead  of Ray's tracing over the local one's, from the medians
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.job.inputs import load_inputs
from distributed_tracer.job.provenance import run_info
from distributed_tracer.plan.plan import make_plan
from distributed_tracer.runtime.execute import executor_for
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

DEMO = Path(__file__).parents[1] / "demo"
RUNS = {
    "local": RunConfig(local=True, threads=1, progress=False),
    "ray": RunConfig(workers=1, threads=1, progress=False),
}


@dataclass(frozen=True)
class Timed:
    """Seconds of one run."""

    start: float
    tracing: float
    busy: float
    digest: str


def job(folder: Path, num_prompts: int, max_feature_nodes: int) -> JobConfig:
    """Return a job over the first prompts of the demo."""
    with (DEMO / "corpus.jsonl").open() as corpus:
        (folder / "prompts.jsonl").write_text("".join(islice(corpus, num_prompts)))
    return JobConfig(
        ModelConfig(str(DEMO / "model")),
        TranscoderConfig(str(DEMO / "transcoders" / "plt")),
        CorpusConfig(str(folder / "prompts.jsonl")),
        StoreConfig(""),
        TraceConfig(max_feature_nodes=max_feature_nodes),
    )


def timed(config: JobConfig) -> Timed:
    """Run a job into a new store."""
    inputs = load_inputs(config)
    plan = make_plan(inputs.prompts, inputs.model, inputs.transcoders, config)
    config = plan.config
    ledger = Ledger(config.store.store)
    ledger.create_or_check(run_info(config))
    executor = executor_for(config, ledger.commit)
    called, begun, ended, busy, done = time.perf_counter(), 0.0, 0.0, 0.0, 0
    for outcome in executor.run(plan.fitting()):
        if outcome.status == "traced":
            begun = begun or time.perf_counter() - outcome.seconds
            busy += outcome.seconds
        if outcome.status == "done":
            ended, done = time.perf_counter(), done + 1
    if done != len(inputs.prompts):
        raise SystemExit(f"{done} of {len(inputs.prompts)} prompts were done")
    return Timed(begun - called, ended - begun, busy, open_store(config.store.store).digest())


def compare(num_prompts: int, repeats: int, max_feature_nodes: int) -> dict[str, list[Timed]]:
    """Run both kinds in turns. Raises SystemExit if they do not store the same."""
    found: dict[str, list[Timed]] = {name: [] for name in RUNS}
    with tempfile.TemporaryDirectory() as folder:
        config = job(Path(folder), num_prompts, max_feature_nodes)
        for number in range(repeats):
            for name, run in RUNS.items():
                store = replace(config.store, store=f"{folder}/{name}{number}")
                found[name].append(timed(replace(config, run=run, store=store)))
    if len({run.digest for runs in found.values() for run in runs}) > 1:
        raise SystemExit("the stores differ")
    return found


def median(runs: Sequence[Timed], what: str) -> float:
    return statistics.median(getattr(run, what) for run in runs)


def overhead(found: dict[str, list[Timed]]) -> float:
    """Return Ray's overhead as a share: 0.1 for ten percent."""
    return median(found["ray"], "tracing") / median(found["local"], "tracing") - 1


def table(found: dict[str, list[Timed]], num_prompts: int) -> str:
    lines = [f"{'':<8}{'start':>8}{'tracing':>9}{'busy':>8}{'ms/prompt':>11}   tracing of each run"]
    for name, runs in found.items():
        start, tracing, busy = (median(runs, what) for what in ("start", "tracing", "busy"))
        each = ", ".join(f"{run.tracing:.2f}" for run in runs)
        lines.append(f"{name:<8}{start:>8.2f}{tracing:>9.2f}{busy:>8.2f}{1000 * tracing / num_prompts:>11.1f}   {each}")
    return "\n".join([*lines, f"overhead {100 * overhead(found):+.1f}% of tracing"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-feature-nodes", type=int, default=1024)
    parser.add_argument("--json", type=Path, help="also write every run here")
    args = parser.parse_args()
    found = compare(args.prompts, args.repeats, args.max_feature_nodes)
    print(table(found, args.prompts))
    if args.json:
        runs = {name: [asdict(run) for run in runs] for name, runs in found.items()}
        args.json.write_text(json.dumps(runs, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
