"""Growth of cost with rows, positions, active features and layers: each is varied alone, and an exponent is fitted.

    python benchmarks/growth.py [--vary rows positions active layers] [--repeats 3] [--ranked] [--device cuda]

Models and transcoders are random and made in memory (`shapes.py`); everything that is not varied is at its BASE.
rows       features that get a row, the budget `max_feature_nodes`; sampled at random, as a budget of another size or a
           model of other depth would take features of other layers; with --ranked the most influential, as a run does
positions  tokens of the prompt
active     features that fire per token and layer
layers     layers of the model; a row passes through those below its node, (layers - 1) / 2 on average
Seconds are the best of several repeats, which take turns among the values, so that a busy moment does not affect only
one of them. Operations are counted, and are those of matrix products. An exponent is the slope of a line through the
logarithms: 1 where twice as much takes twice as long, less where a part of the work stays the same. `sweep` means the
backward sweeps alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from attribution import Phases, counting, trace
from prose import prompt_tokens
from shapes import SHAPES, shaped_model, shaped_transcoders
from torch import Tensor

from distributed_tracer import TraceConfig
from distributed_tracer.model.model import Model
from distributed_tracer.trace.frontier import Frontier
from distributed_tracer.transcoder.base import Transcoders

BASE = {"rows": 512, "positions": 64, "active": 32, "layers": 6}
VALUES = {
    "rows": (128, 256, 512, 1024, 2048),
    "positions": (16, 32, 64, 128, 256),
    "active": (16, 32, 64, 128, 256),
    "layers": (4, 8, 16, 32),
}
FEATURES = 2048
WHAT = ("seconds", "sweep_seconds", "flops", "sweep_flops")


@dataclass
class Point:
    """One value of the varied quantity and its cost. Operations are those of all phases, or of the sweep."""

    value: int
    active: int
    flops: float
    sweep_flops: float
    seconds: float = float("inf")
    sweep_seconds: float = float("inf")


class ByLot(Frontier):
    """A Frontier that ranks as usual, and then takes equally many active features at random."""

    def next_round(self) -> Tensor | None:
        chosen_F = super().next_round()
        if chosen_F is None:
            return None
        num_done = self.num_rows - len(self.weight_K)
        order_A = torch.randperm(self.num_active, generator=torch.Generator().manual_seed(0))
        return order_A[num_done : num_done + len(chosen_F)].to(chosen_F.device)


class Load:
    """A model, transcoders and a prompt of given sizes, ready to be traced."""

    def __init__(self, sizes: Mapping[str, int], width: int, device: str, ranked: bool) -> None:
        shape = SHAPES["tiny"].with_options(
            num_hidden_layers=sizes["layers"],
            hidden_size=width,
            head_dim=width // 8,
            intermediate_size=3 * width,
        )
        self.model: Model = shaped_model(shape, device)
        self.transcoders: Transcoders = shaped_transcoders(self.model, shape, FEATURES, sizes["active"])
        self.tokens = prompt_tokens(self.model.tokenizer, sizes["positions"])
        self.config = TraceConfig(max_feature_nodes=sizes["rows"], round_size=256, max_targets=1)
        self.frontier = Frontier if ranked else ByLot

    def run(self, timed: Phases) -> int:
        """Trace once, and return the number of active features."""
        graph = trace(self.tokens, self.model, self.transcoders, self.config, timed, self.frontier)
        return len(graph.bare.active)

    def first(self, value: int) -> Point:
        """Count operations, which also warms up."""
        with counting(self.model.input_device) as counted:
            active = self.run(counted)
        return Point(value, active, sum(counted.flops.values()), counted.flops["sweep"])


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the logarithms."""
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def grow(
    varied: str, values: Sequence[int], width: int = 256, repeats: int = 3, device: str = "cpu", ranked: bool = False
) -> list[Point]:
    """Measure the cost of each value of one quantity, with the others at their base."""
    loads = [Load(BASE | {varied: value}, width, device, ranked) for value in values]
    points = [load.first(value) for load, value in zip(loads, values, strict=True)]
    for _ in range(repeats):
        for load, point in zip(loads, points, strict=True):
            timed = Phases(load.model.input_device)
            load.run(timed)
            point.seconds = min(point.seconds, sum(timed.seconds.values()))
            point.sweep_seconds = min(point.sweep_seconds, timed.seconds["sweep"])
    return points


def exponents(points: Sequence[Point]) -> dict[str, float]:
    """Return the exponent of every measured quantity."""
    return {what: exponent([p.value for p in points], [getattr(p, what) for p in points]) for what in WHAT}


def table(varied: str, points: Sequence[Point]) -> str:
    """Return one line per value, and the exponents."""
    fixed = ", ".join(f"{BASE[name]} {name}" for name in BASE if name != varied)
    lines = [f"{varied} (at {fixed})"]
    lines.append("".join(f"{name:>14}" for name in (varied, "active in all", "s", "sweep s", "GFLOP", "sweep GFLOP")))
    for p in points:
        numbers = (p.seconds, p.sweep_seconds, p.flops / 1e9, p.sweep_flops / 1e9)
        lines.append(f"{p.value:>14,}{p.active:>14,}" + "".join(f"{number:>14.3f}" for number in numbers))
    return "\n".join([*lines, f"{'exponent':>28}" + "".join(f"{e:>14.2f}" for e in exponents(points).values())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vary", nargs="+", choices=list(VALUES), default=list(VALUES))
    parser.add_argument("--width", type=int, default=256, help="of the model, a multiple of 16")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ranked", action="store_true", help="rows of the most influential features")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, object] = {}
    for varied in args.vary:
        points = grow(varied, VALUES[varied], args.width, args.repeats, args.device, args.ranked)
        found[varied] = {"points": [asdict(point) for point in points], "exponents": exponents(points)}
        print(table(varied, points), end="\n\n", flush=True)
    print(f"width {args.width}, {FEATURES} features per layer, {args.device}, {args.threads} threads")
    if args.json:
        run = vars(args) | {"base": BASE, "features": FEATURES, "torch": torch.__version__, "found": found}
        Path(args.json).write_text(json.dumps(run, indent=1))


if __name__ == "__main__":
    main()
