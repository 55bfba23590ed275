"""What one pruned graph asks of a GPU, counted on a pretended one: kernel launches, host waits, bytes to the host.

    python benchmarks/gpu_launches.py --shape gemma-2-2b --tokens 64

The model has the shape's layers and heads and narrow layers: launches and waits do not depend on widths. A kernel costs
the host some 5 to 15 microseconds whatever its size, which bounds the graphs per second of a GPU from above.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from prose import prompt_tokens
from shapes import SHAPES, shaped_model, shaped_transcoders

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pretend_cuda.device import pretending
from pretend_cuda.watching import Watched

from distributed_tracer import TraceConfig
from distributed_tracer.model.load import wrap
from distributed_tracer.trace.attribute import attribute_dense
from distributed_tracer.transcoder.loaded import LoadedTranscoders

NARROW = {"hidden_size": 64, "head_dim": 8, "intermediate_size": 64, "vocab_size": 1024}
MICROSECONDS = 13.0
"""Host time of one launch, from launch-bound graphs on an H100."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="gemma-2-2b")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--active", type=float, default=20, help="features that fire per token and layer")
    parser.add_argument("--nodes", type=int, default=1024, help="feature nodes")
    parser.add_argument("--round-size", type=int, default=256)
    args = parser.parse_args()
    shape = SHAPES[args.shape].with_options(**NARROW)
    model = shaped_model(shape)
    transcoders = shaped_transcoders(model, shape, 256, args.active)
    tokens = prompt_tokens(model.tokenizer, args.tokens)
    config = TraceConfig(max_feature_nodes=args.nodes, round_size=args.round_size)
    with pretending(1) as counts:
        model, transcoders = wrap(model.hf.to("cuda"), model.tokenizer), _moved(transcoders)
        counts.reset()
        watched = Watched(counts)
        dense = attribute_dense(tokens, model, transcoders, config, watched.open)
        assembled = counts.launches.total(), counts.waits.total()
        dense.pruned(config.node_threshold, config.edge_threshold)
    rounds = [(launches, waits.total()) for waits, launches in watched.rounds]
    rankings = [(launches, waits.total()) for waits, launches, _ in watched.rankings]
    last = watched.until_last_round
    parts = {
        "forward pass, encoding, targets": watched.until_first_round,
        f"{len(rounds)} rounds, {watched.num_batches} batches": tuple(map(sum, zip(*rounds, strict=True))),
        "choosing features": tuple(map(sum, zip(*rankings, strict=True))),
        "assembling": (assembled[0] - last[0], assembled[1] - last[1]),
        "pruning": (counts.launches.total() - assembled[0], counts.waits.total() - assembled[1]),
        "all": (counts.launches.total(), counts.waits.total()),
    }
    print(
        f"{args.shape}, {len(tokens)} tokens, {len(dense.bare.active):,} active features, {args.nodes:,} feature nodes"
    )
    print(f"{'':36}{'launches':>10}{'waits':>8}{'host s':>8}")
    for name, (launches, waits) in parts.items():
        print(f"{name:36}{launches:>10,}{waits:>8,}{launches * MICROSECONDS / 1e6:>8.2f}")
    print(f"{counts.to_host_bytes / 2**20:.1f} MiB come to the host; the dense graph has {_mib(dense.edges_RM)} MiB")
    print("most waits: " + ", ".join(f"{line} {n:,}" for line, n in Counter(counts.waits).most_common(8)))
    print("most launches: " + ", ".join(f"{line} {n:,}" for line, n in Counter(counts.launches).most_common(8)))


def _moved(transcoders: LoadedTranscoders) -> LoadedTranscoders:
    def moved(value: Any) -> Any:
        return value.to("cuda") if isinstance(value, torch.Tensor) else value

    layers = [replace(of, **{f.name: moved(getattr(of, f.name)) for f in fields(of)}) for of in transcoders.layers]
    device = torch.device("cuda", 0)
    return LoadedTranscoders(transcoders.shape, layers, transcoders.dtype, device, transcoders.shard)


def _mib(edges_RM: torch.Tensor) -> str:
    return f"{edges_RM.nbytes / 2**20:.1f}"


if __name__ == "__main__":
    main()
