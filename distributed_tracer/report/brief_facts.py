"""Facts of a brief: what it always says of a graph, and rows that it adds while they fit, the most important first.

Axes: N node, E edge, K target, L layer, P position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.context import GraphContext, Group, NodeKey
from ..graph.edge_strength import Rows, has_influence, has_influence_shares, passed_influence, row_sums
from ..graph.graph import Graph
from ..graph.node_keys import node_keys, node_numbers
from ..graph.nodes import NodeKind
from ..graph.subgraph_scores import stored_share, subgraph_scores
from ..query.merged_edges import merged_edges
from ..query.strongest_paths import strongest_paths
from ..query.target_difference import path_sums
from ..table import Table
from .brief_names import LABEL, TOKEN, NodeNames, clipped, fits, quoted, rounded

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
MOST = {"answers": 10, "tokens": 100, "routes": 24, "groups": 100, "features": 500, "edges": 500, "errors": 50}
"""Largest number of rows of each section, in the order of the sections."""
_NEIGHBOURS = 3
"""Number of the strongest inputs and outputs of a group that a brief names."""


@dataclass(frozen=True)
class Section:
    """Rows of one kind, the most important first."""

    rows: list[dict[str, Any]]
    total: int
    """Number of rows that there are in the graph."""
    carried: Floats
    """What the first 0, 1, ... rows carry of what all carry together; NaN if it is not known."""

    @classmethod
    def of(cls, rows: list[dict[str, Any]], sizes: Floats, whole: float | None = None) -> Section:
        """Make a section whose whole is the sum of `sizes`, the sizes of all rows in their order, or `whole`."""
        total = float(sizes.sum()) if whole is None else whole
        sums = np.append(0.0, np.cumsum(sizes))[: len(rows) + 1]
        return cls(rows, len(sizes), sums / total if total > 0 else np.full(len(rows) + 1, np.nan))


@dataclass(frozen=True)
class Facts:
    """All that a brief may say."""

    head: dict[str, Any]
    sections: dict[str, Section]


def facts_of(graph: Graph, context: GraphContext, nodes: Iterable[int | NodeKey] | None, text_limit: int) -> Facts:
    """Return the facts of a graph, or of the subgraph of `nodes`. The errors are those of `node_numbers`."""
    chosen_N = np.ones(len(graph.nodes), dtype=np.bool_)
    if nodes is not None:
        chosen_N = np.isin(graph.nodes.kind_N, (NodeKind.TOKEN, NodeKind.TARGET))
        chosen_N[node_numbers(graph, nodes)] = True
    names, weight_K = NodeNames(graph, context.labels), np.array([target.weight for target in graph.targets])
    head = _head(graph, context, text_limit)
    if nodes is not None:
        head["subgraph"] = _subgraph(graph, chosen_N)
    main = int(np.argmax(np.nan_to_num(weight_K, nan=-1.0))) if len(weight_K) else -1
    if (effects := _effects(graph, main)) is not None:
        head["effects_on"] = clipped(graph.targets[main].label, TOKEN)
    inside = _within(graph, chosen_N)
    return Facts(
        head,
        {
            "answers": _answers(graph, weight_K),
            "tokens": _nodes(graph, NodeKind.TOKEN, chosen_N, names),
            "routes": _routes(inside, names, head),
            "groups": _groups(graph, context.groups, chosen_N),
            "features": _nodes(graph, NodeKind.FEATURE, chosen_N, names, effects),
            "edges": _edges(inside, names),
            "errors": _nodes(graph, NodeKind.ERROR, chosen_N, names),
        },
    )


def _head(graph: Graph, context: GraphContext, text_limit: int) -> dict[str, Any]:
    scores, counts = graph.scores, {kind: int((graph.nodes.kind_N == kind).sum()) for kind in NodeKind}
    text = "".join(graph.token_strings) if graph.text is None else graph.text
    error_share_L = np.array(scores.error_share_L)
    is_known = len(error_share_L) > 0 and bool(np.isfinite(error_share_L).all())
    size: dict[str, Any] = {f"{kind.name.lower()}s": counts[kind] for kind in NodeKind} | {"edges": graph.num_edges}
    if len(graph.active) > counts[NodeKind.FEATURE]:
        size["active_features"] = len(graph.active)
    for name in ("node_threshold", "edge_threshold"):
        if isinstance(threshold := getattr(context, name), int | float):
            size[name] = rounded(threshold)
    if isinstance(imported := graph.metadata.get("imported_format"), str):
        size["imported"] = clipped(imported, TOKEN)
        if has_influence_shares(graph):
            size["influence"] = "shares"
    return {
        "prompt": {
            "id": clipped(graph.prompt_id, max(LABEL, text_limit // 2)),
            "text": clipped(text, text_limit, tail=True),
            "given_as": "tokens" if graph.text is None else "text",
            **({} if fits(text, text_limit) else {"characters": len(text)}),
            "tokens": len(graph.tokens_P),
            "layers": graph.num_layers,
        },
        "scores": {
            "replacement": rounded(scores.replacement),
            "completeness": rounded(scores.completeness),
            "dark_matter": rounded(float(error_share_L.sum())) if is_known else None,
            "darkest_layer": int(error_share_L.argmax()) if is_known and error_share_L.any() else None,
            "constant": rounded(scores.constant_share),
        },
        "graph": size | {"stored_share": rounded(stored_share(graph))},
    }


def _subgraph(graph: Graph, chosen_N: Mask) -> dict[str, Any]:
    is_feature_N = graph.nodes.kind_N == NodeKind.FEATURE
    influence_N, scores = _known_influence(graph), subgraph_scores(graph, np.flatnonzero(chosen_N).tolist())
    whole = float(influence_N[is_feature_N].sum())
    return {
        "features": int((is_feature_N & chosen_N).sum()),
        "influence": rounded(float(influence_N[is_feature_N & chosen_N].sum()) / whole) if whole > 0 else None,
        "replacement": rounded(scores.replacement),
        "completeness": rounded(scores.completeness),
    }


def _known_influence(graph: Graph) -> Floats:
    """Return the influence of every node [N], 0 where it is not known."""
    return np.nan_to_num(graph.influence_N.astype(np.float64))


def _within(graph: Graph, chosen_N: Mask) -> Graph:
    """Return the graph with the edges among chosen nodes alone; their shares stay those of the whole rows."""
    target_E = graph.target_E()
    known = replace(graph, row_abs_sum_N=row_sums(graph).astype(np.float32))
    return _with_edges(known, chosen_N[target_E] & chosen_N[graph.source_E])


def _with_edges(graph: Graph, keep_E: Mask) -> Graph:
    degree_N = np.bincount(graph.target_E()[keep_E], minlength=len(graph.nodes))
    indptr = np.concatenate([[0], np.cumsum(degree_N)]).astype(np.int64)
    return replace(graph, indptr=indptr, source_E=graph.source_E[keep_E], weight_E=graph.weight_E[keep_E])


def _answers(graph: Graph, weight_K: Floats) -> Section:
    order = np.argsort(-np.nan_to_num(weight_K, nan=-1.0), kind="stable")
    rows = [
        {
            "target": clipped(graph.targets[k].label, TOKEN),
            "weight": rounded(graph.targets[k].weight),
            "position": graph.targets[k].position,
        }
        for k in order[: MOST["answers"]].tolist()
    ]
    return Section.of(rows, weight_K[order])


def _routes(graph: Graph, names: NodeNames, head: dict[str, Any]) -> Section:
    """Return the strongest paths from tokens through features; `head` gets the share of direct edges."""
    start_N, target_E = graph.target_weights_N(), graph.target_E()
    whole = float(start_N.sum())
    if not whole > 0:
        return Section([], 0, np.full(1, np.nan))
    kind_N = graph.nodes.kind_N
    is_direct_E = (kind_N[graph.source_E] == NodeKind.TOKEN) & (kind_N[target_E] == NodeKind.TARGET)
    sums_E = row_sums(graph)[target_E[is_direct_E]]
    share_E = np.abs(graph.weight_E[is_direct_E]) / np.where(sums_E > 0, sums_E, 1.0)
    head["direct_routes"] = rounded(float(np.nan_to_num(share_E) @ start_N[target_E[is_direct_E]]) / whole)
    found = strongest_paths(_with_edges(graph, ~is_direct_E), MOST["routes"], begin="token")
    rows = [
        {
            "share": rounded(row["share"] / whole),
            "sign": row["sign"],
            "path": [names.full_name(node) for node in row["nodes"]],
        }
        for row in found.rows()
    ]
    return Section.of(rows, found["share"], whole)


def _groups(graph: Graph, groups: Sequence[Group], chosen_N: Mask) -> Section:
    """Return the groups that have a chosen node; the others count among those that are left out."""
    keys = node_keys(graph) if groups else []
    number_of = {key: number for number, key in enumerate(keys)}
    is_end_N = np.isin(graph.nodes.kind_N, (NodeKind.TOKEN, NodeKind.TARGET))
    ends = np.flatnonzero(is_end_N & chosen_N).tolist() if groups else []
    merged, influence_N = merged_edges(graph, groups, ends), _known_influence(graph)
    members = [[number_of[key] for key in dict.fromkeys(group.members) if key in number_of] for group in groups]
    shown = [place for place, of_one in enumerate(members) if chosen_N[of_one].any()]
    size_of = {place: float(influence_N[members[place]].sum()) for place in shown}
    shown.sort(key=lambda place: (-size_of[place], place))
    end_names = NodeNames(graph, GraphContext().labels)
    rows = [
        {
            "name": clipped(groups[place].name, LABEL),
            "nodes": len(members[place]),
            "missing": len(dict.fromkeys(groups[place].members)) - len(members[place]),
            "influence": rounded(size_of[place]) if has_influence(graph) else None,
            "from": _neighbours(merged, place, "target", "source", groups, end_names),
            "to": _neighbours(merged, place, "source", "target", groups, end_names),
        }
        for place in shown[: MOST["groups"]]
    ]
    sizes = [size_of[place] for place in shown] + [0.0] * (len(groups) - len(shown))
    return Section.of(rows, np.array(sizes))


def _neighbours(
    merged: Table, group: int, side: str, other: str, groups: Sequence[Group], names: NodeNames
) -> list[dict[str, Any]]:
    """Return the other ends of a group's strongest edges, which the table has first."""
    ends = []
    for row in merged.take(np.flatnonzero(merged[f"{side}_group"] == group)[:_NEIGHBOURS]).rows():
        number, node = row[f"{other}_group"], row[f"{other}_node"]
        name = names.name(node) if number < 0 else f"group {quoted(clipped(groups[number].name, LABEL))}"
        ends.append({"name": name, "share": rounded(row["share"])})
    return ends


