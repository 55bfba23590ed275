"""On a GPU: the same graph as on the CPU, errors as stated, and nothing waits inside a sweep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jobs_of_cases import CASE, TEXTS
from rounding import additions, factors, of_norms

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.config import DecoderPlace, SweepPrecision
from distributed_tracer.graph.graph import Graph
from distributed_tracer.model.forward_cache import run_with_cache
from distributed_tracer.model.tokenize import tokenize
from distributed_tracer.prompt import Prompt
from distributed_tracer.trace.encode import encode
from distributed_tracer.trace.rows import RowComputer
from distributed_tracer.trace.sweep import RowBatch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def traced(device: str, precision: SweepPrecision = "float32") -> Graph:
    model = load_model(str(CASE / "model"), device_map=device)
    transcoders = load_transcoders(str(CASE / "transcoders"), device=device)
    return attribute(TEXTS[0], model, transcoders, TraceConfig(None, sweep_dtype=precision))


NUM_LAYERS, WIDTH = 4, 48  # of the model in CASE
ERRORS = {
    "float32": of_norms(torch.float32, additions(NUM_LAYERS, WIDTH)),
    "tf32": of_norms(torch.float16, factors(NUM_LAYERS)),  # as many digits
    "bfloat16": of_norms(torch.bfloat16, factors(NUM_LAYERS)),
}


@pytest.mark.parametrize(("precision", "error"), ERRORS.items())
def test_edges_are_those_of_the_cpu(precision: SweepPrecision, error: float) -> None:
    expected, found = traced("cpu").adjacency(), traced("cuda", precision).adjacency()
    assert np.linalg.norm(found - expected) <= error * np.linalg.norm(expected)


@pytest.mark.parametrize("place", ["host", "files"])
def test_rows_that_the_host_gathers_are_the_same_and_nothing_waits_for_them(place: DecoderPlace) -> None:
    model = load_model(str(CASE / "model"), device_map="cuda")
    tokens = tokenize(Prompt("p", text=TEXTS[0]), model.tokenizer, model.shape).tokens
    assert tokens is not None
    found = []
    for decoders in ("device", place):
        transcoders = load_transcoders(str(CASE / "transcoders"), device="cuda", decoders=decoders)
        cache = run_with_cache(model, tokens, transcoders.shape.input_site, transcoders.shape.output_site)
        vectors = encode(model, cache, transcoders, 1, keep_vectors=False).source_vectors
        layers = range(model.shape.num_layers)
        for _ in range(2):  # the first time, what all layers share is made
            found.append([vectors_ZD for layer in layers for _, vectors_ZD in vectors.for_layer(layer)])
            torch.cuda.set_sync_debug_mode("error")
        torch.cuda.set_sync_debug_mode("default")
    expected = found[0]
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(expected, other, strict=True))


def test_a_sweep_never_waits_for_the_device() -> None:
    model = load_model(str(CASE / "model"), device_map="cuda")
    transcoders = load_transcoders(str(CASE / "transcoders"), device="cuda")
    tokens = tokenize(Prompt("p", text=TEXTS[0]), model.tokenizer, model.shape).tokens
    assert tokens is not None
    cache = run_with_cache(model, tokens, transcoders.shape.input_site, transcoders.shape.output_site)
    features = encode(model, cache, transcoders, 1)
    sweep = RowComputer(model, cache, transcoders, features, 16).sweep
    layers = [model.shape.num_layers, *reversed(range(model.shape.num_layers))]
    position_B = torch.full((len(layers),), len(tokens) - 1, device="cuda")
    vector_BD = torch.randn(len(layers), model.shape.d_model, device="cuda")
    batch = RowBatch(layers, len(tokens), position_B, vector_BD)
    sweep.rows(batch)  # the first time, buffers are made
    torch.cuda.set_sync_debug_mode("error")
    try:
        sweep.rows(batch)[0].sums()
    finally:
        torch.cuda.set_sync_debug_mode("default")
