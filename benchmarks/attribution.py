"""How fast is one graph, phase by phase, and how near to what the same cores multiply in the same run?

    python benchmarks/attribution.py --model M --transcoders T [--tokens 10 30 80] [--threads 2] [--json out.json]

Prompts are the first tokens of a fixed text (`prose.py`). Floating-point operations are counted (matrix products only), the peak is
the best rate of a square product measured between the prompts. Times on a busy machine are noise: compare within a run.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from prose import prompt_tokens
from torch.utils.flop_counter import FlopCounterMode

from distributed_tracer import TraceConfig, load_model, load_transcoders, prune
from distributed_tracer.model.load import Model
from distributed_tracer.model.tape import record
from distributed_tracer.prompt import Prompt
from distributed_tracer.trace.assemble import assemble
from distributed_tracer.trace.block import EdgeBlock
from distributed_tracer.trace.encode import encode
from distributed_tracer.trace.frontier import Frontier
from distributed_tracer.trace.precision import sweep_dtype
from distributed_tracer.trace.rows import Rows
from distributed_tracer.trace.targets import choose
from distributed_tracer.transcoder.base import Transcoders

T = TypeVar("T")


def added_product(_: object, a: tuple[int, int], b: tuple[int, int], out_shape: object = None, **__: object) -> int:
    """Operations of `addmm_`, from shapes."""
    return 2 * a[0] * a[1] * b[1]


IN_PLACE = {torch.ops.aten.addmm_: added_product}
"""What the counter does not know by itself."""


@dataclass
class Result:
    """One prompt. Seconds by phase; operations in the sweep; rates per second."""

    tokens: int
    active: int
    rows: int
    seconds: dict[str, float]
    sweep_flops: float
    peak_flops_per_second: float
    peak_rss_bytes: int

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


class Phases:
    """Adds up seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return result


def trace(tokens: list[int], model: Model, transcoders: Transcoders, config: TraceConfig) -> tuple[Phases, int, int]:
    """The steps of `attribute`, timed; returns the phases, active features and rows."""
    timed, shape = Phases(), transcoders.shape
    tape = timed("forward", lambda: record(model, tokens, shape.input_site, shape.output_site))
    dtype = sweep_dtype(config.sweep_dtype, model.dtype)
    features = timed("encode", lambda: encode(model, tape, transcoders, 1, dtype))
    directions = choose((), model, tape, transcoders, config)
    rows = timed("fold", lambda: Rows(model, tape, transcoders, features, config.sweep_rows))
    frontier = Frontier(directions, features, config)

    def learn(blocks: list[EdgeBlock]) -> None:
        for block in blocks:
            frontier.learn(block)

    blocks = timed("sweep", lambda: list(rows.of_targets(directions)))
    timed("keep", lambda: learn(blocks))
    while (chosen := timed("rank", frontier.next_round)) is not None:
        blocks = timed("sweep", lambda chosen=chosen: list(rows.of_features(chosen)))  # type: ignore[misc]
        timed("keep", lambda blocks=blocks: learn(blocks))  # type: ignore[misc]
    prompt, strings = Prompt("benchmark", tokens=tuple(tokens)), tuple(map(str, tokens))
    graph = timed("assemble", lambda: assemble(prompt, strings, directions, features, frontier))
    timed("prune", lambda: prune(graph))
    return timed, len(features), frontier.num_rows


def matmul_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """Operations per second of the best of some square products."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def measure(num_tokens: int, model: Model, transcoders: Transcoders, config: TraceConfig, repeats: int) -> Result:
    """The best of some repeats; operations are counted in a run of their own."""
    tokens = prompt_tokens(model.tokenizer, num_tokens)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        trace(tokens, model, transcoders, config)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as before:
        tape = record(model, tokens, transcoders.shape.input_site, transcoders.shape.output_site)
        encode(model, tape, transcoders, 1)
    sweep_flops = float(counter.get_total_flops() - before.get_total_flops())
    peak, runs = 0.0, []
    for _ in range(repeats):
        peak = max(peak, matmul_peak(model.dtype))
        runs.append(trace(tokens, model, transcoders, config))
    phases, active, rows = min(runs, key=lambda run: sum(run[0].seconds.values()))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Result(num_tokens, active, rows, phases.seconds, sweep_flops, peak, rss)


def table(results: list[Result]) -> str:
    """One line per prompt."""
    names = list(results[0].seconds)
    head = ["tokens", "active", "rows", *names, "total", "rows/s", "sweep GFLOP", "of peak", "RSS GB"]
    lines = [" ".join(f"{name:>11}" for name in head)]
    for r in results:
        sweep = r.seconds["sweep"]
        cells = [f"{r.tokens}", f"{r.active:,}", f"{r.rows:,}", *(f"{r.seconds[name]:.3f}" for name in names)]
        cells += [f"{r.total:.3f}", f"{r.rows / r.total:,.0f}", f"{r.sweep_flops / 1e9:,.0f}"]
        cells += [f"{r.sweep_flops / sweep / r.peak_flops_per_second:.0%}", f"{r.peak_rss_bytes / 1e9:.2f}"]
        lines.append(" ".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--transcoders", required=True)
    parser.add_argument("--tokens", type=int, nargs="+", default=[10, 30, 80])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--max-feature-nodes", type=int, default=1024)
    parser.add_argument("--round-size", type=int, default=256)
    parser.add_argument("--sweep-rows", type=int, default=TraceConfig().sweep_rows)
    parser.add_argument("--sweep-dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = TraceConfig(
        args.max_feature_nodes, args.round_size, sweep_rows=args.sweep_rows, sweep_dtype=args.sweep_dtype
    )
    model, transcoders = load_model(args.model), load_transcoders(args.transcoders)
    results = [measure(n, model, transcoders, config, args.repeats) for n in args.tokens]
    print(table(results))
    peak = max(r.peak_flops_per_second for r in results)
    print(f"peak {peak / 1e9:,.0f} GFLOP/s in {model.dtype}, {args.threads} threads, torch {torch.__version__}")
    if args.json:
        Path(args.json).write_text(json.dumps([asdict(r) for r in results], indent=1))


if __name__ == "__main__":
    main()
