"""Bytes and operations by hand, and beside what tracing really makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs_of_cases import CASE, TEXTS
from tiny import save_model, save_transcoders, tiny_model

from distributed_tracer.config import TraceConfig
from distributed_tracer.plan.cost import cost_of, resident_bytes
from distributed_tracer.plan.sizing import EDGES_WEIGHTED_AT_ONCE
from distributed_tracer.shapes import ModelShape, TranscoderShape

MODEL = ModelShape("llama", 4, 64, 4, 2, 16, 1000, 512, 1_000_000)
PLT = TranscoderShape("plt", 4, 64, (256,) * 4, "mlp.hook_in", "mlp.hook_out", "relu", False, 132_000)
CLT = replace(PLT, kind="clt", num_parameters=200_000)
TRACE = TraceConfig(max_feature_nodes=100, round_size=256, max_targets=10, sweep_rows=32)


def test_bytes_of_a_prompt_by_hand() -> None:
    cost = cost_of(11, MODEL, PLT, TRACE, "float32", 5, 32)
    slots = 300 + 24 * 4 * 11 + 256 * 4
    assert (cost.num_tokens, cost.num_active, cost.num_rows, cost.sweep_rows) == (11, 200, 110, 32)
    patterns, folded = 4 * 4 * 11**2, 4 * 16 * 64 * (4 + 2)
    assert cost.bytes.forward_cache == 4 * (patterns + 3 * 4 * 11 * 64) + 4 * (patterns + folded) + 4 * 1000
    assert cost.bytes.vectors == 4 * 64 * (slots + 4 * 4 * 11) + 4 * 64 * slots // 4
    assert cost.bytes.rows == 4 * 110 * slots + 4 * 110 * 100
    assert cost.bytes.sweep == 32 * 4 * (11 * (2 * 64 + (2 * 2 + 1 + 2) * 16) + 4 * (2 * 64 + 11))
    assert cost.bytes.assembly == 32 * 32 * 155 + 56 * 110 * 155


def test_the_total_counts_sweeping_and_assembling_once() -> None:
    size = cost_of(11, MODEL, PLT, TRACE, "float32", 5, 32).bytes
    assert size.total == size.forward_cache + size.vectors + size.rows + max(size.sweep, size.assembly)
    assert size.largest() == max(vars(size).items(), key=lambda part: part[1])


def test_a_budget_above_what_fires_is_no_budget() -> None:
    unlimited = replace(TRACE, max_feature_nodes=None)
    assert cost_of(11, MODEL, PLT, replace(TRACE, max_feature_nodes=5000), "float32", 5, 32) == cost_of(
        11, MODEL, PLT, unlimited, "float32", 5, 32
    )


def test_features_of_cross_layer_transcoders_write_one_vector_per_layer() -> None:
    plt, clt = (cost_of(11, MODEL, kind, TRACE, "float32", 5, 32) for kind in (PLT, CLT))
    assert clt.bytes.vectors - plt.bytes.vectors == 4 * 64 * (300 + 24 * 4 * 11 + 256 * 4) * 1.5
    assert clt.num_operations > plt.num_operations


def test_a_sweep_in_half_the_precision_takes_half_the_memory() -> None:
    single, half = (
        cost_of(11, MODEL, PLT, replace(TRACE, sweep_dtype=kind), "float32", 5, 32).bytes
        for kind in ("float32", "bfloat16")
    )
    assert 2 * (half.sweep - 2**28) == single.sweep  # and kernels
    assert half.rows == single.rows  # added up in float32 all the same


def test_dropping_small_edges_makes_the_rows_of_long_prompts_smaller() -> None:
    whole, part = (
        cost_of(2000, MODEL, PLT, replace(TRACE, keep_row_mass=mass), "float32", 50, 32).bytes for mass in (1.0, 0.99)
    )
    assert part.rows < 0.5 * whole.rows


def test_work_grows_faster_than_the_number_of_tokens() -> None:
    short, long = (cost_of(tokens, MODEL, PLT, TRACE, "float32", 50, 32).num_operations for tokens in (20, 40))
    assert 2 * short < long < 4 * short


def test_weights_of_a_worker_by_hand() -> None:
    assert resident_bytes(MODEL, PLT, "float32") == (4_000_000, 528_000)
    assert resident_bytes(MODEL, PLT, "float32", slices=2) == (4_000_000, 264_512)  # biases are not shared
    assert resident_bytes(MODEL, PLT, "float32", decoders="files") == (4_000_000, 528_000 - 4 * 4 * 256 * 64)


def test_a_gpu_holds_all_heads_of_a_row_and_more_edges_at_once() -> None:
    few, many = (replace(MODEL, num_kv_heads=n, num_heads=8) for n in (1, 8))
    of_one, of_all = (
        [cost_of(40, of, PLT, TRACE, "float32", 50, 32, device).bytes.sweep for device in ("cpu", "cuda")]
        for of in (few, many)
    )
    edges = of_one[1] - of_one[0]  # with one key/value head both devices hold the same of a row
    assert edges == 4 * EDGES_WEIGHTED_AT_ONCE
    assert of_all[1] - of_all[0] - edges == 32 * 4 * 40 * 7 * 3 * MODEL.head_dim  # z twice and y, of seven more heads


def tensors_of(held: Any) -> Iterator[torch.Tensor]:
    """Every tensor in the fields of an object of this package."""
    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, list | tuple):
        yield from (tensor for one in held for tensor in tensors_of(one))
    elif is_dataclass(held):
        yield from tensors_of([getattr(held, field.name) for field in fields(held)])


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "phi3", "gemma2", "granite", "cohere", "llama4_text"])
def test_every_copy_of_a_matrix_that_loading_makes_is_counted(architecture: str) -> None:
    """One architecture of each way in which projections share a tensor, and all that scale logits."""
    model = tiny_model(architecture)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.hf.parameters()}
    matrices = [t.untyped_storage() for t in tensors_of(model) if t.ndim > 1]
    copies = {storage.data_ptr(): storage.nbytes() for storage in matrices if storage.data_ptr() not in own}
    planned, _ = resident_bytes(model.shape, PLT, "float32")
    assert planned == 4 * model.shape.num_parameters + sum(copies.values())
    assert bool(copies) == (architecture in ("granite", "cohere"))


def test_a_scaled_unembedding_is_counted_before_any_weight_is_loaded(tmp_path: Path) -> None:
    from distributed_tracer.model.load import load_model, model_shape

    shape = model_shape(str(save_model(tmp_path, "granite")))
    assert shape == load_model(str(tmp_path)).shape
    assert shape.num_copied == shape.vocab_size * shape.d_model


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_what_the_first_slice_holds_whole_is_counted_whole(slices: int, tmp_path: Path) -> None:
    from distributed_tracer.transcoder.load import load_transcoders
    from distributed_tracer.transcoder.shard import Shard

    path = str(save_transcoders(tmp_path, skip=True, size=41))
    first = load_transcoders(path, shard=Shard(0, slices), lazy=False)
    held = sum(4 * tensor.numel() for tensor in tensors_of(list(first.layers)))
    _, planned = resident_bytes(replace(MODEL, d_model=first.shape.d_model), first.shape, "float32", slices)
    layers, width = first.shape.num_layers, first.shape.d_model
    assert held <= planned < held + 4 * layers * (2 * width + 1)  # slices of unequal sizes


@pytest.mark.parametrize("nodes", [None, 50])
def test_planned_tables_are_as_large_as_real_ones(nodes: int | None) -> None:
    from distributed_tracer.model.load import load_model, model_shape
    from distributed_tracer.trace.attribute import attribute
    from distributed_tracer.transcoder.load import load_transcoders, transcoder_shape

    trace = replace(TRACE, max_feature_nodes=nodes)
    model, transcoders = load_model(str(CASE / "model")), load_transcoders(str(CASE / "transcoders"))
    graph = attribute(TEXTS[0], model, transcoders, trace)
    tokens, shape = len(graph.tokens_P), model_shape(str(CASE / "model"))
    per_site = len(graph.active) / (shape.num_layers * (tokens - 1))
    cost = cost_of(tokens, shape, transcoder_shape(str(CASE / "transcoders")), trace, "float32", per_site, 32)
    assert cost.num_active == len(graph.active)
    assert cost.num_rows == len(graph.targets) + min(nodes or len(graph.active), len(graph.active))
    weights = sum(p.numel() * p.element_size() for p in model.hf.parameters())
    assert resident_bytes(shape, transcoders.shape, "float32")[0] == weights
