"""The parts of the graph page that only compute, run by the browser on real replies and judged by slow counting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import random_stores
from random_graphs import finite, random_graph, with_edges_upwards
from serving import opened, served

pytestmark = pytest.mark.slow

LOAD = """
const at = (name) => import(new URL(`static/${name}`, location.href).href);
const { GraphData } = await at("graph_data.js"), { getArrays } = await at("api.js");
const graph = new GraphData(await getArrays("graph", { prompt: "wide" }));
const { chooseEdges, chooseNodes } = await at("graph/shown.js");
const { firstView, viewOf, addressOf } = await at("graph/view.js");
const { layOut } = await at("graph/layout.js"), { hitTest } = await at("graph/hit.js");
const { Camera } = await at("graph/camera.js");
const first = firstView(graph), inner = Array.from(graph.inner);
let seed = 1;
const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
const pick = (list) => list[Math.floor(random() * list.length)];
const keys = (count) => [...new Set(Array.from({ length: count }, () => graph.keyOf(pick([...graph.kind.keys()]))))];
const anyView = () => ({ ...first, share: random(), edges: Math.floor(random() * graph.source.length), pins: keys(3),
  groups: [{ name: "a, \\"b\\" <i>", members: keys(4) }], hidden: keys(2), node: pick([null, ...keys(1)]),
  minDensity: pick([0, 0.2]), maxDensity: pick([1, 0.9]), open: pick([[], ["3-9", "L1-2"]]),
  camera: pick([null, { x: 12.25, y: -3.5, scale: 0.75, stretch: 1.5 }]) });
const problems = [];
const check = (is, ...what) => { if (!is) problems.push(what.join(" ")); };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Any]:
    """A page of a server whose store has a graph of 90 positions."""
    graph = random_graph("wide", seed=3, num_positions=90, num_layers=9, num_active=400, density=0.05, num_targets=3)
    other = finite(random_graph("other", seed=4, num_positions=90, num_layers=9, num_active=400, density=0.01))
    upwards = with_edges_upwards(
        finite(random_graph("up", seed=5, num_positions=6, num_layers=6, num_active=150, density=0.2, num_targets=3))
    )
    folder = str(tmp_path_factory.mktemp("modules") / "store")
    random_stores.make_store(folder, [replace(graph, prompt_id="wide"), other, upwards])
    with served(folder, "--read-only") as server, opened(browser, server, "about") as shown:
        shown.wait_for_selector("header.top nav")
        yield shown


def problems(page: Any, script: str) -> list[str]:
    """Run a script with a graph and random views, and return what it found to be wrong."""
    found: list[str] = page.evaluate(f"async () => {{ {LOAD} {script} return problems.slice(0, 5); }}")
    return found


def test_an_address_holds_every_view(page: Any) -> None:
    script = """
for (let k = 0; k < 200; k++) {
  const view = { ...anyView(), share: Math.round(random() * 1000) / 1000 }, params = new URLSearchParams();
  for (const [name, value] of Object.entries(addressOf(view, first)))
    for (const one of [value].flat()) if (one !== null) params.append(name, one);
  const { view: again, gone } = viewOf(new URLSearchParams(params.toString()), graph, first);
  const [before, after] = [view, again].map((one) => JSON.stringify(one));
  check(!gone.length && before === after, before, after, gone);
}
const none = viewOf(new URLSearchParams("pin=none&group=none"), graph, { ...first, pins: keys(2) }).view;
check(!none.pins.length && !none.groups.length, "pins that were taken away are back");
check(addressOf({ ...first, pins: [] }, { ...first, pins: keys(2) }).pin === "none", "no word for no pins");
"""
    assert problems(page, script) == []


def test_the_nodes_shown_are_those_of_slow_counting(page: Any) -> None:
    script = """
const total = inner.reduce((sum, node) => sum + graph.influence[node], 0);
for (let k = 0; k < 60; k++) {
  const view = anyView(), { shown, numInner } = chooseNodes(graph, view);
  const always = new Set([...view.pins, ...view.groups[0].members].filter((key) => !view.hidden.includes(key)));
  let before = 0, count = 0;
  for (const node of inner) {
    const key = graph.keyOf(node), density = graph.density[node];
    const isInside = graph.kind[node] !== 0 || (density >= view.minDensity && density <= view.maxDensity);
    const isCovering = before / total < view.share - 1e-9 && isInside && !view.hidden.includes(key);
    const isNear = Math.abs(before / total - view.share) < 1e-6; // sums in another order decide otherwise
    const is = isCovering || always.has(key) || view.node === key;
    if (!isNear) check(shown[node] === (is ? 1 : 0), "node", key, "is", shown[node]);
    before += graph.influence[node];
    count += shown[node];
  }
  check(count === numInner, count, numInner);
  const edges = chooseEdges(graph, shown, view.edges), slow = [];
  for (let edge = 0; edge < graph.source.length && slow.length < view.edges; edge++)
    if (shown[graph.source[edge]] && shown[graph.target[edge]]) slow.push(edge);
  check(String(Array.from(edges)) === String(slow), "edges", edges.length, slow.length);
}
"""
    assert problems(page, script) == []


