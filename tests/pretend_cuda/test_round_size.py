"""On a pretended device, a graph that is made without a plan has the rounds that a plan gives to GPUs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from frozen import FLAVOURS, TOKENS
from tiny import save_transcoders

from distributed_tracer import TraceConfig
from distributed_tracer.trace import attribute as traced
from distributed_tracer.trace.frontier import Frontier

from .device import pretending
from .placing import Placement, placed_model, placed_transcoders


@pytest.mark.parametrize(("placement", "expected"), [("cpu", 256), ("one", 1024)])
def test_rounds_without_a_plan_are_those_of_the_device(
    placement: Placement, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, found = save_transcoders(tmp_path / "transcoders", **FLAVOURS["plt-relu-skip"]), []

    def frontier(directions: object, features: object, config: TraceConfig, error: float) -> Frontier:
        found.append(config.round_size)
        return Frontier(directions, features, config, error)  # type: ignore[arg-type]

    monkeypatch.setattr(traced, "Frontier", frontier)
    with pretending() if placement != "cpu" else nullcontext():
        model, transcoders = placed_model("gpt2", placement), placed_transcoders(source, placement)
        traced.attribute(list(TOKENS), model, transcoders, TraceConfig(4096))
        traced.attribute(list(TOKENS), model, transcoders, TraceConfig(4096, round_size=4000))
    assert found == [expected, 4000]
