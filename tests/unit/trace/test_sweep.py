"""Choices that must not change the rows, and how far a faster precision may."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from frozen import TOKENS, Case, build
from jobs_of_cases import CASE as TRACED
from jobs_of_cases import TEXTS
from rounding import additions, factors, of_norms, of_tiny_model
from tiny import LAYERS, WIDTH
from torch import Tensor

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.trace import attention_backward, column_layout
from distributed_tracer.trace.column_layout import Tiling
from distributed_tracer.trace.encode import encode
from distributed_tracer.trace.rows import RowComputer

ARCHITECTURE = "llama"
FLAVOURS = ("plt-relu-skip", "clt-jumprelu-resid")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    directory = tmp_path_factory.mktemp("sweep")
    return lru_cache(maxsize=None)(lambda flavour: build(directory, ARCHITECTURE, flavour))


def rows_of(
    case: Case, sweep_rows: int = 64, dtype: torch.dtype = torch.float64, zeroed: int = 1, **options: Any
) -> Tensor:
    features = encode(case.model, case.cache, case.transcoders, zeroed, dtype, **options)
    rows = RowComputer(case.model, case.cache, case.transcoders, features, sweep_rows)
    blocks = list(rows.of_features(torch.arange(len(features))))
    order = torch.cat([block.node_B for block in blocks]).argsort()
    return torch.cat([block.edges.take(features.columns.slot_C) for block in blocks])[order]


def assert_same(rows: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(rows, expected, rtol=0, atol=of_tiny_model(expected, dtype=torch.float64))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("sweep_rows", [1, 7, 1000])
def test_rows_do_not_depend_on_how_many_are_swept_together(
    flavour: str, sweep_rows: int, case: Callable[[str], Case]
) -> None:
    assert_same(rows_of(case(flavour), sweep_rows), rows_of(case(flavour)))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    "tiling",
    [
        Tiling(4, 4, 8, block=4, by_width=True),
        Tiling(width=8, block=4),
        Tiling(3, 2, 5),
        Tiling(width=8, block=4, few_calls=True),
        Tiling(3, 2, 5, few_calls=True),
    ],
)
def test_however_columns_are_laid_out_the_rows_are_the_same(
    flavour: str, tiling: Tiling, case: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = rows_of(case(flavour))
    monkeypatch.setattr(Tiling, "of", classmethod(lambda *_: tiling))
    monkeypatch.setattr(column_layout, "SEGMENT_SLACK", 0)
    assert_same(rows_of(case(flavour)), plain)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("stripe", [2, 4])
@pytest.mark.parametrize("few_calls", [False, True])
def test_a_pattern_in_stripes_gives_the_same_rows(
    flavour: str, stripe: int, few_calls: bool, case: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows_of(case(flavour), zeroed=2)
    monkeypatch.setattr(Tiling, "of", classmethod(lambda *_: Tiling(few_calls=few_calls)))
    monkeypatch.setattr(attention_backward, "_STRIPE", stripe)
    assert_same(rows_of(case(flavour), zeroed=2), whole)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("spread_from", [0, 10**9])
def test_rows_join_alone_or_with_those_above_with_the_same_result(
    flavour: str, spread_from: int, case: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = rows_of(case(flavour))
    monkeypatch.setattr(Tiling, "of", classmethod(lambda *_: Tiling(few_calls=True)))
    monkeypatch.setattr(attention_backward, "_SPREAD_FROM", spread_from)
    assert_same(rows_of(case(flavour)), plain)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_vectors_made_again_each_time_give_the_same_rows(flavour: str, case: Callable[[str], Case]) -> None:
    kept, made = (rows_of(case(flavour), keep_vectors=keep) for keep in (True, False))
    torch.testing.assert_close(made, kept, rtol=0, atol=0)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_passes_from_the_lead_is_what_a_gradient_there_finds(flavour: str, case: Callable[[str], Case]) -> None:
    built = case(flavour)
    reaching = replace(built, cache=copy(built.cache))
    reaching.cache.logits = {0: torch.empty(0), **built.cache.logits}  # a target in the lead: gradients go there too
    for zeroed in (1, 3):
        rows, judge = (rows_of(of, zeroed=zeroed) for of in (built, reaching))
        assert float(judge[:, -len(TOKENS) :][:, :zeroed].abs().max()) > 0.01, "something does pass"
        assert_same(rows, judge)


@pytest.mark.parametrize(
    ("dtype", "roundings"),
    [(torch.float32, additions(LAYERS, WIDTH)), (torch.bfloat16, factors(LAYERS))],
)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_faster_precision_is_as_near_to_float64_as_its_roundings_explain(
    flavour: str, dtype: torch.dtype, roundings: int, case: Callable[[str], Case]
) -> None:
    exact, fast = rows_of(case(flavour)), rows_of(case(flavour), dtype=dtype)
    assert fast.dtype == torch.float32
    assert float((fast - exact).norm() / exact.norm()) < of_norms(dtype, roundings)


def test_the_sweep_alone_may_be_float64() -> None:
    model, transcoders = load_model(str(TRACED / "model")), load_transcoders(str(TRACED / "transcoders"))
    single, double = (
        attribute(TEXTS[0], model, transcoders, TraceConfig(None, sweep_dtype=kind)) for kind in ("float32", "float64")
    )
    exact = double.adjacency()
    off = of_norms(torch.float32, additions(model.shape.num_layers, model.shape.d_model))
    assert np.linalg.norm(single.adjacency() - exact) < off * np.linalg.norm(exact)


def test_features_are_chosen_in_float64_as_in_float32() -> None:
    chosen = []
    for dtype in ("float32", "float64"):
        model, transcoders = (
            load_model(str(TRACED / "model"), dtype),
            load_transcoders(str(TRACED / "transcoders"), dtype),
        )
        chosen.append(attribute(TEXTS[0], model, transcoders, TraceConfig(40, 16)).nodes)
    for name in ("layer_N", "position_N", "feature_N"):
        np.testing.assert_array_equal(getattr(chosen[0], name), getattr(chosen[1], name))
