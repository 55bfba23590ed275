"""Every kind of target: tokens, strings, differences, directions, features; any position."""

from __future__ import annotations

import pytest
import torch
from rounding import largest, of_model
from tiny import CASES

from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import TargetError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.model.load import load_model
from distributed_tracer.prompt import Prompt, TargetSpec
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.transcoder.load import load_transcoders

CASE = CASES / "llama_targets"
MODEL, TRANSCODERS = load_model(str(CASE / "model")), load_transcoders(str(CASE / "transcoders"))
TEXT = "Roses are red, violets are"


def _trace(*targets: object, **config: int | float) -> Graph:
    specs = tuple(TargetSpec.parse(target) for target in targets)
    return attribute(Prompt("p", text=TEXT, targets=specs), MODEL, TRANSCODERS, TraceConfig(None, **config))


def _row(graph: Graph, number: int) -> torch.Tensor:
    node = graph.nodes.where(NodeKind.TARGET)[number]
    return torch.from_numpy(graph.adjacency()[graph.dense_index_N()[node]][: len(graph.active) + 85])


def _assert_same(row: torch.Tensor, expected: torch.Tensor, *of: torch.Tensor) -> None:
    """One row computed in two ways, or from others, which may be larger."""
    torch.testing.assert_close(row, expected, rtol=0, atol=of_model(MODEL.shape, largest(expected, *of)))


def test_likely_tokens_until_the_mass_is_reached() -> None:
    few, many = _trace(target_mass=0.2, max_targets=20), _trace(target_mass=0.5, max_targets=20)
    assert len(few.targets) < len(many.targets) < 20
    weights = [target.weight for target in many.targets]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) >= 0.5 > sum(weights[:-1])
    assert len(_trace(max_targets=2, target_mass=1.0).targets) == 2


def test_a_difference_is_the_difference_of_rows() -> None:
    both = _trace(5, 77, {"token": 5, "minus": 77})
    assert both.targets[2].token_id == -1
    assert both.targets[2].weight == 1.0
    first, second = _row(both, 0), _row(both, 1)
    _assert_same(_row(both, 2), first - second, first, second)


def test_strings_name_tokens_and_differences() -> None:
    by_name, by_id = _trace("e", " the", "e -  the"), _trace(71, 263, {"token": 71, "minus": 263})
    assert [t.token_id for t in by_name.targets] == [71, 263, -1]
    assert torch.equal(_row(by_name, 2), _row(by_id, 2)), "the same computation"
    assert by_name.targets[2].label == "e -  the"


def test_a_direction_is_linear_and_weighted() -> None:
    direction = torch.randn(48, generator=torch.Generator().manual_seed(0)).tolist()
    doubled = [2 * x for x in direction]
    graph = _trace({"direction": direction, "weight": 0.25}, {"direction": doubled, "label": "twice"})
    _assert_same(_row(graph, 1), 2 * _row(graph, 0))
    assert [(t.label, t.weight) for t in graph.targets] == [("direction", 0.25), ("twice", 1.0)]


def test_a_feature_target_has_the_features_row() -> None:
    active = _trace().active
    number = len(active) // 2
    layer, position, index = (int(x[number]) for x in (active.layer_A, active.position_A, active.feature_A))
    graph = _trace({"feature": [layer, position, index]})
    dense = torch.from_numpy(graph.adjacency())
    _assert_same(_row(graph, 0), dense[number][: len(active) + 85])
    bias = TRANSCODERS.encoder_rows(layer, torch.tensor([index]))[1]
    off = of_model(MODEL.shape, largest(active.activation_A))
    assert graph.targets[0].value == pytest.approx(float(active.activation_A[number]), abs=off)
    assert graph.scores.closing_error < of_model(MODEL.shape), f"closes with the encoder's bias {float(bias)}"


def test_an_earlier_position_cannot_be_reached_by_later_tokens() -> None:
    graph = _trace({"token": 5, "position": 4})
    target = graph.nodes.where(NodeKind.TARGET)[0]
    sources, weights = graph.row(int(target))
    assert graph.nodes.position_N[sources].max() <= 4
    assert len(weights)
    assert graph.targets[0].position == 4


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (320, "token id 320 is not in the vocabulary of 320"),
        ("violets", "tokens"),
        ({"token": 5, "position": 40}, "position 40 is outside a prompt of 17 tokens"),
        ({"direction": [1.0, 2.0]}, "2 components; the model is 48 wide"),
        ({"feature": [9, 1, 0]}, "feature 9:0 does not exist; there are 4 layers"),
        ({"feature": [1, 1, 10_000]}, "features in layer 1"),
    ],
)
def test_what_does_not_resolve_says_why(target: object, reason: str) -> None:
    with pytest.raises(TargetError, match=reason):
        _trace(target)
