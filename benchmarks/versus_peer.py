"""The same graphs with circuit-tracer and with distributed_tracer, on one machine, taking turns in one run.

    python benchmarks/versus_peer.py --model DIR --transcoders DIR --peer CHECKOUT --peer-python ENV/bin/python
        [--tokens 10 30 80] [--threads 2] [--repeats 2] [--skip-shipped] [--json out.json]
        [--ours NAME:field=value,field=value] ...

The peer is a git checkout of circuit-tracer in an environment of its own, since it needs older libraries:

    python3.11 -m venv ENV
    ENV/bin/pip install torch==2.13.0                                # the same as ours, from the index of your builds
    ENV/bin/pip install transformers==4.57.3 transformer-lens==3.2.1 nnsight==0.6.1 seaborn ipykernel ipywidgets

The peer gets the model's directory in the form of that older transformers (`for_older_transformers`). Its backend
`transformerlens` does not support directories and is patched to read them, Llama's without scaled rotary positions.

The peer runs twice: as shipped, and patched, with its scoring hook replaced at run time by one matrix
product per position. The peer needs most of its time for that hook, and its authors could fix it any day, so the
patched one is the one to compare with. It must give the shipped one's graph on the warm-up prompt, or the run stops.
Each `--ours` is a variant of ours with other fields of TraceConfig. All tools get the same prompts, directories,
targets, budget, round size (four of the peer's batches), threads, float32 weights on the CPU, no constant node, and one
warm-up prompt of 5 tokens.

Every tool is a process of its own that loads once; the others sleep while one works. A graph's seconds are those of
attributing, pruning and saving as each tool ships it: the peer saves the whole dense graph with torch (not its JSON for
viewers, which would come on top); ours saves a part of the store with the pruned graph and all active features, each
file synced to disk (`--ours all:keep_all=true` for the whole graph). Memory is the process's peak during the graph,
with weights, and in brackets its excess over what the process held after the warm-up (weights are mapped: loading alone
touches few of them). Differences are those of the unpruned graphs from the first tool of the table, relative to its
largest edge.

It needs Linux and a quiet machine: with a neighbour on one of the cores, threads wait for each other and spin, and
either side takes up to twenty times as long, in CPU seconds too. If the machine cannot be quiet, use one thread and CPU
seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from graph_difference import Difference, graph_difference
from prose import prompt_tokens
from worker_loop import Worker

from distributed_tracer.config import TraceConfig
from distributed_tracer.model.load import load_tokenizer

HERE = Path(__file__).parent
WARM_UP_TOKENS = 5
BATCHES_PER_ROUND = 4


@dataclass(frozen=True)
class Row:
    """One tool on one prompt; `runs` are the answers of `worker_loop.measure`."""

    tokens: int
    who: str
    active: int
    runs: list[dict[str, Any]]
    held_bytes: int
    difference: Difference | None

    @property
    def best(self) -> float:
        return min(float(run["total_seconds"]) for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(int(run["peak_bytes"]) for run in self.runs)


def variant(text: str) -> tuple[str, dict[str, Any]]:
    """Parse `NAME:field=value,field=value` into name and fields of TraceConfig; values are JSON, or else strings."""
    name, _, assignments = text.partition(":")
    overrides: dict[str, Any] = {}
    for assignment in filter(None, assignments.split(",")):
        field, _, value = assignment.partition("=")
        if field not in (known := [f.name for f in fields(TraceConfig)]):
            raise argparse.ArgumentTypeError(f"TraceConfig has no field {field!r}; it has {', '.join(known)}")
        try:
            overrides[field] = json.loads(value)
        except json.JSONDecodeError:
            overrides[field] = value
    return name, overrides


def prompts(model: str, lengths: list[int]) -> list[list[int]]:
    """Return the first tokens of a fixed text after the leading special token; the warm-up prompt comes first."""
    tokenizer = load_tokenizer(model)
    return [prompt_tokens(tokenizer, length) for length in (WARM_UP_TOKENS, *sorted(lengths))]


def for_older_transformers(model: Path, folder: Path) -> Path:
    """Make a copy of the directory that transformers 4 also understands: links to its files, but two files rewritten.

    Version 5 writes the rotary base inside `rope_parameters`, where version 4 silently takes its default instead, and a
    tokenizer class that version 4 does not know.
    """
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).symlink_to(path)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            config["rope_scaling"] = {name: value for name, value in rope.items() if name != "rope_theta"}
    tokenizer = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    if tokenizer.get("tokenizer_class") == "TokenizersBackend":
        tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    for name, changed in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        (folder / name).unlink()
        (folder / name).write_text(json.dumps(changed), encoding="utf-8")
    return folder


def start(args: argparse.Namespace, warm_up: list[int], folder: Path, stack: ExitStack) -> list[Worker]:
    """Start every tool's process, one after another: the peer shipped, the peer patched, then ours."""
    common = {"threads": args.threads, "warm_up": warm_up, "model": args.model, "transcoders": args.transcoders}
    targets = {"max_n_logits": 10, "desired_logit_prob": 0.95, "max_feature_nodes": args.max_feature_nodes}
    model = for_older_transformers(Path(args.model), folder / "model")
    peer = common | {"peer": args.peer, "backend": args.backend, "model": str(model)}
    peer |= {"attribute": targets | {"batch_size": args.peer_batch, "update_interval": BATCHES_PER_ROUND}}
    trace = {"max_targets": 10, "target_mass": 0.95, "max_feature_nodes": args.max_feature_nodes}
    trace |= {"round_size": args.peer_batch * BATCHES_PER_ROUND, "constant_node": False}
    tools = [("peer shipped", args.peer_python, "peer_run.py", peer | {"patched": False})]
    tools += [("peer patched", args.peer_python, "peer_run.py", peer | {"patched": True})]
    tools += [
        (f"ours {name}", sys.executable, "our_run.py", common | {"trace": trace | overrides})
        for name, overrides in args.ours or [("float32", {})]
    ]
    workers = []
    for number, (who, python, script, options) in enumerate(tools[args.skip_shipped :]):
        command = [python, str(HERE / script)]
        workers.append(stack.enter_context(closing(Worker(who, command, options, folder / str(number)))))
        print(f"{who}: {workers[-1].about}", file=sys.stderr, flush=True)
    return workers


