"""Supernodes of features that are known without positions, such as communities, at the positions where they fire.

Axes: A active feature.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..graph.nodes import ActiveTable
from .supernode import Feature, Supernode


def active_supernodes(features: Mapping[str, Collection[tuple[int, int]]], active: ActiveTable) -> list[Supernode]:
    """Return a supernode for each name, of those of its features that are active, at each position where they are.

    `features` has layer and index by name of the supernode; names whose features are all inactive are left out. A
    feature at a position is in each supernode whose features name it.
    """
    names_of: dict[tuple[int, int], list[str]] = {}
    for name, sites in features.items():
        for site in dict.fromkeys(sites):
            names_of.setdefault(site, []).append(name)
    found: dict[str, list[Feature]] = {name: [] for name in features}
    columns = (active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist())
    for layer, position, feature in zip(*columns, strict=True):
        for name in names_of.get((layer, feature), ()):
            found[name].append(Feature(layer, position, feature))
    return [Supernode(name, tuple(own)) for name, own in found.items() if own]
