"""Interventions per second with circuit-tracer and with distributed_tracer, on one machine, taking turns in one run.

    python benchmarks/interventions.py --model DIR --transcoders DIR --peer CHECKOUT --peer-python ENV/bin/python
        [--tokens 10 30] [--count 32] [--batch 1 8 32] [--threads 2] [--repeats 3]

Each intervention turns off one active feature, sampled at random, and reads the logits at the last position. There are
three modes: *direct*, with everything else held; *frozen*, with attention patterns held; *reacting*, with nothing held.
The peer has one call for each intervention; ours run one at a time and in batches. versus_peer.py describes the peer's
environment. Its backend nnsight takes token ids only where something is held (`--ways direct frozen`). Logits are
compared with the peer's, relative to the largest distance by which any of the interventions moves a logit from where
most interventions leave it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from versus_peer import HERE, for_older_transformers, prompts
from worker_loop import Worker

from distributed_tracer.table import Table

MODES = ("direct", "frozen", "reacting")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Hugging Face directory")
    parser.add_argument("--transcoders", required=True, help="directory in circuit-tracer's format")
    parser.add_argument("--peer", required=True, help="git checkout of circuit-tracer")
    parser.add_argument("--peer-python", required=True, help="Python of the peer's environment")
    parser.add_argument("--backend", choices=("transformerlens", "nnsight"), default="transformerlens")
    parser.add_argument("--ways", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--tokens", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    for name in ("model", "transcoders", "peer"):
        setattr(args, name, str(Path(getattr(args, name)).resolve()))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        common = {"threads": args.threads, "model": args.model, "transcoders": args.transcoders}
        ours = stack.enter_context(
            closing(Worker("ours", [sys.executable, str(HERE / "our_interventions.py")], common, folder / "ours"))
        )
        asked = [
            (tokens, *active_sites(ours, tokens, args.count, folder)) for tokens in prompts(args.model, args.tokens)
        ]
        old = str(for_older_transformers(Path(args.model), folder / "model"))
        command = [args.peer_python, str(HERE / "peer_interventions.py")]
        options = common | {"model": old, "peer": args.peer, "backend": args.backend, "num_layers": asked[0][2]}
        peer = stack.enter_context(closing(Worker("peer", command, options, folder / "peer")))
        print(f"peer: {peer.about}", file=sys.stderr, flush=True)
        tools = [(peer, 1), *((ours, batch) for batch in args.batch)]
        warm_up, *measured = asked
        for mode in args.ways:
            for tool, batch in tools:
                seconds_of(tool, warm_up[0], warm_up[1][:batch], mode, batch, folder / "warm.npy")
        rows = [
            row
            for tokens, sites, _ in measured
            for mode in args.ways
            for row in compare(tools, tokens, sites, mode, args.repeats, folder)
        ]
    names = ("tokens", "way", "who", "at once", "per second", "times the peer", "differs by")
    table = Table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    print(table.format(max_rows=len(table)))


def active_sites(ours: Worker, tokens: list[int], count: int, folder: Path) -> tuple[list[list[int]], int]:
    """Return `count` active features, sampled at random, and the number of layers."""
    out = folder / "sites.npy"
    answer = ours.ask({"tokens": tokens, "sites": [], "mode": "frozen", "batch": 1, "out": str(out)})
    every = np.load(out, allow_pickle=False)
    chosen = np.random.default_rng(0).choice(len(every), min(count, len(every)), replace=False)
    return every[np.sort(chosen)].tolist(), int(answer["num_layers"])


def seconds_of(tool: Worker, tokens: list[int], sites: list[list[int]], mode: str, batch: int, out: Path) -> float:
    question = {"tokens": tokens, "sites": sites, "mode": mode, "batch": batch, "out": str(out)}
    return float(tool.ask(question)["seconds"])


def compare(
    tools: list[tuple[Worker, int]], tokens: list[int], sites: list[list[int]], mode: str, repeats: int, folder: Path
) -> list[tuple[Any, ...]]:
    """Return a row for each tool, with the best of the repeats, in which the tools take turns."""
    best = [float("inf")] * len(tools)
    for _ in range(repeats):
        for number, (tool, batch) in enumerate(tools):
            seconds = seconds_of(tool, tokens, sites, mode, batch, folder / f"{number}.npy")
            print(
                f"{len(tokens)} tokens, {mode}, {tool.who}, {batch} at once: {seconds:.2f} s",
                file=sys.stderr,
                flush=True,
            )
            best[number] = min(best[number], seconds)
    logits = [np.load(folder / f"{number}.npy", allow_pickle=False) for number in range(len(tools))]
    scale = np.abs(logits[0] - np.median(logits[0], axis=0)).max()
    return [
        (
            len(tokens),
            mode,
            tool.who,
            batch,
            f"{len(sites) / seconds:.1f}",
            f"{best[0] / seconds:.1f}",
            f"{np.abs(found - logits[0]).max() / scale:.1e}",
        )
        for (tool, batch), seconds, found in zip(tools, best, logits, strict=True)
    ]


if __name__ == "__main__":
    main()
