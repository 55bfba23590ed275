"""On pretended devices: interventions, generated tokens and the check of edges are those of the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from frozen import FLAVOURS, TOKENS
from tiny import save_transcoders

from distributed_tracer import TraceConfig
from distributed_tracer.evaluate.edge_effects import EdgeEffectMetric
from distributed_tracer.intervene.generate import generate
from distributed_tracer.intervene.intervene import InterventionCase, intervene
from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.table import Table
from distributed_tracer.trace.attribute import attribute

from .device import pretending
from .placing import Placement, placed_model, placed_transcoders

CASE = InterventionCase(
    TOKENS, (Intervention(1, slice(3, None), 5, value=40.0), Intervention(0, slice(-2, None), 7, times=3.0))
)
ROUNDINGS = 256 * torch.finfo(torch.float32).eps
"""How far logits of 3 layers may be apart that were computed in other batches."""


def answers(architecture: str, source: Path, placement: Placement) -> tuple[torch.Tensor, tuple[int, ...], Table]:
    model, transcoders = placed_model(architecture, placement), placed_transcoders(source, placement)
    (effect,) = intervene([CASE], model, transcoders)
    tokens = generate(CASE, model, transcoders, max_new_tokens=5)
    graph = attribute(list(TOKENS), model, transcoders, TraceConfig(20, round_size=8))
    edges = EdgeEffectMetric(sources=4).evaluate_graph(graph, model, transcoders, 4)
    return effect.after.logits_V.cpu(), tokens, edges


@pytest.mark.parametrize("placement", ["one", "split", "split, decoders in files"])
@pytest.mark.parametrize(("architecture", "flavour"), [("gemma2", "clt-jumprelu-resid"), ("gpt2", "plt-relu-skip")])
def test_interventions_are_the_cpus(architecture: str, flavour: str, placement: Placement, tmp_path: Path) -> None:
    source = save_transcoders(tmp_path / "transcoders", **FLAVOURS[flavour])
    logits_V, tokens, edges = answers(architecture, source, "cpu")
    with pretending():
        found_V, found_tokens, found_edges = answers(architecture, source, placement)
    assert (found_V - logits_V).abs().max() <= ROUNDINGS * logits_V.abs().max()
    assert found_tokens == tokens
    assert found_edges["edges"].tolist() == edges["edges"].tolist()
    assert found_edges["edges"].sum() > 0
