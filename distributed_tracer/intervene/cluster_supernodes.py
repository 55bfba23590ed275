"""Suggested supernodes: groups the features of one graph by what feeds them and by what they feed.

Two features with the same role share sources and targets, although they may have no edge in common, because they sit in
different layers or at different positions. We therefore compare paths, not edges. Let Â be the edges as shares of their
rows, with signs, and B = Â + Â² + ... (the series ends, because edges lead only to higher layers). Row B[f] says what
feeds feature f over all paths, and column B[:, f] says what f feeds. The similarity of two features is the mean of two
cosines: of their rows and of their columns. Groups are merged by complete linkage: the pair of groups whose least
similar members are most similar is merged first, until no two groups are left whose members are all similar enough.
Average linkage was rejected: it leaves one large group and many single features. docs/interventions.md reports how
strongly such groups fire together in other prompts and how similar their effects on the answer are.

Axes: F feature node, N node, E edge, K target, I supernode, X token node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array
from scipy.spatial.distance import squareform

from ..errors import InterventionError
from ..graph.context import NodeKey
from ..graph.edge_strength import passing_influence, row_sums
from ..graph.graph import Graph
from ..graph.node_keys import node_numbers
from ..graph.nodes import NodeKind
from ..moved import former_arguments
from .supernode import Supernode

Floats = npt.NDArray[np.float64]

_MOST_NODES = 5000
"""Largest number of nodes: the dense matrix B then takes 200 MB, and a few matrices of that size exist at once."""
_LEAST_SHARE = 0.05
"""A supernode is another one's child only if it receives at least this share of its input directly from that one."""


@former_arguments(likeness="min_similarity")
def cluster_supernodes(
    graph: Graph,
    min_similarity: float = 0.3,
    max_count: int | None = None,
    nodes: Iterable[int | NodeKey] | None = None,
) -> list[Supernode]:
    """Group feature nodes of a (pruned) graph into supernodes with children and activations.

    All features are grouped, or those among `nodes`, given by number or key; paths may pass through the others.

    The most influential group comes first. Any two features of a group have a similarity of at least `min_similarity`
    (1: identical, 0: nothing in common), unless that would give more groups than `max_count`. Higher values give more
    and purer groups; the default gives groups that carry a role across layers (docs/interventions.md has measurements).
    A name says which token feeds the group most and which target it moves most, with a minus sign if it lowers that
    target. The same graph always gives the same groups. Neither the model nor its transcoders are needed. Where the
    sums of whole rows are not known, as in an imported graph, shares are of the edges that the graph has; if no
    influence is known, all nodes count the same. Raises InterventionError for a graph that is too large, and
    ConfigError for nodes that it does not have.
    """
    if len(graph.nodes) > _MOST_NODES:
        raise InterventionError(
            f"{len(graph.nodes):,} nodes are too many to group: prune to at most {_MOST_NODES:,} first"
        )
    feature_F = graph.nodes.where(NodeKind.FEATURE)
    if nodes is not None:
        feature_F = np.intersect1d(feature_F, node_numbers(graph, nodes))
    if not len(feature_F):
        return []
    share_NN = _shares(graph)
    paths_NN = _paths(graph, share_NN)
    group_F = _groups(_similarity(paths_NN, feature_F), min_similarity, max_count)
    members = [feature_F[group_F == group] for group in np.unique(group_F)]
    influence_N = passing_influence(graph).astype(graph.influence_N.dtype)
    members.sort(key=lambda of_one: (-influence_N[of_one].sum(), of_one[0]))
    names = unique_names([_name(graph, paths_NN, of_one, influence_N) for of_one in members])
    children = _children(influence_N, share_NN, members)
    return [
        replace(Supernode.of_nodes(name, graph, numbers), children=tuple(names[child] for child in of_one))
        for name, numbers, of_one in zip(names, members, children, strict=True)
    ]


def _shares(graph: Graph) -> csr_array:
    """Return each edge as a signed share of its row's normaliser."""
    target_E = graph.target_E()
    sums_E = row_sums(graph)[target_E]
    is_known_E = (sums_E > 0) & np.isfinite(graph.weight_E)
    share_E = np.divide(graph.weight_E, sums_E, out=np.zeros(len(sums_E)), where=is_known_E)
    return csr_array((share_E, (target_E, graph.source_E)), shape=(len(graph.nodes),) * 2)


