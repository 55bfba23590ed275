from __future__ import annotations

import numpy as np
import pytest
from random_graphs import random_graph

from distributed_tracer.errors import InterventionError
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.intervene.supernode import Feature, Supernode

TEXAS = Supernode("Texas", (Feature(1, 8, 5), Feature(2, 9, 7)), activations=(2.0, 3.0))


def test_multiples_are_of_what_the_features_had_where_they_were_found() -> None:
    assert TEXAS.times(-2.0) == (Intervention(1, 8, 5, value=-4.0), Intervention(2, 9, 7, value=-6.0))
    bare = Supernode("Texas", TEXAS.features)
    assert bare.times(-2.0) == (Intervention(1, 8, 5, times=-2.0), Intervention(2, 9, 7, times=-2.0))
    assert TEXAS.value(4.0) == bare.value(4.0) == (Intervention(1, 8, 5, value=4.0), Intervention(2, 9, 7, value=4.0))


def test_features_are_moved_to_one_position_or_each_to_its_own() -> None:
    assert TEXAS.at(slice(3, None)).features == ((1, slice(3, None), 5), (2, slice(3, None), 7))
    assert TEXAS.at({8: 4, 9: -1}).features == ((1, 4, 5), (2, -1, 7))
    assert TEXAS.at({8: 4, 9: -1}).activations == TEXAS.activations
    with pytest.raises(InterventionError, match="'Texas' has a feature at 9, for which there is no new position"):
        TEXAS.at({8: 4})


@pytest.mark.parametrize("where", [6, slice(6, None)])
def test_of_features_that_meet_the_strongest_stays(where: int | slice) -> None:
    both = Supernode("x", ((1, 2, 5), (1, 3, 5), (1, 4, 5)), activations=(1.0, 3.0, 2.0))  # type: ignore[arg-type]
    assert both.at(where) == Supernode("x", (Feature(1, where, 5),), activations=(3.0,))


def test_nodes_of_a_graph_bring_their_activations() -> None:
    graph = random_graph(seed=3)
    features = graph.nodes.where(NodeKind.FEATURE)[[1, 4]]
    found = Supernode.of_nodes("x", graph, features)
    for feature, activation, node in zip(found.features, found.activations, features, strict=True):
        assert feature == (graph.nodes.layer_N[node], graph.nodes.position_N[node], graph.nodes.feature_N[node])
        assert activation == np.float32(graph.nodes.activation_N[node])
    for wrong in (int(graph.nodes.where(NodeKind.TOKEN)[0]), -1, len(graph.nodes)):
        with pytest.raises(InterventionError, match=f"node {wrong} is not a feature"):
            Supernode.of_nodes("x", graph, [wrong])


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(InterventionError, match="has 2 features but 1 activations"):
        Supernode("x", TEXAS.features, activations=(1.0,))
    with pytest.raises(InterventionError, match="must be a finite number, not nan"):
        Supernode("x", TEXAS.features, activations=(1.0, float("nan")))
