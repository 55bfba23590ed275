"""Speed of one graph, phase by phase, relative to the matrix products that the same cores or GPU reach in the same run.

    python benchmarks/attribution.py --model M --transcoders T [--tokens 10 30 80] [--json out.json]
    python benchmarks/attribution.py --shape gemma-2-2b --device cuda --sweep-dtype float32 tf32 bfloat16

Prompts are the first tokens of a fixed text (`prose.py`). `--shape` makes a model and transcoders of random numbers in
memory (`shapes.py`), so nothing is needed but this repository. The program prints one line per prompt length and sweep
precision:
phases     seconds of each phase, in the best of several repeats; a GPU is synchronized at the end of each
GFLOP      operations of the products in the sweep, padding included, counted in a separate run
of peak    their rate as a share of the peak: the best square product in the sweep's precision, measured between runs
peak GB    peak memory, weights included: of torch's allocator on a GPU, of the process on a CPU
graph GB   the same above what was held before; `planned` is what a plan that knew the number of active features gives
A prompt that does not fit into memory is reported as such. Times on a busy machine are noise: compare within a run.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import process_memory
import torch
from prose import prompt_tokens
from shapes import SHAPES, shaped_model, shaped_transcoders
from torch.utils.flop_counter import FlopCounterMode

from distributed_tracer import TraceConfig, load_model, load_transcoders
from distributed_tracer.config import SweepPrecision
from distributed_tracer.model.forward_cache import run_with_cache
from distributed_tracer.model.model import Model
from distributed_tracer.model.tokenize import num_zeroed_positions, token_strings
from distributed_tracer.plan.cost import cost_of
from distributed_tracer.plan.machine import free_cpu_bytes
from distributed_tracer.plan.sizing import num_sweep_rows
from distributed_tracer.prompt import Prompt
from distributed_tracer.trace.assemble import assemble
from distributed_tracer.trace.dense_graph import DenseGraph
from distributed_tracer.trace.device import matmul_precision, max_closing_error, sweep_dtype
from distributed_tracer.trace.encode import encode
from distributed_tracer.trace.frontier import Frontier
from distributed_tracer.trace.rows import EdgeBlock, RowComputer
from distributed_tracer.trace.targets import resolve_targets
from distributed_tracer.transcoder.base import Transcoders

PHASES = ("forward", "encode", "targets", "fold", "sweep", "keep", "rank", "assemble", "prune")


def added_product(_: object, a: tuple[int, int], b: tuple[int, int], out_shape: object = None, **__: object) -> int:
    """Return the operations of `addmm_`, from shapes."""
    return 2 * a[0] * a[1] * b[1]


IN_PLACE = {torch.ops.aten.addmm_: added_product}
"""Operations that the counter does not know by itself."""


@dataclass
class Result:
    """One prompt in one precision: seconds by phase, operations in the sweep, and rates per second."""

    tokens: int
    sweep_dtype: str
    active: int
    rows: int
    seconds: dict[str, float]
    sweep_flops: float
    peak_flops_per_second: float
    peak_bytes: int
    graph_bytes: int
    """Peak memory above what was held before."""
    planned_bytes: int
    """What the plan predicts for a prompt with this number of active features, weights excluded."""

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())

    @property
    def graphs_per_hour(self) -> float:
        return 3600 / self.total_seconds

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.total_seconds

    @property
    def of_peak(self) -> float:
        return self.sweep_flops / self.seconds["sweep"] / self.peak_flops_per_second

    def as_dict(self) -> dict[str, Any]:
        names = ("total_seconds", "graphs_per_hour", "rows_per_second", "of_peak")
        return asdict(self) | {name: getattr(self, name) for name in names}


def wait(device: torch.device) -> None:
    """Wait until all work on a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Phases:
    """Adds up seconds by name of phase, and operations if there is a counter."""

    def __init__(self, device: torch.device, counter: FlopCounterMode | None = None) -> None:
        self.device, self.counter = device, counter
        self.seconds, self.flops = (dict.fromkeys(PHASES, 0.0) for _ in range(2))

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        wait(self.device)
        started, counted = time.perf_counter(), self._counted()
        yield
        wait(self.device)
        self.seconds[name] += time.perf_counter() - started
        self.flops[name] += self._counted() - counted

    def _counted(self) -> int:
        return 0 if self.counter is None else self.counter.get_total_flops()


