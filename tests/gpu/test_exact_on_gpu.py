"""On a GPU: every architecture with every kind of transcoder gives the CPU's graph.

The CPU's rows are judged in `tests/oracle` by autograd through the library's own modules; here the device is judged by
the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen import DECISIVE, FLAVOURS, TOKENS, node_names
from tiny import TOKENIZER, hf_model, save_transcoders
from transformers import AutoTokenizer

from distributed_tracer import TraceConfig, load_transcoders
from distributed_tracer.model.load import wrap
from distributed_tracer.model.model import Model
from distributed_tracer.trace.attribute import attribute_dense
from distributed_tracer.trace.dense_graph import DenseGraph

DEVICE = os.environ.get("GPU_TESTS_DEVICE", "cuda")
"""`cpu` runs these tests without a GPU, to try the tests themselves."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device"),
]

UNIT = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-9}
"""Largest relative error of rounding a number once."""
FORWARD, SWEEP = 64, 8
"""How many roundings may add up: along the forward pass and the encoders (3 layers of some ten products, softmax and
norms, in the forward pass's precision), and along the sweep (two products a layer, their errors at random)."""


@lru_cache(maxsize=2)
def model_on(architecture: str, device: str, dtype: torch.dtype) -> Model:
    return wrap(hf_model(architecture).to(device, dtype), AutoTokenizer.from_pretrained(TOKENIZER))


TERMS = 4096
"""A row has some hundred terms, and the sum of their sizes may be some ten times the value that they add up to."""

Traced = Callable[[str, str, str, TraceConfig], DenseGraph]


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    def trace(architecture: str, flavour: str, device: str, config: TraceConfig) -> DenseGraph:
        source = tmp_path / flavour
        if not source.exists():
            save_transcoders(source, **FLAVOURS[flavour])
        dtype = torch.float64 if config.sweep_dtype == "float64" else torch.float32
        model = model_on(architecture, device, dtype)
        name = str(dtype).removeprefix("torch.")
        return attribute_dense(list(TOKENS), model, load_transcoders(str(source), name, model.input_device), config)

    return trace


@pytest.mark.parametrize("precision", UNIT)
@pytest.mark.parametrize(("architecture", "flavour"), DECISIVE)
def test_edges_are_the_cpus(architecture: str, flavour: str, precision: str, traced: Traced) -> None:
    expected = traced(architecture, flavour, "cpu", TraceConfig(None)).whole()
    found = traced(architecture, flavour, DEVICE, TraceConfig(None, sweep_dtype=precision)).whole()
    assert node_names(found) == node_names(expected)
    difference = np.linalg.norm(found.adjacency() - expected.adjacency())
    bound = FORWARD * UNIT["float32"] + SWEEP * UNIT[precision]
    assert difference <= bound * np.linalg.norm(expected.adjacency())


@pytest.mark.parametrize(("architecture", "flavour"), DECISIVE)
def test_rows_add_up_in_float64(architecture: str, flavour: str, traced: Traced) -> None:
    """Models compute parts in float32 in any case, and differ by that between devices; what a row says may not."""
    dense = traced(architecture, flavour, DEVICE, TraceConfig(None, sweep_dtype="float64"))
    assert dense.bare.scores.closing_error <= TERMS * 2.0**-53


@pytest.mark.parametrize(("architecture", "flavour"), DECISIVE)
def test_the_same_features_are_chosen_and_the_same_nodes_survive_pruning(
    architecture: str, flavour: str, traced: Traced
) -> None:
    config = TraceConfig(40, round_size=8, keep_row_mass=0.9)
    expected, found = (traced(architecture, flavour, device, config) for device in ("cpu", DEVICE))
    assert node_names(found.whole()) == node_names(expected.whole())
    assert node_names(found.pruned(0.8, 0.98)) == node_names(expected.pruned(0.8, 0.98))