def _paths(graph: Graph, share_NN: csr_array) -> Floats:
    """Return B = (1 - Â)⁻¹ - 1 by triangular substitution: 1 - Â is triangular when nodes are in the order of layers.

    For 2,300 nodes the whole clustering takes 2.8 s this way; following the paths edge by edge took 24 s.
    """
    order, one_NN = np.argsort(graph.nodes.layer_N, kind="stable"), np.eye(len(graph.nodes))
    back = np.argsort(order)
    upward_NN = share_NN[order][:, order].toarray()
    if np.triu(upward_NN).any():
        raise RuntimeError("an edge of the graph does not lead to a higher layer")
    paths_NN = solve_triangular(one_NN - upward_NN, one_NN, lower=True, unit_diagonal=True) - one_NN
    ordered_NN: Floats = paths_NN[np.ix_(back, back)]
    return ordered_NN


def _similarity(paths_NN: Floats, feature_F: npt.NDArray[np.intp]) -> Floats:
    return (_cosines(paths_NN[feature_F]) + _cosines(paths_NN[:, feature_F].T)) / 2


def _cosines(rows_FN: Floats) -> Floats:
    size_F1 = np.linalg.norm(rows_FN, axis=1, keepdims=True)
    unit_FN = np.divide(rows_FN, size_F1, out=np.zeros_like(rows_FN), where=size_F1 > 0)
    cosine_FF: Floats = unit_FN @ unit_FN.T
    return cosine_FF


def _groups(similarity_FF: Floats, min_similarity: float, max_count: int | None) -> npt.NDArray[np.int32]:
    if len(similarity_FF) == 1:
        return np.ones(1, dtype=np.int32)
    distance_FF = np.clip(1 - (similarity_FF + similarity_FF.T) / 2, 0, None)  # round-off makes them unequal by a bit
    np.fill_diagonal(distance_FF, 0)
    tree = linkage(squareform(distance_FF, checks=False), method="complete")
    group_F: npt.NDArray[np.int32] = fcluster(tree, 1 - min_similarity, criterion="distance")
    if max_count is not None and group_F.max() > max_count:
        group_F = fcluster(tree, max_count, criterion="maxclust")
    return group_F


def _name(
    graph: Graph, paths_NN: Floats, nodes: npt.NDArray[np.intp], influence_N: npt.NDArray[np.floating[Any]]
) -> str:
    """Return the name of a group, such as `Dallas → Austin, layers 0-2`."""
    layer_N, tokens, targets = (
        graph.nodes.layer_N,
        graph.nodes.where(NodeKind.TOKEN),
        graph.nodes.where(NodeKind.TARGET),
    )
    fed_X = np.abs(influence_N[nodes] @ paths_NN[np.ix_(nodes, tokens)])
    name = graph.token_strings[graph.nodes.position_N[tokens[fed_X.argmax()]]].strip()
    if len(targets):
        moved_K = paths_NN[np.ix_(targets, nodes)].sum(1)
        most = int(np.abs(moved_K).argmax())
        label = graph.targets[graph.nodes.feature_N[targets[most]]].label.strip()
        name += f" → {'−' if moved_K[most] < 0 else ''}{label}"
    first, last = layer_N[nodes].min(), layer_N[nodes].max()
    return f"{name}, layer {first}" if first == last else f"{name}, layers {first}-{last}"


def unique_names(names: list[str]) -> list[str]:
    """Append numbers to names that occur several times."""
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _children(
    influence_N: npt.NDArray[np.floating[Any]], share_NN: csr_array, members: list[npt.NDArray[np.intp]]
) -> list[list[int]]:
    """Return, for each group, the groups that receive much of their input directly from it and give less back to it."""
    member_NI = np.zeros((len(influence_N), len(members)))
    for group, nodes in enumerate(members):
        member_NI[nodes, group] = influence_N[nodes] / max(influence_N[nodes].sum(), 1e-30)
    received_II = (np.abs(share_NN) @ (member_NI > 0).astype(np.float64)).T @ member_NI  # [from, to]
    is_child_II = (received_II >= _LEAST_SHARE) & (received_II > received_II.T)
    return [np.flatnonzero(of_one).tolist() for of_one in is_child_II]
