"""Export of one graph as a page of HTML: one file that needs nothing else, and shows the graph in any browser.

The page has a script and a style of its own, and its security policy allows nothing but these two. The script reads
the graph as JSON, with arrays in base64, and makes text of whatever comes from prompts and labels.
Axes: N node, E edge.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.columns import KINDS
from ..graph.context import GraphContext, Group, NodeKey
from ..graph.edge_strength import passed_influence, passing_influence, row_sums
from ..graph.graph import Graph
from ..graph.node_keys import node_keys
from ..graph.nodes import NodeKind
from ..text import counted, printable
from .atomic import new_file

MOST_NODES = 20_000
"""Largest number of nodes of a page: all targets, then the most influential ones."""
MOST_EDGES = 100_000
"""Largest number of edges of a page: those that pass on most influence."""
_TITLE = 120


def write_page(graph: Graph, destination: Path, context: GraphContext) -> list[str]:
    """Write a graph as a page; return what the page leaves out, which it says itself too."""
    data = page_data(graph, context)
    with new_file(destination) as file:
        file.write(page(data, graph.text or graph.prompt_id).encode("utf-8"))
    notes: list[str] = data["notes"]
    return notes


def page(data: Mapping[str, Any], title: str) -> str:
    """Return the page that shows the data of one graph."""
    folder = files(__package__).joinpath("html")
    template, script, style = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "script.js", "style.css")
    )
    parts = {
        "policy": security_policy(script, style),
        "title": escape(printable(title[:_TITLE])),
        "style": style,
        "data": _embedded(data),
        "script": script,
    }
    before, *rest = template.split("{")
    pieces = [before]
    for piece in rest:
        name, _, after = piece.partition("}")
        pieces += [parts[name], after]
    return "".join(pieces)


def page_data(graph: Graph, context: GraphContext) -> dict[str, Any]:
    """Return the values of the page as JSON types, with arrays in base64: see `drawn_values`."""
    values, arrays = drawn_values(graph, context, MOST_NODES, MOST_EDGES)
    return {**values, **{name: base64.b64encode(array.tobytes()).decode("ascii") for name, array in arrays.items()}}


def drawn_values(
    graph: Graph, context: GraphContext, most_nodes: int, most_edges: int
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return what a page draws of a graph: plain values, and arrays by name, little-endian.

    Nodes are at most `most_nodes`: the targets, then those that pass on most influence, in the order of the graph. Of
    the edges between them, the `most_edges` that pass on most influence come, the largest first. Per node there are
    `kind`, `layer`, `position`, `feature`, `activation`, `influence`, and `row`, the sum of |weight| over the edges
    into the node; per edge `source` and `target`, the numbers of nodes here, and `weight`. The plain values have texts,
    labels, groups, pins, and under `notes` lines that say what is left out.
    """
    kept_N = _kept_nodes(graph, most_nodes)
    number_N = np.full(len(graph.nodes), -1, dtype=np.int32)
    number_N[kept_N] = np.arange(len(kept_N), dtype=np.int32)
    target_E = graph.target_E()
    both_E = np.flatnonzero((number_N[target_E] >= 0) & (number_N[graph.source_E] >= 0))
    edge_E = both_E[np.argsort(-passed_influence(graph)[both_E], kind="stable")[:most_edges]]
    nodes = graph.nodes.take(kept_N)
    number_of = {
        NodeKey(KINDS[kind], *site): number
        for number, (kind, *site) in enumerate(
            zip(*(c.tolist() for c in (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)), strict=True)
        )
    }
    sites = {(key.layer, key.feature) for key in number_of if key.kind == "feature"}
    arrays = {
        "kind": nodes.kind_N.astype("u1"),
        "layer": nodes.layer_N.astype("<i2"),
        "position": nodes.position_N.astype("<i4"),
        "feature": nodes.feature_N.astype("<i4"),
        "activation": nodes.activation_N.astype("<f4"),
        "influence": graph.influence_N[kept_N].astype("<f4"),
        "row": row_sums(graph)[kept_N].astype("<f4"),
        "source": number_N[graph.source_E[edge_E]].astype("<i4"),
        "target": number_N[target_E[edge_E]].astype("<i4"),
        "weight": graph.weight_E[edge_E].astype("<f4"),
    }
    values = {
        "prompt": graph.prompt_id,
        "text": graph.text,
        "tokens": list(graph.token_strings),
        "num_layers": graph.num_layers,
        "targets": [{"label": target.label, "weight": _number(target.weight)} for target in graph.targets],
        "facts": _facts(graph, context),
        "labels": [[*site, [list(label) for label in labels]] for site, labels in context.labels if site in sites],
        "groups": [
            {
                "name": group.name,
                "members": [number_of[key] for key in group.members if key in number_of],
                "missing": sum(key not in number_of for key in group.members),
            }
            for group in context.groups
        ],
        "pins": [number_of[key] for key in context.pins if key in number_of],
        **({} if context.communities is None else {"communities": _communities(graph, context.communities, number_of)}),
        "notes": _left_out(graph, context, len(kept_N), len(edge_E), number_of),
    }
    return values, arrays