def trace(
    tokens: Sequence[int],
    model: Model,
    transcoders: Transcoders,
    config: TraceConfig,
    timed: Phases,
    frontier_of: type[Frontier] = Frontier,
) -> DenseGraph:
    """Time the steps of `attribute_dense`, and of pruning, whose result is dropped."""
    prompt, shape = Prompt("benchmark", tokens=tuple(tokens)), transcoders.shape
    with timed("forward"):
        cache = run_with_cache(model, tokens, shape.input_site, shape.output_site)
    zeroed, dtype = num_zeroed_positions(tokens, model.shape.architecture), sweep_dtype(config.sweep_dtype, model.dtype)
    with timed("encode"):
        features = encode(model, cache, transcoders, zeroed, dtype)
    with timed("targets"):
        directions = resolve_targets((), model, cache, transcoders, config)
    with timed("fold"):
        rows = RowComputer(model, cache, transcoders, features, config.sweep_rows, config.keep_row_mass)
        frontier = frontier_of(directions, features, config, max_closing_error(config, model.dtype))

    def learn(blocks: Iterator[EdgeBlock]) -> None:
        while True:
            with timed("sweep"):
                block = next(blocks, None)
            if block is None:
                return
            with timed("keep"):
                frontier.add_rows(block)

    with matmul_precision(config.sweep_dtype):
        learn(rows.of_targets(directions))
        while True:
            with timed("rank"):
                chosen_F = frontier.next_round()
            if chosen_F is None:
                break
            learn(rows.of_features(chosen_F))
    with timed("assemble"):
        graph = assemble(prompt, token_strings(tokens, model.tokenizer), directions, features, frontier)
    with timed("prune"):
        graph.pruned(config.node_threshold, config.edge_threshold)
    return graph


@contextmanager
def counting(device: torch.device) -> Iterator[Phases]:
    """Yield Phases that count the operations of every phase's products as well as seconds."""
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        yield Phases(device, counter)


def matmul_peak(precision: SweepPrecision, dtype: torch.dtype, device: torch.device, sizes: Sequence[int]) -> float:
    """Return the operations per second of the fastest of several square products."""
    calls, best = (10 if device.type == "cuda" else 1), 0.0
    with matmul_precision(precision):
        for size in sizes:
            a, b, out = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(3))
            spent = tries = 0.0
            while tries < 2 or (tries < 5 and spent < 0.3):
                wait(device)
                started = time.perf_counter()
                for _ in range(calls):
                    torch.mm(a, b, out=out)
                wait(device)
                seconds = time.perf_counter() - started
                best, spent, tries = max(best, calls * 2 * size**3 / seconds), spent + seconds, tries + 1
    return best