def test_the_strongest_edges_of_a_target_are_those_of_slow_counting(page: Any) -> None:
    script = """
const up = new GraphData(await getArrays("graph", { prompt: "up" }));
const { edgesByTarget } = await at("graph/edge_order.js");
const { effectsOf } = await at("graph/effects.js");
const targets = [...up.kind.keys()].filter((node) => up.kind[node] === 3), key = (node) => up.keyOf(node);
check(targets.length === 3 && edgesByTarget(up, firstView(up)) === null, "no choice is no order");
const size = (edge) => Math.abs(up.share(edge));
for (const [a, b] of [[0, null], [2, null], [0, 1], [2, 0]]) {
  const view = { ...firstView(up), targetA: key(targets[a]), targetB: b === null ? null : key(targets[b]) };
  const direct = effectsOf(up, view).share, known = new Map(), chosen = new Set([targets[a], targets[b]]);
  const flow = (node) => {
    if (up.kind[node] === 3) return 0;
    const passed = (sum, edge) => sum + size(edge) * flow(up.target[edge]);
    if (!known.has(node)) known.set(node, up.outputs(node).reduce(passed, Math.abs(direct[node])));
    return known.get(node);
  };
  const strength = (edge) => (up.kind[up.target[edge]] !== 3 ? size(edge) * flow(up.target[edge])
    : chosen.has(up.target[edge]) ? Math.abs(direct[up.source[edge]]) : 0);
  const order = Array.from(edgesByTarget(up, view));
  const all = [...up.source.keys()].filter((edge) => strength(edge) > 1e-30);
  check(order.length === all.length && new Set(order).size === order.length, "edges", order.length, all.length);
  for (let place = 1; place < order.length; place++)
    check(strength(order[place]) <= strength(order[place - 1]) * (1 + 1e-5), "order", place, order[place]);
  check(order.length < up.source.length, "edges into other targets are left out");
  const some = chooseEdges(up, new Uint8Array(up.count).fill(1), 50, edgesByTarget(up, view));
  check(String(Array.from(some)) === String(order.slice(0, 50)), "not the first ones");
}
const [one, other] = [0, 1].map((n) => String(edgesByTarget(up, { targetA: key(targets[n]), targetB: null })));
check(one !== other, "all targets alike");
"""
    assert problems(page, script) == []


def test_names_lie_over_no_node_and_no_other_name(page: Any) -> None:
    script = """
const { placedNames, reachOf } = await at("graph/names.js");
const pen = document.createElement("canvas").getContext("2d");
pen.font = "11px system-ui, sans-serif";
let numBeside = 0, numNames = 0;
for (const size of [[800, 500], [1500, 900]])
  for (let k = 0; k < 12; k++) {
    const groups = [{ name: "a group with a long name", members: keys(9) }], pins = keys(9);
    const view = { ...first, share: [0.03, 0.1, 0.3][k % 3], groups, pins };
    const { shown } = chooseNodes(graph, view), layout = layOut(graph, shown, view), camera = new Camera(...size);
    camera.fit(layout);
    if (k > 5) camera.zoom(2 + 2 * random(), size[0] * random(), size[1] * random());
    const marks = new Map();
    for (const one of pins) marks.set(graph.nodeOf(one), { isPinned: true, groups: [] });
    for (const one of groups[0].members)
      marks.set(graph.nodeOf(one), { isPinned: marks.has(graph.nodeOf(one)), groups: [0] });
    const picture = { graph, layout, camera, shown, marks, view, linked: null };
    const names = placedNames(pen, picture, 200);
    numNames += names.length;
    names.forEach(({ node, box: [left, top, right, bottom] }, place) => {
      if (top < camera.toY(layout.y[node]) && bottom > camera.toY(layout.y[node])) numBeside++;
      for (const { box } of names.slice(0, place))
        check(left >= box[2] || right <= box[0] || top >= box[3] || bottom <= box[1], "two names", graph.keyOf(node));
      for (let other = 0; other < graph.count; other++) {
        if (!shown[other] || other === node || graph.kind[node] === 3) continue;
        const [x, y, r] = [camera.toX(layout.x[other]), camera.toY(layout.y[other]), reachOf(picture, other)];
        if (x < 0 || y < 0 || x > camera.width || y > camera.height) continue;
        const isClear = left >= x + r || right <= x - r || top >= y + r || bottom <= y - r;
        check(isClear, "over a node", graph.keyOf(node), graph.keyOf(other));
      }
    });
  }
check(numNames > 300 && numBeside > 10, numNames, numBeside);
"""
    assert problems(page, script) == []


