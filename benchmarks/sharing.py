"""Cost of sharding transcoders, and benefit of an idle worker that helps: real Ray workers on this machine.

    python benchmarks/sharing.py --model M --transcoders T [--tokens 40] [--prompts 4] [--repeats 3]

The rows of the table run in turn, `--repeats` times; every worker has one thread, and medians are shown:

one           one worker with the whole set, all prompts
two halves    two workers with a shard each, the same prompts one after another: the cost of asking the other one
alone         one worker, one prompt of `--long` tokens
helped        two workers, the same prompt: one traces; the other, idle one helps as soon as it is assigned

seconds       of a prompt, as the worker that traces it measures it
memory        that a worker holds for itself after a prompt, including its model and its part of the transcoders
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import process_memory
from prose import prompt_tokens
from transformers import AutoTokenizer

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.model.load import model_shape
from distributed_tracer.plan.sizing import num_sweep_rows
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray import lend_idle
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.runtime.reply import WorkerReply


def make_worker(config: JobConfig, threads: int, **options: Any) -> Any:
    """Make a worker whose outcomes say how much memory it holds, in the field for the number of nodes."""
    from distributed_tracer.runtime.worker import Worker

    class Weighed(Worker):
        def trace(self, *units: WorkUnit) -> WorkerReply:
            reply, held = super().trace(*units), process_memory.own_bytes() or 0
            return replace(reply, outcomes=tuple(replace(outcome, num_nodes=held) for outcome in reply.outcomes))

    return Weighed(config, threads, **options)


def measure(config: JobConfig, prompts: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return the median seconds of the longest prompts, and the MB held.

    If there are several such prompts, the first one, which warms up, is left out.
    """
    shape = model_shape(config.model.model)
    rows = [num_sweep_rows("auto", shape, len(tokens), 4, "cpu") for tokens in prompts]
    asked = [Prompt(f"p{n}", tokens=tuple(tokens)) for n, tokens in enumerate(prompts)]
    units = [WorkUnit(prompt, 1000.0, sweep_rows=of) for prompt, of in zip(asked, rows, strict=True)]
    outcomes = list(RayExecutor(config, lambda *manifests: None, make_worker).run(units))
    traced = [outcome for outcome in outcomes if outcome.status == "traced"]
    assert len(traced) == len(prompts), outcomes
    longest = max(map(len, prompts))
    seconds = [o.seconds for o in traced if len(prompts[int(o.prompt_id[1:])]) == longest]
    return statistics.median(seconds[1:] or seconds), max(o.num_nodes for o in traced) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--transcoders", required=True)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--long", type=int, default=200)
    parser.add_argument("--max-feature-nodes", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    lend_idle.MIN_REMAINING_SECONDS = 0.0
    here = str(Path(__file__).parent)  # where actors find this file
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    short = [prompt_tokens(tokenizer, args.tokens)] * (args.prompts + 1)
    long = [prompt_tokens(tokenizer, args.long)]
    one = RunConfig(workers=1, threads=1, progress=False)
    two = replace(one, workers=2)
    runs = {
        "one": (one, short),
        "two halves": (replace(two, slices=2), short),
        "alone": (one, long),
        "helped": (two, [*long, long[0][:2]]),
    }
    found = defaultdict(list)
    for _ in range(args.repeats):
        for name, (run, prompts) in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                config = JobConfig(
                    ModelConfig(args.model, device_map="cpu"),
                    TranscoderConfig(args.transcoders),
                    CorpusConfig(""),
                    StoreConfig(folder),
                    TraceConfig(max_feature_nodes=args.max_feature_nodes),
                    run,
                )
                found[name].append(measure(config, prompts))
    print(f"{'':>12} {'seconds':>9} {'memory MB':>10}")
    for name, pairs in found.items():
        seconds, memory = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{name:>12} {seconds:>9.2f} {memory:>10,.0f}")


if __name__ == "__main__":
    import sharing  # by its name, so that actors can import what is sent to them

    sharing.main()
