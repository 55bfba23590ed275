"""The scales that a store keeps split every edge at one position into its direct part and what attention carries.

Axes: P position, L layer, A active feature, K target, D model width, C column, R row of a graph, X vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen import TOKENS, Case, build
from random_stores import make_store
from rounding import additions, of_roundings, round_off
from tiny import LAYERS, WIDTH
from torch import Tensor

from distributed_tracer.config import TraceConfig
from distributed_tracer.graph.norm_scales import NormScales
from distributed_tracer.model.norm import Norm
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.trace.rows import RowComputer

CASES = [
    ("llama", "plt-topk-normalized"),
    ("llama", "clt-jumprelu-resid"),
    ("qwen3", "plt-relu-skip"),
    ("gemma2", "plt-relu-skip"),
    ("gemma2", "clt-jumprelu-resid"),
    ("gpt2", "plt-topk-normalized"),
    ("gpt_neox", "plt-relu-skip"),
    ("olmo2", "plt-relu-skip"),
    ("granite", "clt-jumprelu-resid"),
]
"""Every kind of norm before and after the MLP, its absence, parallel layers, a factor on what layers add, every site,
a linear skip, and cross-layer transcoders."""

Map = Callable[[Tensor], Tensor]


def weighted(norm: Norm | None, before: bool, magnitude: bool) -> Map:
    """A norm without its scale, as a map of vectors: to what it reads along (`before`), or to what it writes."""
    if norm is None:
        return lambda x_XD: x_XD
    weight = torch.ones(WIDTH, dtype=torch.float64) if norm.weight_D is None else norm.weight_D.double()

    def centre(x_XD: Tensor) -> Tensor:
        mean = x_XD.mean(-1, keepdim=True) * norm.centred
        return x_XD + mean if magnitude else x_XD - mean

    weight = weight.abs() if magnitude else weight
    return lambda x_XD: centre(x_XD * weight) if before else centre(x_XD) * weight


def direct_parts(case: Case, scales: NormScales, *, magnitude: bool = False) -> Tensor:
    """The direct part (and what linear skips carry) of every edge from a feature [A + K, A], as FORMAT.md states it.

    With `magnitude`, every number is replaced by its absolute value, which gives what the roundings are relative to.
    """
    model, transcoders, features = case.model, case.transcoders, case.features
    sites = (transcoders.shape.input_site, transcoders.shape.output_site)
    signed: Map = torch.abs if magnitude else torch.clone
    read_PL, write_PL, final_P = (torch.from_numpy(of).double() for of in vars(scales).values())
    layer_A, position_A = features.layer_A.tolist(), features.position_A.tolist()
    write_maps, read_maps = [], []
    for layer in model.layers:
        read_weight = layer.mlp_norm if sites[0] != "hook_resid_mid" else None
        if read_weight is not None and sites[0] == "ln2.hook_normalized":
            read_weight = replace(read_weight, weight_D=None)
        read_maps.append(weighted(read_weight, True, magnitude))
        write_maps.append(weighted(None if sites[1] == "hook_mlp_out" else layer.mlp_post_norm, False, magnitude))
    final = weighted(model.final_norm, True, magnitude)

    written_LAD = torch.zeros(LAYERS, len(features), WIDTH, dtype=torch.float64)
    for number, (layer, feature) in enumerate(zip(layer_A, features.feature_A, strict=True)):
        for to in range(layer, LAYERS if transcoders.shape.kind == "clt" else layer + 1):
            vector_D = transcoders.decoder_rows(layer, feature[None], to)[0]
            written_LAD[to, number] = write_maps[to](signed(vector_D)) * features.activation_A[number]

    parts = torch.zeros(len(features) + len(case.directions.targets), len(features), dtype=torch.float64)
    ends = [(layer, p, None) for layer, p in zip(layer_A, position_A, strict=True)]
    ends += [
        (LAYERS, p, vector) for p, vector in zip(case.directions.position_K, case.directions.vector_KD, strict=True)
    ]
    for row, (end, p, vector) in enumerate(ends):
        if vector is not None:
            g_D = final(signed(vector)) * final_P[p]
        else:
            encoder_1D, _ = transcoders.encoder_rows(end, features.feature_A[row : row + 1])
            g_D = read_maps[end](signed(encoder_1D[0])) * read_PL[p, end]
        for layer in reversed(range(end)):
            parts[row] += write_PL[p, layer] * (written_LAD[layer] @ g_D) * (features.position_A == p)
            if (skip_DD := case.skips[layer]) is not None:
                columns_XD = write_maps[layer](signed(skip_DD).T) * write_PL[p, layer]
                g_D = g_D + read_maps[layer](columns_XD @ g_D) * read_PL[p, layer]
    return parts


@pytest.mark.parametrize(("architecture", "flavour"), CASES)
def test_direct_and_attention_add_up_to_every_stored_edge(architecture: str, flavour: str, tmp_path: Path) -> None:
    case = build(tmp_path, architecture, flavour)
    config = TraceConfig(None, max_targets=3, sweep_dtype="float64")
    made = attribute(list(TOKENS), case.model, case.transcoders, config)
    graph = make_store(str(tmp_path / "store"), [made]).graph(made.prompt_id)
    assert graph.scales is not None
    num_active, num_targets = len(case.features), len(case.directions.targets)
    assert np.array_equal(graph.active.feature_A, case.features.feature_A)

    cut_cache = replace(case.cache, patterns_HPP=[torch.zeros_like(pattern) for pattern in case.cache.patterns_HPP])
    cut = replace(case, rows=RowComputer(case.model, cut_cache, case.transcoders, case.features, sweep_rows=64))
    cut_RA, whole_RA = (of.all_rows()[0][:, :num_active] for of in (cut, case))
    attention_RA = whole_RA - cut_RA

    direct_RA, magnitude_RA = direct_parts(case, graph.scales), direct_parts(case, graph.scales, magnitude=True)
    relative = of_roundings(torch.float32, 2 * (LAYERS + 1)) + round_off(torch.float64, additions(LAYERS, WIDTH))
    off_RA = relative * magnitude_RA
    assert ((direct_RA - cut_RA).abs() <= off_RA).all()
    adjacency = torch.from_numpy(graph.adjacency()).double()
    edges_RA = torch.cat([adjacency[:num_active, :num_active], adjacency[len(adjacency) - num_targets :, :num_active]])
    off_RA += of_roundings(torch.float32, 1) * edges_RA.abs()
    off_RA += round_off(torch.float64, 2 * additions(LAYERS, WIDTH)) * (magnitude_RA + attention_RA.abs().max())
    assert ((direct_RA + attention_RA - edges_RA).abs() <= off_RA).all()

    both_RA = (direct_RA.abs() > off_RA) & (attention_RA.abs() > off_RA)
    assert both_RA[:num_active].any()  # an edge between features has two parts to be told apart
    assert both_RA[num_active:].any()
