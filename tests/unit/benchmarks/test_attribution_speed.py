"""attribution: it times what `attribute` does, says what does not fit, and runs from its options to its table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import nearly

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import attribution
from attribution import PHASES, Phases, counting, within_memory
from shapes import SHAPES, shaped_model, shaped_transcoders

from distributed_tracer import TraceConfig, attribute

CPU = torch.device("cpu")


def test_the_steps_that_are_timed_make_the_graph_that_attribute_makes() -> None:
    shape = SHAPES["tiny"].with_options(num_hidden_layers=3, hidden_size=64, head_dim=8)
    model = shaped_model(shape)
    transcoders = shaped_transcoders(model, shape, num_features=256, num_active=20)
    tokens, config = [1, *range(20, 32)], TraceConfig(max_feature_nodes=150, round_size=50, keep_row_mass=0.9)
    timed = Phases(CPU)
    dense = attribution.trace(tokens, model, transcoders, config, timed)
    graph, expected = dense.whole(), attribute(tokens, model, transcoders, config)
    for name in ("indptr", "source_E", "weight_E", "row_abs_sum_all_N", "influence_N", "tokens_P"):
        np.testing.assert_array_equal(getattr(graph, name), getattr(expected, name))
    assert dense.num_rows == 150 + len(expected.targets)
    assert graph.token_strings == expected.token_strings
    assert min(timed.seconds[name] for name in PHASES) > 0


def test_products_made_in_place_and_into_given_memory_are_counted() -> None:
    a, out = torch.randn(10, 10), torch.zeros(10, 10)
    with counting(CPU) as counted, counted("sweep"):
        torch.mm(a, a, out=out)
        torch.bmm(a[None], a[None], out=out[None])
        out.addmm_(a, a)
    assert counted.flops["sweep"] == 3 * 2 * 10**3


def test_what_does_not_fit_into_memory_is_a_memory_error_and_no_limit_is_left() -> None:
    with pytest.raises(MemoryError, match="tried to allocate"), within_memory(CPU):
        torch.empty(4 * attribution.free_cpu_bytes(), dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="inconsistent tensor size"), within_memory(CPU):
        torch.ones(2) @ torch.ones(3)
    assert len(torch.empty(2**28)) == 2**28


def test_one_line_for_each_length_and_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--shape", "tiny", "--features", "256", "--active", "8", "--threads", "1", "--device", "cpu"]
    options += ["--tokens", "6", "9", "5000", "--sweep-dtype", "float32", "bfloat16", "--max-feature-nodes", "100"]
    options += ["--repeats", "1", "--peak-sizes", "64", "--json", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", ["attribution.py", *options])
    attribution.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [
        [tokens, dtype] for tokens in ("6", "9") for dtype in ("float32", "bfloat16")
    ]
    assert "5000 tokens are more than the model takes (4096)" in lines[5]
    run = json.loads((tmp_path / "out.json").read_text())
    assert [result["tokens"] for result in run["results"]] == [6, 6, 9, 9]
    for result in run["results"]:
        seconds = result["seconds"].values()
        assert result["rows_per_second"] == nearly(result["rows"] / sum(seconds), len(seconds))
        assert result["sweep_flops"] > 1e6
        assert result["peak_bytes"] > 1e8


@pytest.mark.parametrize("options", [[], ["--shape", "tiny", "--model", "m", "--transcoders", "t"], ["--model", "m"]])
def test_either_files_or_a_shape(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["attribution.py", *options])
    with pytest.raises(SystemExit, match="2"):
        attribution.main()