def _nodes(
    graph: Graph, kind: NodeKind, chosen_N: Mask, names: NodeNames, effects: tuple[Floats, Floats] | None = None
) -> Section:
    """Return nodes of one kind by influence; `effects` are those of all nodes, direct and over all paths."""
    of_kind = np.flatnonzero((graph.nodes.kind_N == kind) & chosen_N)
    size_N = _known_influence(graph)
    if not has_influence(graph):  # then by the shares of rows that come from a node
        size_N = np.bincount(graph.source_E, passed_influence(graph), len(graph.nodes)).astype(np.float64)
    order = of_kind[np.argsort(-size_N[of_kind], kind="stable")]
    rows = []
    for node in order[: MOST[f"{kind.name.lower()}s"]].tolist():
        row: dict[str, Any] = {"name": names.name(node)}
        if kind is not NodeKind.TOKEN:
            row["token"] = names.token(node)
        row["influence"] = rounded(graph.influence_N[node])
        if kind is NodeKind.FEATURE:
            row["activation"] = rounded(graph.nodes.activation_N[node])
        if effects is not None:
            row |= {"direct": rounded(effects[0][node]), "paths": rounded(effects[1][node])}
        if label := names.label(node):
            row["label"] = label
        rows.append(row)
    return Section.of(rows, size_N[order], None if has_influence(graph) else 0.0)


