"""Suggested groups: the supernodes of `cluster_supernodes` as groups that a store keeps and viewers show."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ConfigError
from ..graph.context import Group, NodeKey
from ..graph.graph import Graph
from ..graph.labels import Labels
from .cluster_supernodes import cluster_supernodes, unique_names
from .supernode import Supernode


def suggest_groups(
    graph: Graph,
    labels: Labels | None = None,
    nodes: Iterable[int | NodeKey] | None = None,
    min_similarity: float = 0.3,
    max_count: int | None = None,
    min_members: int = 2,
) -> list[Group]:
    """Return groups of features of one graph that have the same role, the most influential group first.

    Neither the model nor its transcoders are needed. Groups are those of `cluster_supernodes`, to which `nodes`,
    `min_similarity` and `max_count` belong; those with fewer than `min_members` features are left out. The name of a
    group is the label that most activation stands behind, if that is half of the group's; otherwise it is
    `token → target, layers`, as `cluster_supernodes` says. Names differ from one another. They contain text of prompts
    and labels, which may contain any character.

    The groups are a first guess; docs/interventions.md has measurements. Raises InterventionError for a graph of more
    than 5,000 nodes, which must be pruned first, and ConfigError for nodes that the graph does not have.
    """
    if min_members < 1:
        raise ConfigError(f"min_members must be at least 1, not {min_members}")
    found = cluster_supernodes(graph, min_similarity, max_count, nodes)
    chosen = [supernode for supernode in found if len(supernode.features) >= min_members]
    names = unique_names([_label(supernode, labels or Labels()) or supernode.name for supernode in chosen])
    return [Group(name, _members(supernode)) for name, supernode in zip(names, chosen, strict=True)]


def _label(supernode: Supernode, labels: Labels) -> str:
    """Return the label with the largest sum of activations; empty if that is less than half of all activation.

    The label of one feature among many would be a wrong name for all of them.
    """
    weights: dict[str, float] = {}
    for feature, activation in zip(supernode.features, supernode.activations, strict=True):
        for text in dict.fromkeys(label.text for label in labels.get(feature.layer, feature.feature)):
            weights[text] = weights.get(text, 0.0) + abs(activation)
    best = max(weights, key=lambda text: weights[text], default="")
    return best if 2 * weights.get(best, 0.0) >= sum(map(abs, supernode.activations)) else ""


def _members(supernode: Supernode) -> tuple[NodeKey, ...]:
    return tuple(
        NodeKey("feature", layer, position, feature)
        for layer, position, feature in supernode.features
        if isinstance(position, int)
    )