def _communities(graph: Graph, communities: Sequence[Group], number_of: Mapping[NodeKey, int]) -> list[dict[str, Any]]:
    """Return the communities that have nodes in the page, those with most influence there first."""
    influence = dict(zip(node_keys(graph), passing_influence(graph).tolist(), strict=True))
    found = []
    for group in communities:
        keys = [key for key in group.members if key in number_of]
        if keys:
            found.append((sum(influence[key] for key in keys), group.name, [number_of[key] for key in keys]))
    found.sort(key=lambda one: -one[0])
    return [{"name": name, "members": members} for _, name, members in found]


def _kept_nodes(graph: Graph, most_nodes: int) -> npt.NDArray[np.intp]:
    order = passing_influence(graph)
    order[graph.nodes.where(NodeKind.TARGET)] = np.inf
    return np.sort(np.argsort(-order, kind="stable")[:most_nodes])


def _left_out(
    graph: Graph, context: GraphContext, num_nodes: int, num_edges: int, number_of: Mapping[NodeKey, int]
) -> list[str]:
    """Return lines that say what the page does not have."""
    lines = []
    if num_nodes < len(graph.nodes):
        lines.append(f"the page has {num_nodes:,} of {len(graph.nodes):,} nodes, the most influential")
    if num_edges < graph.num_edges:
        lines.append(f"the page has {num_edges:,} of {graph.num_edges:,} edges, those that pass on most influence")
    if missing := sum(key not in number_of for key in context.pins):
        lines.append(f"{counted(missing, 'pinned node')} not in the page")
    return lines


def _facts(graph: Graph, context: GraphContext) -> list[str]:
    """Return what stands below the title."""
    scores = {"replacement": graph.scores.replacement, "completeness": graph.scores.completeness}
    return [
        f"prompt {graph.prompt_id}",
        *(f"{name} {value:.2f}" for name, value in scores.items() if math.isfinite(value)),
        counted(len(graph.nodes), "node"),
        counted(graph.num_edges, "edge"),
        *(f"{what} {_place(place)}" for what in ("model", "transcoders") if (place := getattr(context, what))),
    ]


def _place(place: str) -> str:
    """Return a hub id, or of a directory its name alone: a page is mailed, and paths say whose machine made it."""
    return place if re.fullmatch(r"[\w.-]+/[\w./@-]+", place) and ".." not in place else PurePath(place).name or place


def security_policy(script: str, style: str) -> str:
    """Return the content security policy of a page, which allows this script and this style, and no address at all."""
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in (script, style)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _embedded(data: Mapping[str, Any]) -> str:
    """Return JSON that can neither end its element nor begin another one: without `<`, `>`, `&`, and in ASCII."""
    text = json.dumps(data, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
