"""On pretended devices: every architecture, transcoder and placement gives the CPU's graph, and nothing mixes devices.

The CPU's rows are judged in `tests/oracle`. Two graphs differ by rounding only: a device has larger batches than a CPU.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from frozen import DECISIVE, FLAVOURS, TOKENS, node_names
from tiny import ARCHITECTURES, save_transcoders

from distributed_tracer import TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.trace.attribute import attribute_dense

from .device import pretending
from .placing import Placement, placed_model, placed_transcoders

CONFIGS = {
    "float32": TraceConfig(40, round_size=16),
    "tf32": TraceConfig(40, round_size=16, sweep_dtype="tf32"),
    "bfloat16": TraceConfig(40, round_size=16, sweep_dtype="bfloat16"),
    "keep_row_mass": TraceConfig(40, round_size=16, keep_row_mass=0.9),
}
UNIT = {"float32": 2.0**-24, "tf32": 2.0**-24, "keep_row_mass": 2.0**-24, "bfloat16": 2.0**-9}
"""Largest relative error of rounding a number once, on a CPU, which computes tf32 in float32."""
ROUNDINGS = 64
"""How many roundings may add up along the forward pass, the encoders and the sweep, at 3 layers."""
PLACEMENTS: tuple[Placement, ...] = tuple(p for p in get_args(Placement) if p != "cpu")
EVERY = [(a, f, p, c) for (a, f), p, c in product(DECISIVE, PLACEMENTS, CONFIGS)]
_IN_TURN = list(product(CONFIGS, FLAVOURS, PLACEMENTS))
SOME = [(a, *_IN_TURN[number * 7 % len(_IN_TURN)]) for number, a in enumerate(ARCHITECTURES)]
"""Every way to build a layer once, with configurations, flavours and placements in turn."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("transcoders")
    return {flavour: save_transcoders(folder / flavour, **options) for flavour, options in FLAVOURS.items()}


def traced(architecture: str, source: Path, placement: Placement, config: TraceConfig) -> Graph:
    model, transcoders = placed_model(architecture, placement), placed_transcoders(source, placement)
    dense = attribute_dense(list(TOKENS), model, transcoders, config)
    return dense.whole() if config.keep_all else dense.pruned(config.node_threshold, config.edge_threshold)


def check(architecture: str, source: Path, placement: Placement, config: str) -> None:
    expected = traced(architecture, source, "cpu", CONFIGS[config])
    with pretending():
        found = traced(architecture, source, placement, CONFIGS[config])
    if config != "bfloat16":  # coarser rounding decides which of two similar nodes stays
        assert node_names(found) == node_names(expected)
        difference = np.linalg.norm(found.adjacency() - expected.adjacency())
        assert difference <= ROUNDINGS * UNIT[config] * np.linalg.norm(expected.adjacency())
    for name in ("replacement", "completeness"):
        assert abs(getattr(found.scores, name) - getattr(expected.scores, name)) <= ROUNDINGS * UNIT[config]


@pytest.mark.parametrize(("architecture", "config", "flavour", "placement"), SOME)
def test_graphs_are_the_cpus(
    architecture: str, config: str, flavour: str, placement: Placement, sources: dict[str, Path]
) -> None:
    if (architecture, flavour) not in DECISIVE:
        flavour = "plt-relu-skip"
    check(architecture, sources[flavour], placement, config)


@pytest.mark.thorough
@pytest.mark.parametrize(("architecture", "flavour", "placement", "config"), EVERY)
def test_every_combination_gives_the_cpus_graph(
    architecture: str, flavour: str, placement: Placement, config: str, sources: dict[str, Path]
) -> None:
    check(architecture, sources[flavour], placement, config)
