"""Rows that do not add up to what they explain: no graph, unless it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import save_transcoders, tiny_model

from distributed_tracer import TraceConfig, attribute, load_transcoders
from distributed_tracer.config import SweepPrecision
from distributed_tracer.errors import ConfigError, PromptError
from distributed_tracer.model.model import Model
from distributed_tracer.trace.device import max_closing_error
from distributed_tracer.transcoder.base import Transcoders

TOKENS = [1, *range(10, 24)]


@pytest.fixture
def looks_ahead(tmp_path: Path) -> tuple[Model, Transcoders]:
    """A model whose positions attend to later ones, which edges do not stand for, and transcoders."""
    model = tiny_model("llama")
    model.hf.config.is_causal = False
    return model, load_transcoders(str(save_transcoders(tmp_path)))


def test_a_prompt_whose_rows_do_not_add_up_fails_and_says_by_how_much(looks_ahead: tuple[Model, Transcoders]) -> None:
    with pytest.raises(PromptError, match=r"edges do not add up .*: 0\.\d+ of a row.* rounding explains 0\.0014"):
        attribute(TOKENS, *looks_ahead, TraceConfig(max_feature_nodes=8))


def test_such_a_graph_is_made_where_it_is_allowed(looks_ahead: tuple[Model, Transcoders]) -> None:
    graph = attribute(TOKENS, *looks_ahead, TraceConfig(max_closing_error=10.0))
    assert graph.scores.closing_error > 0.1


@pytest.mark.parametrize("forward", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sweep", ["float32", "bfloat16"])
def test_rounding_alone_lets_no_prompt_fail(tmp_path: Path, forward: torch.dtype, sweep: SweepPrecision) -> None:
    name = str(forward).removeprefix("torch.")
    transcoders = load_transcoders(str(save_transcoders(tmp_path)), name)
    attribute(TOKENS, tiny_model("gemma2", forward), transcoders, TraceConfig(sweep_dtype=sweep))


def test_what_is_allowed_follows_from_the_coarser_precision() -> None:
    def allowed(forward: torch.dtype, sweep: SweepPrecision) -> float:
        return round(max_closing_error(TraceConfig(sweep_dtype=sweep), forward), 4)

    assert allowed(torch.float32, "float32") == allowed(torch.float64, "float64") == 0.0014
    assert allowed(torch.float32, "tf32") == allowed(torch.float16, "float32") == 0.125
    assert allowed(torch.bfloat16, "float32") == allowed(torch.float32, "bfloat16") == 0.3536
    assert max_closing_error(TraceConfig(max_closing_error=2.0), torch.float32) == 2.0


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="max_closing_error"):
        TraceConfig(max_closing_error=value)