def compare(tokens: list[int], workers: list[Worker], repeats: int, folder: Path) -> list[Row]:
    """Run one prompt with every tool in turn, `repeats` times. Graphs are compared after the first time."""
    runs: list[list[dict[str, Any]]] = [[] for _ in workers]
    differences: list[Difference | None] = []
    for repeat in range(repeats):
        for number, worker in enumerate(workers):
            arrays = folder / f"{number}.npz" if repeat == 0 else None
            runs[number].append(worker.trace(tokens, arrays))
            done = f"{len(tokens)} tokens, repeat {repeat + 1}, {worker.who}"
            print(f"{done}: {runs[number][-1]['total_seconds']:.2f} s", file=sys.stderr, flush=True)
    with np.load(folder / "0.npz", allow_pickle=False) as reference:
        for number in range(len(workers)):
            with np.load(folder / f"{number}.npz", allow_pickle=False) as other:
                differences.append(graph_difference(reference, other) if number else None)
    return [
        Row(len(tokens), worker.who, int(done[0]["active"]), done, int(worker.about["held_bytes"]), difference)
        for worker, done, difference in zip(workers, runs, differences, strict=True)
    ]


def table(rows: list[Row]) -> str:
    """Return one line per prompt and tool, with how many times faster it is by the best seconds."""
    head = ["tokens", "active", "who", "best s", "median s", "CPU s", "x shipped", "x patched", "peak GB (+)"]
    lines = [[*head, "MB saved", "in common", "differs by"]]
    for row in rows:
        of_peer = {other.who: other.best for other in rows if other.tokens == row.tokens}
        times = [of_peer.get(who, float("nan")) / row.best for who in ("peer shipped", "peer patched")]
        median = statistics.median(run["total_seconds"] for run in row.runs)
        cells = [f"{row.tokens}", f"{row.active:,}", row.who, f"{row.best:.2f}", f"{median:.2f}"]
        cells += [f"{min(run['cpu_seconds'] for run in row.runs):.1f}", *(f"{x:.2f}" for x in times)]
        cells += [f"{row.peak_bytes / 1e9:.2f} ({(row.peak_bytes - row.held_bytes) / 1e9:.2f})"]
        cells += [f"{row.runs[0]['saved_bytes'] / 1e6:.2f}"]
        found = row.difference
        cells += ["-", "-"] if found is None else [f"{found.features_in_common:.2%}", f"{found.largest:.1e}"]
        lines.append(cells)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)) for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Hugging Face directory")
    parser.add_argument("--transcoders", required=True, help="directory in circuit-tracer's format")
    parser.add_argument("--peer", required=True, help="git checkout of circuit-tracer")
    parser.add_argument("--peer-python", required=True, help="Python of the peer's environment")
    parser.add_argument("--backend", choices=("nnsight", "transformerlens"), default="nnsight")
    parser.add_argument("--tokens", type=int, nargs="+", default=[10, 30, 80])
    parser.add_argument("--max-feature-nodes", type=int, default=1024)
    parser.add_argument("--peer-batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--ours", type=variant, action="append", metavar="NAME:field=value,...")
    parser.add_argument("--skip-shipped", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    for name in ("model", "transcoders", "peer"):
        setattr(args, name, str(Path(getattr(args, name)).resolve()))
    warm_up, *measured = prompts(args.model, args.tokens)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        workers = start(args, warm_up, Path(folder), stack)
        rows = [row for tokens in measured for row in compare(tokens, workers, args.repeats, Path(folder))]
        about = {worker.who: worker.about for worker in workers}
    print(table(rows))
    if args.json:
        found = {"options": vars(args), "tools": about, "rows": [asdict(row) for row in rows]}
        Path(args.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
