"""Features without positions become supernodes where they fire."""

from __future__ import annotations

import numpy as np

from distributed_tracer.graph.nodes import ActiveTable
from distributed_tracer.intervene.active_supernodes import active_supernodes
from distributed_tracer.intervene.supernode import Feature, Supernode


def test_features_are_taken_at_each_position_where_they_fire() -> None:
    rows = [(0, 2, 7), (0, 5, 7), (0, 5, 9), (1, 3, 7)]
    layer, position, feature = (np.array(column) for column in zip(*rows, strict=True))
    active = ActiveTable(layer.astype(np.int16), position, feature, np.ones(len(rows), dtype=np.float32))
    named = {"b": [(1, 7), (0, 7), (0, 7)], "nothing": [(2, 7), (1, 9)], "a": [(0, 9), (0, 7)]}
    assert active_supernodes(named, active) == [
        Supernode("b", (Feature(0, 2, 7), Feature(0, 5, 7), Feature(1, 3, 7))),
        Supernode("a", (Feature(0, 2, 7), Feature(0, 5, 7), Feature(0, 5, 9))),
    ]