def test_every_shown_node_has_a_place_of_its_own_in_its_column_and_layer(page: Any) -> None:
    script = """
let numFolded = 0;
for (let k = 0; k < 60; k++) {
  const view = { ...anyView(), share: random() ** 3 / 4 }, { shown } = chooseNodes(graph, view), taken = new Set();
  const { x, y, columns, bands, width, height } = layOut(graph, shown, view);
  columns.forEach((column, place) => check(column.from === (place ? columns[place - 1].to : 0), "a gap"));
  check(columns[0].first === 0 && columns.at(-1).last === graph.tokens.length - 1, "positions are missing");
  check(columns.at(-1).to === width && bands.at(-1).from === 0 && bands[0].to === height, "size");
  numFolded += columns.filter((column) => column.isFolded).length;
  for (let node = 0; node < graph.count; node++) {
    if (!shown[node]) continue;
    const column = columns.find(({ first, last }) => first <= graph.position[node] && graph.position[node] <= last);
    const band = bands.find(({ first, last }) => first <= graph.layer[node] && graph.layer[node] <= last);
    check(!column.isFolded && !band.isFolded, "in a fold", graph.keyOf(node));
    check(band.from < y[node] && y[node] < band.to, "outside its layer", graph.keyOf(node));
    if (graph.kind[node] !== 3) check(column.from < x[node] && x[node] < column.to, "beside its column", node);
    check(!taken.has(`${x[node]},${y[node]}`), "two nodes at one place", graph.keyOf(node));
    taken.add(`${x[node]},${y[node]}`);
  }
  const opened = columns.filter((one) => !one.isFolded && one.first >= 3 && one.first <= 9);
  if (view.open.includes("3-9")) check(opened.length === 7, "folded", opened.length);
}
check(numFolded > 0, "nothing was folded");
"""
    assert problems(page, script) == []


def test_the_nearest_node_within_reach_is_found(page: Any) -> None:
    script = """
const { shown } = chooseNodes(graph, { ...first, share: 0.5 }), layout = layOut(graph, shown, first);
const hit = hitTest(graph, shown, layout), camera = new Camera(900, 600);
let found = 0;
for (let k = 0; k < 500; k++) {
  if (k % 50 === 0) { camera.fit(layout); camera.zoom(0.5 + 4 * random(), 900 * random(), 600 * random()); }
  const [x, y] = [900 * random(), 600 * random()];
  const distance = (node) => Math.hypot(camera.toX(layout.x[node]) - x, camera.toY(layout.y[node]) - y);
  let least = 30;
  for (let node = 0; node < graph.count; node++) if (shown[node]) least = Math.min(least, distance(node));
  const node = hit(camera, x, y), far = node < 0 ? 30 : distance(node);
  check(Math.abs(far - least) < 1e-6, far, least);
  if (node >= 0) found++;
}
check(found > 50 && found < 500, found);
"""
    assert problems(page, script) == []


def test_zooming_keeps_what_is_under_the_mouse_and_links_keep_the_middle(page: Any) -> None:
    script = """
const camera = new Camera(900, 600);
camera.fit({ width: 3000, height: 800 });
for (let k = 0; k < 100; k++) {
  const [x, y] = [900 * random(), 600 * random()], before = [camera.fromX(x), camera.fromY(y)];
  camera.zoom(0.5 + random(), x, y);
  check(Math.abs(camera.fromX(x) - before[0]) < 1e-6 && Math.abs(camera.fromY(y) - before[1]) < 1e-6, "moved");
  camera.move(random() * 9, random() * 9);
  const place = camera.place, again = new Camera(900, 600);
  again.goTo(place);
  check(JSON.stringify(again.place) === JSON.stringify(place), JSON.stringify(place), JSON.stringify(again.place));
}
"""
    assert problems(page, script) == []