def reset_peak_bytes(device: torch.device) -> int:
    """Reset the peak, where possible, and return the bytes held now.

    Where it is not possible, a process's peak remains that of its whole life.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    process_memory.reset_peak()
    return process_memory.held_bytes() or 0


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory since the last reset, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return process_memory.peak_bytes() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def within_memory(device: torch.device) -> Iterator[None]:
    """Raise MemoryError for what does not fit: on Linux, a CPU's allocations would otherwise kill the process."""
    limits, held = resource.getrlimit(resource.RLIMIT_DATA), process_memory.data_bytes()
    try:
        if device.type == "cpu" and held is not None:
            wanted = held + free_cpu_bytes()
            resource.setrlimit(resource.RLIMIT_DATA, (wanted if limits[0] < 0 else min(wanted, limits[0]), limits[1]))
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)):
            raise
        raise MemoryError(next(line for line in str(error).splitlines() if line.strip())) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def measure(
    num_tokens: int,
    model: Model,
    transcoders: Transcoders,
    config: TraceConfig,
    repeats: int = 3,
    peak_sizes: Sequence[int] = (1024, 2048, 4096),
) -> Result:
    """Return the best of several repeats. Raises MemoryError if there is not enough memory."""
    tokens, device = prompt_tokens(model.tokenizer, num_tokens), model.input_device
    dtype, peak, highest, above = sweep_dtype(config.sweep_dtype, model.dtype), 0.0, 0, 0
    runs: list[Phases] = []
    with within_memory(device):
        with counting(device) as counted:
            trace(tokens, model, transcoders, config, counted)
        for _ in range(repeats):
            peak = max(peak, matmul_peak(config.sweep_dtype, dtype, device, peak_sizes))
            runs.append(Phases(device))
            held = reset_peak_bytes(device)
            graph = trace(tokens, model, transcoders, config, runs[-1])
            highest, above = max(highest, peak_bytes(device)), max(above, peak_bytes(device) - held)
    seconds = min((run.seconds for run in runs), key=lambda seconds: sum(seconds.values()))
    active, rows = len(graph.bare.active), graph.num_rows
    flops, planned = counted.flops["sweep"], planned_bytes(num_tokens, active, model, transcoders, config)
    return Result(num_tokens, config.sweep_dtype, active, rows, seconds, flops, peak, highest, above, planned)


def planned_bytes(num_tokens: int, active: int, model: Model, transcoders: Transcoders, config: TraceConfig) -> int:
    """Return the bytes that a plan predicts if it knows the number of active features."""
    dtype: Any = str(model.dtype).removeprefix("torch.")
    item, device = sweep_dtype(config.sweep_dtype, model.dtype).itemsize, model.input_device.type
    rows = num_sweep_rows(config.sweep_rows, model.shape, num_tokens, item, device)
    per_site = active / model.shape.num_layers / (num_tokens - 1)
    return cost_of(num_tokens, model.shape, transcoders.shape, config, dtype, per_site, rows).bytes.total


HEAD = (
    *("tokens", "sweep in", "active", "rows", *PHASES, "total", "graphs/h", "rows/s", "GFLOP", "of peak"),
    *("peak GB", "graph GB", "planned"),
)


def cells(r: Result) -> list[str]:
    """Return the cells of one line under HEAD."""
    return [
        *(f"{r.tokens}", r.sweep_dtype, f"{r.active:,}", f"{r.rows:,}"),
        *(f"{r.seconds[name]:.3f}" for name in PHASES),
        *(f"{r.total_seconds:.3f}", f"{r.graphs_per_hour:,.0f}", f"{r.rows_per_second:,.0f}"),
        *(f"{r.sweep_flops / 1e9:,.0f}", f"{r.of_peak:.0%}", f"{r.peak_bytes / 1e9:.2f}"),
        *(f"{size / 1e9:.2f}" for size in (r.graph_bytes, r.planned_bytes)),
    ]


def line(cells: Sequence[str]) -> str:
    return " ".join(f"{cell:>9}" for cell in cells)


def benchmark(args: argparse.Namespace, model: Model, transcoders: Transcoders) -> list[Result]:
    """Measure every length in every precision, and print each result as it comes."""
    results: list[Result] = []
    print(line(HEAD), flush=True)
    for num_tokens in args.tokens:
        if num_tokens > model.shape.max_positions:
            print(f"{num_tokens:>9} tokens are more than the model takes ({model.shape.max_positions})", flush=True)
            continue
        for precision in args.sweep_dtype:
            config = TraceConfig(
                max_feature_nodes=args.max_feature_nodes or None,
                round_size=args.round_size,
                sweep_rows=args.sweep_rows,
                sweep_dtype=precision,
                keep_row_mass=args.keep_row_mass,
            )
            try:
                results.append(measure(num_tokens, model, transcoders, config, args.repeats, args.peak_sizes))
                print(line(cells(results[-1])), flush=True)
            except MemoryError as error:
                print(f"{num_tokens:>9} {precision:>9} does not fit into memory: {error}", flush=True)
            gc.collect()
            torch.cuda.empty_cache()  # does nothing without a GPU
    return results


