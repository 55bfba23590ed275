"""Picture of a consensus graph: layers upward, without positions, edges by the share of clusters that have them.

Axes: N node, E edge, P position (all nodes share one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..graph.graph import Graph, Scores, Target
from ..graph.labels import Labels
from ..graph.nodes import ActiveTable, NodeKind, NodeTable
from ..table import Table
from ..text import counted
from . import fonts, style
from .graph import compose, legend_entries
from .layout import Cell, lay_out
from .panel import GAP, RIGHT, Panel, Sizes, sizes_of
from .selection import Selection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_EDGES, MOST_LABELS = 80, 40
"""What is drawn unless the caller says so: edges, and features with labels."""
_LEAST_WIDTH = 5.0  # inches
_LINE, _LINES = 16, 2  # of what somebody says about a feature: characters of a line, and lines
_SPACE = 0.06  # inches between the names of two nodes
_QUOTED = re.compile(r"(?:token|target) '(.*)'|(?:token|target) \"(.*)\"", re.DOTALL)


class _Node(NamedTuple):
    kind: int
    layer: int
    feature: int
    name: str


@style.in_own_style
def draw_consensus(
    edges: Table,
    nodes: Table,
    facts: Mapping[str, Any],
    *,
    labels: Labels | None = None,
    max_edges: int = MOST_EDGES,
    num_labels: int = MOST_LABELS,
) -> Figure:
    """Draw the edges of a consensus graph that most clusters have, and their ends.

    `edges`, `nodes` and `facts` are those of `consensus_graph` or of a result of `mine consensus`. The width of an edge
    shows its frequency, the share of the clusters that include it; of equally frequent ones those with the largest
    share of influence come first. Blue edges raise their target, orange ones lower it. The area of a node shows its
    influence. The `num_labels` most influential features have their `layer:index` and what `labels` say about them.
    Raises ConfigError without matplotlib, and if there are no edges.
    """
    is_in = edges.where(edges["status"] == "in")
    if not len(is_in):
        raise ConfigError("the consensus graph has no edges to draw: a lower --threshold or --within may find some")
    drawn = is_in.take(np.lexsort((-is_in["share"], -is_in["frequency"]))[:max_edges][::-1])
    graph, found, frequency_E = _graph(drawn, nodes)
    panel = _panel(graph, found, frequency_E, labels or Labels(), num_labels)
    said = [f"drawn are {len(drawn):,} of {len(is_in):,} edges, the most frequent"] if len(drawn) < len(is_in) else []
    num_ends = int((nodes["status"] == "in").sum()) - len(found)
    if num_ends > 0:
        said.append(f"{counted(num_ends, 'node')} of the graph without such edges are not drawn")
    said.append("the width of an edge is the share of the clusters that include it; influence is a mean over clusters")
    lines = style.note_lines(said, panel.texts)
    return compose([panel], [_title(drawn, facts)], legend_entries([panel]), lines, sizes_of(None), [{}])


def _title(drawn: Table, facts: Mapping[str, Any]) -> str:
    clusters, prompts = counted(int(facts["clusters"]), "cluster"), counted(int(facts["prompts"]), "prompt")
    edges, nodes = counted(int(facts["edges_in"]), "edge"), counted(int(facts["nodes_in"]), "node")
    lines = [f"consensus of {prompts} in {clusters}", f"{edges} and {nodes} of rule {facts['rule']}"]
    least, most = (f"{float(end):.0%}" for end in (drawn["frequency"].min(), drawn["frequency"].max()))
    drawn_share = least if least == most else f"{least} to {most}"
    return "\n".join([*lines[:1], f"{lines[1]}; drawn are edges of {drawn_share} of the clusters"])


def _graph(edges: Table, nodes: Table) -> tuple[Graph, list[_Node], npt.NDArray[np.float64]]:
    """Return the edges as a graph whose nodes all have the same position, its nodes, and the frequency of its edges."""
    ends = {side: _ends(edges, side) for side in ("source", "target")}
    found = sorted({*ends["source"], *ends["target"]})
    number_of = {node: number for number, node in enumerate(found)}
    columns = (nodes["kind"].tolist(), nodes["layer"].tolist(), nodes["feature"].tolist(), nodes["influence"].tolist())
    influence = {(kind, layer, feature): value for kind, layer, feature, value in zip(*columns, strict=True)}
    influence_N = np.array([influence.get((KINDS[one.kind], *one[1:3]), 0.0) for one in found], dtype=np.float32)
    target, source = (np.array([number_of[node] for node in ends[side]], np.int32) for side in ("target", "source"))
    order = np.argsort(target, kind="stable")  # rows of a graph follow each other
    targets = [one for one in found if one.kind == NodeKind.TARGET]
    nan = np.full(len(found), np.nan, np.float32)
    layers = [one.layer for one in targets] + [one.layer + 1 for one in found if one.kind != NodeKind.TARGET]
    graph = Graph(
        prompt_id="consensus",
        text=None,
        tokens_P=np.zeros(1, np.int32),
        token_strings=("",),
        num_layers=max(layers, default=0),
        targets=tuple(Target(_text(one.name), one.feature, float("nan"), 0, float("nan")) for one in targets),
        nodes=_node_table(found),
        indptr=np.append(0, np.cumsum(np.bincount(target, minlength=len(found)))).astype(np.int64),
        source_E=source[order],
        weight_E=edges["signed_share"][order].astype(np.float32),
        row_abs_sum_N=nan,
        row_abs_sum_all_N=nan,
        row_abs_dropped_N=nan,
        constant_N=nan,
        influence_N=influence_N,
        active=ActiveTable(*(np.zeros(0, kind) for kind in ("i2", "i4", "i4", "f4"))),
        scores=Scores(float("nan"), float("nan"), float("nan"), (), (), float("nan")),
        constant_node=False,
    )
    return graph, found, edges["frequency"][order]


def _node_table(found: Sequence[_Node]) -> NodeTable:
    targets = [one for one in found if one.kind == NodeKind.TARGET]
    number_of_target = {one: number for number, one in enumerate(targets)}
    return NodeTable(
        np.array([one.kind for one in found], np.uint8),
        np.array([one.layer for one in found], np.int16),
        np.zeros(len(found), np.int32),
        np.array([number_of_target.get(one, one.feature) for one in found], np.int32),
        np.full(len(found), np.nan, np.float32),
    )


def _ends(edges: Table, side: str) -> list[_Node]:
    columns = (edges[f"{side}_{name}"].tolist() for name in ("kind", "layer", "feature"))
    rows = zip(*columns, edges[side].tolist(), strict=True)
    return [_Node(KINDS.index(kind), layer, feature, name) for kind, layer, feature, name in rows]


def _text(name: str) -> str:
    """Return the text of a token or target from the name that the result has for it."""
    found = _QUOTED.fullmatch(name)
    return name if found is None else found[1] or found[2] or ""


def _panel(
    graph: Graph, found: list[_Node], frequency_E: npt.NDArray[np.float64], labels: Labels, num_labels: int
) -> Panel:
    sizes, size = sizes_of(None), len(found)
    influence_N = np.nan_to_num(graph.influence_N.astype(np.float64))
    features = [node for node in np.argsort(-influence_N, kind="stable").tolist() if not found[node].kind]
    named = {*features[:num_labels], *(node for node in range(size) if found[node].kind >= NodeKind.TOKEN)}
    texts, names = [], {}
    for node in sorted(named):
        text, names[node] = _name(found[node], labels)
        texts.append(text)
    share_N = influence_N / max(influence_N.max(initial=0.0), 1e-30)
    area_N = {node: sizes.least_marker + sizes.more_marker * float(share_N[node]) for node in range(size)}
    height = max(area_N.values(), default=sizes.least_marker) ** 0.5 / 72 * 1.15 + GAP
    cells = {node: _cell(area_N[node], height, names.get(node), found[node], sizes) for node in range(size)}
    ends = ("targets", f"layer {graph.num_layers}", f"⋮ {graph.num_layers}–{graph.num_layers}")
    left = 0.12 + max(fonts.text_size(text, sizes.tick)[0] for text in ends)
    layers, room = range(graph.num_layers), _LEAST_WIDTH - left - RIGHT
    layout = lay_out(cells, graph.nodes, layers, graph.num_layers, sizes.column, None)
    if layout.width < room:
        layout = lay_out(cells, graph.nodes, layers, graph.num_layers, sizes.column, room)
    centre_N = np.stack([layout.x_N, layout.y_N + height / 2], 1)
    selection = Selection(np.arange(size), np.arange(graph.num_edges), frequency_E, layers)
    return Panel(graph, selection, layout, sizes, area_N, centre_N, names, tuple(texts), ("",), 0.0, left, 0.1)


def _name(node: _Node, labels: Labels) -> tuple[str, str]:
    """Return the text from outside in what stands above a node, and all of it."""
    if node.kind >= NodeKind.TOKEN:
        text = _text(node.name)
        return style.shown(text), style.label(text)
    text = " | ".join(dict.fromkeys(label.text for label in labels.get(node.layer, node.feature)))
    lines = [f"{node.layer}:{node.feature}", *style.wrapped(text, _LINE, _LINES)]
    return style.shown(text, _LINES * _LINE), "\n".join(lines)


def _cell(area: float, height: float, name: str | None, node: _Node, sizes: Sizes) -> Cell:
    width = area**0.5 / 72 * 1.15 + GAP
    if name is None:
        return Cell(width, height)
    size = sizes.target if node.kind == NodeKind.TARGET else sizes.feature
    text_width, text_height = fonts.text_size(name, size)
    return Cell(max(width, text_width + 2 * GAP + _SPACE), height + text_height + GAP)