def _effects(graph: Graph, target: int) -> tuple[Floats, Floats] | None:
    """Return the direct effects of all nodes on a target and their path sums, each [N]; None if it is no node."""
    places = graph.nodes.where(NodeKind.TARGET)
    found = places[graph.nodes.feature_N[places] == target]
    if not len(found):
        return None
    sources, weights = graph.row(int(found[0]))
    direct_N = np.zeros(len(graph.nodes))
    direct_N[sources] = weights
    has_sums = np.isfinite(graph.row_abs_sum_N[np.diff(graph.indptr) > 0]).all()
    rows: Rows = "whole" if has_sums else "stored"
    return direct_N, path_sums(graph, int(found[0]), rows)


def _edges(graph: Graph, names: NodeNames) -> Section:
    passed_E, sums_N, target_E = passed_influence(graph), row_sums(graph), graph.target_E()
    order = np.argsort(-passed_E, kind="stable")
    rows = []
    for edge in order[: MOST["edges"]].tolist():
        target, weight = int(target_E[edge]), float(graph.weight_E[edge])
        row: dict[str, Any] = {"from": names.name(int(graph.source_E[edge])), "to": names.name(target)}
        share = weight / sums_N[target] if sums_N[target] > 0 else float("nan")
        rows.append(row | {"weight": rounded(weight), "share": rounded(share)})
    is_known = has_influence(graph) and not has_influence_shares(graph)
    return Section.of(rows, passed_E[order], None if is_known else 0.0)
