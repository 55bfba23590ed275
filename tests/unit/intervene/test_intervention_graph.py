"""Supernodes of the embedded model's own circuits: what is left of them, and what is said instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import largest, of_model

from distributed_tracer import Intervention, ReplacementModel, TraceConfig
from distributed_tracer.errors import InterventionError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.intervene.intervention_graph import AppliedSettings, InterventionGraph, SupernodeSettings
from distributed_tracer.intervene.supernode import Feature, Supernode

DEMO = Path(__file__).parents[3] / "demo"
DALLAS, OAKLAND = (f"Fact: the capital of the state containing {city} is" for city in ("Dallas", "Oakland"))
LAST = 10


@pytest.fixture(scope="module", params=["plt", "clt"])
def replacement(request: pytest.FixtureRequest) -> ReplacementModel:
    return ReplacementModel.load(str(DEMO / "model"), str(DEMO / "transcoders" / request.param))


def early(graph: Graph, name: str) -> Supernode:
    """Features of layers 0 to 2 at the last position: in the demo, the state."""
    nodes = graph.nodes
    chosen = (nodes.kind_N == NodeKind.FEATURE) & (nodes.layer_N < 3) & (nodes.position_N == LAST)
    return Supernode.of_nodes(name, graph, np.flatnonzero(chosen))


def traced(replacement: ReplacementModel, text: str) -> Graph:
    return replacement.trace(text, TraceConfig(max_feature_nodes=128))


@pytest.fixture(scope="module")
def dallas(replacement: ReplacementModel) -> InterventionGraph:
    texas = early(traced(replacement, DALLAS), "Texas")
    bare = Supernode("bare", texas.features[:3], children=("Texas", "answer"))
    return InterventionGraph(replacement, DALLAS, [texas, bare, Supernode("answer", ())])


def shares(applied: AppliedSettings) -> dict[str, tuple[float | None, float | None]]:
    return {reading.supernode.name: (reading.before, reading.after) for reading in applied.readings}


def bare_of(texas: Supernode) -> Supernode:
    """The supernode `bare`, with the activations of its features."""
    return Supernode("bare", texas.features[:3], activations=texas.activations[:3])


def off(replacement: ReplacementModel, of: Supernode) -> float:
    """How far readings of the same may be apart: each is a sum of activations by their sum in another pass."""
    return of_model(replacement.model.shape, largest(of.activations) / np.mean(of.activations))


def test_what_is_set_is_read_as_a_share_of_its_measure(
    dallas: InterventionGraph, replacement: ReplacementModel
) -> None:
    texas, bare = dallas.supernodes["Texas"], bare_of(dallas.supernodes["Texas"])
    applied = dallas.apply({"Texas": 0.25})
    assert shares(applied)["Texas"] == pytest.approx((1.0, 0.25), abs=off(replacement, texas))
    what = "they are features of Texas too"
    assert shares(applied)["bare"] == pytest.approx((1.0, 0.25), abs=off(replacement, bare)), what
    assert shares(applied)["answer"] == (None, None)
    assert [reading.setting for reading in applied.readings] == ["×0.25", None, None]
    by_value = shares(dallas.apply(values={"bare": 2.0}))["bare"][1]
    expected = 3 * 2.0 / sum(bare.activations)
    assert by_value == pytest.approx(expected, abs=expected * off(replacement, bare))


def test_without_a_setting_nothing_changes(dallas: InterventionGraph, replacement: ReplacementModel) -> None:
    applied = dallas.apply()
    texas = dallas.supernodes["Texas"]
    for supernode in (texas, bare_of(texas)):
        assert shares(applied)[supernode.name] == pytest.approx((1.0, 1.0), abs=off(replacement, supernode))
    of_logits = of_model(replacement.model.shape, largest(applied.effect.before.logits_V))
    for _, before, after in applied.next_tokens:  # a probability changes by less than its logit
        assert after == pytest.approx(before, abs=of_logits)
    assert applied.next_tokens[0][0] == " Austin"
    assert len(applied.next_tokens) == 5


def test_a_state_from_another_prompt_brings_its_capital(
    dallas: InterventionGraph, replacement: ReplacementModel
) -> None:
    california = early(traced(replacement, OAKLAND), "California")
    applied = dallas.apply({"Texas": -1.0}, swaps={"Texas": california})
    (said, before, after), *_ = applied.next_tokens
    assert (said, before < 0.1, after > 0.5) == (" Sacramento", True, True)
    assert {token: now for token, _, now in applied.next_tokens}[" Austin"] < 0.05
    assert shares(applied)["Texas"][1] < -0.2, "what only Texas has is at its negative"
    swapped = applied.readings[-1]
    assert (swapped.supernode.name, swapped.replaces, swapped.setting) == ("California", "Texas", "×1")
    assert swapped.before is not None
    assert swapped.before < 0.5
    assert swapped.after == pytest.approx(1.0, abs=off(replacement, california))
    interventions = dallas.interventions({"Texas": -1.0}, swaps={"Texas": california})
    assert replacement.generate(DALLAS, interventions, max_new_tokens=1) == " Sacramento"


def test_apply_is_intervene(dallas: InterventionGraph, replacement: ReplacementModel) -> None:
    applied = dallas.apply({"bare": 3.0}, freeze_attention=False)
    by_hand = [Intervention(*feature, times=3.0) for feature in dallas.supernodes["bare"].features]
    effect = replacement.intervene(DALLAS, by_hand, freeze_attention=False)
    torch.testing.assert_close(applied.effect.after.logits_V, effect.after.logits_V, rtol=0, atol=0)


def test_many_at_once_are_each_alone(dallas: InterventionGraph, replacement: ReplacementModel) -> None:
    texas, bare = dallas.supernodes["Texas"], bare_of(dallas.supernodes["Texas"])
    new = Supernode("new", (Feature(1, 5, 7),), activations=(3.0,))
    within = {supernode.name: off(replacement, supernode) for supernode in (texas, bare, new)}
    setups = [
        SupernodeSettings({"Texas": 0.0}),
        SupernodeSettings(values={"bare": 2.0}),
        SupernodeSettings({"new": 2.0}, swaps={"bare": new}),
    ]
    for setup, applied in zip(setups, dallas.apply_many(setups, num_tokens=3), strict=True):
        alone = dallas.apply(setup.times, setup.values, setup.swaps, num_tokens=3)
        assert [token for token, _, _ in applied.next_tokens] == [token for token, _, _ in alone.next_tokens]
        assert shares(applied).keys() == shares(alone).keys()
        for name, share in shares(alone).items():
            if None not in share:
                assert shares(applied)[name] == pytest.approx(share, abs=2 * within[name]), "of a share of up to 2"


def test_slices_are_read_at_all_of_their_positions(replacement: ReplacementModel) -> None:
    supernode = Supernode("s", (Feature(1, slice(3, None), 7),), activations=(2.0,))
    applied = InterventionGraph(replacement, DALLAS, [supernode]).apply({"s": 1.5})
    assert shares(applied)["s"][1] == 1.5, "2 × 1.5 at each of eight positions: no digit is lost"


def test_the_summary_is_json(dallas: InterventionGraph) -> None:
    moved = Supernode("moved", (Feature(1, slice(3, None, 2), 7), Feature(1, slice(1, 4), 8)), activations=(1.0, 1.0))
    summary = json.loads(json.dumps(dallas.apply(swaps={"bare": moved}).summary()))
    assert summary["prompt"] == DALLAS
    assert [supernode["name"] for supernode in summary["supernodes"]] == ["Texas", "bare", "answer", "moved"]
    assert summary["supernodes"][1]["children"] == ["Texas", "answer"]
    assert summary["supernodes"][3]["features"] == [[1, "3::2", 7], [1, "1:4", 8]]
    assert (summary["supernodes"][1]["set"], summary["supernodes"][3]["set"]) == ("×0", "×1")


def test_what_is_wrong_is_said(dallas: InterventionGraph, replacement: ReplacementModel) -> None:
    texas = dallas.supernodes["Texas"]
    for wrong, says in (
        ([texas, texas], "two supernodes have the name 'Texas'"),
        ([Supernode("a", (), children=("b",))], "no supernode 'b'; there are 'a'"),
        ([Supernode("a", (Feature(9, 1, 1),))], "no layer 9"),
        ([Supernode("a", (Feature(1, 30, 1),))], "position 30"),
    ):
        with pytest.raises(InterventionError, match=says):
            InterventionGraph(replacement, DALLAS, wrong)
    new = Supernode("new", (Feature(1, 5, 7),))
    with pytest.raises(InterventionError, match="no supernode 'Ohio'"):
        dallas.apply({"Ohio": 0.0})
    with pytest.raises(InterventionError, match="set twice"):
        dallas.apply({"Texas": 0.0, "bare": 0.0})
    with pytest.raises(InterventionError, match="is in the graph"):
        dallas.apply(swaps={"bare": texas})
    with pytest.raises(InterventionError, match="give its times"):
        dallas.apply(values={"new": 1.0}, swaps={"bare": new})