def made(args: argparse.Namespace) -> tuple[Model, Transcoders]:
    """Return model and transcoders, loaded or random."""
    if args.shape is None:
        model = load_model(args.model, args.forward_dtype, args.device)
        return model, load_transcoders(args.transcoders, args.forward_dtype, model.input_device, decoders=args.decoders)
    shape = SHAPES[args.shape]
    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    model = shaped_model(shape, device, getattr(torch, args.forward_dtype))
    transcoders = shaped_transcoders(model, shape, args.features, args.active)
    if args.decoders == "host":
        transcoders.layers = [replace(layer, W_dec_SLD=layer.W_dec_SLD.cpu()) for layer in transcoders.layers]
    return model, transcoders


def rows_or_auto(text: str) -> str | int:
    """Return a number of rows or "auto", as the configuration expects it."""
    return text if text == "auto" else int(text)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="with --transcoders; or else --shape")
    parser.add_argument("--transcoders")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="random model and transcoders of this shape")
    parser.add_argument("--features", type=int, default=16384, help="per layer, with --shape")
    parser.add_argument("--active", type=float, default=75, help="features that fire per token and layer, with --shape")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument(
        "--decoders", default="auto", choices=["auto", "device", "host", "files"], help="where they live"
    )
    parser.add_argument("--forward-dtype", default="float32", choices=["float32", "bfloat16", "float16", "float64"])
    parser.add_argument("--sweep-dtype", nargs="+", default=["float32"], help="float32, tf32, bfloat16, float64")
    parser.add_argument("--tokens", type=int, nargs="+", default=[10, 30, 80, 300, 2000])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--max-feature-nodes", type=int, default=1024, help="0 for every active feature")
    parser.add_argument("--round-size", type=int, default=256)
    parser.add_argument("--sweep-rows", type=rows_or_auto, default=TraceConfig().sweep_rows, help="a number, or auto")
    parser.add_argument("--keep-row-mass", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-sizes", type=int, nargs="+", help="of square products; up to 4096, or 8192 on a GPU")
    parser.add_argument("--json")
    args = parser.parse_args()
    if (args.shape is None) == (args.model is None) or (args.model is None) != (args.transcoders is None):
        parser.error("give --model and --transcoders, or --shape")
    if args.shape is not None and args.decoders == "files":
        parser.error("random transcoders have no files")
    return args


def main() -> None:
    args = parsed()
    torch.set_num_threads(args.threads)
    model, transcoders = made(args)
    device = model.input_device
    on_gpu = device.type == "cuda"
    args.peak_sizes = args.peak_sizes or [1024, 2048, 4096, *([8192] if on_gpu else [])]
    results = benchmark(args, model, transcoders)
    where = torch.cuda.get_device_name(device) if on_gpu else f"{args.threads} CPU threads"
    for precision in args.sweep_dtype:
        peaks = [r.peak_flops_per_second for r in results if r.sweep_dtype == precision]
        print(f"peak of {precision}: {max(peaks, default=0) / 1e9:,.0f} GFLOP/s")
    print(f"forward pass in {args.forward_dtype}, {where}, torch {torch.__version__}")
    if args.json:
        run = vars(args) | {"where": where, "torch": torch.__version__, "results": [r.as_dict() for r in results]}
        Path(args.json).write_text(json.dumps(run, indent=1))


if __name__ == "__main__":
    main()
