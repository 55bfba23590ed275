// Where the boxes of a subgraph are: layers from below to above, tokens in the order of the text at the bottom.
import { Graph, layout } from "../vendor/dagre-3.1.3/dagre.esm.js";

const OPTIONS = { rankdir: "BT", nodesep: 20, edgesep: 16, ranksep: 64, marginx: 0, marginy: 0 };
const SWEEPS = 8, MOST_SPREAD = 0.62; // the part of a box's width over which its edges are spread

/**
 * Return { places, routes } for boxes [{ width, height, row, order }] and edges [{ source, target, share }]: the centre
 * of each box, and for each edge the points between its ends at which it passes other rows. `row` is "token" or "target"
 * for boxes that belong to the lowest and the highest row, and `order` is the place of a token in the text.
 */
export function placed(boxes, edges) {
  const graph = new Graph();
  graph.setGraph({ ...OPTIONS });
  graph.setDefaultEdgeLabel(() => ({}));
  boxes.forEach(({ width, height }, number) => graph.setNode(String(number), { width, height }));
  // Two points that are not drawn hold tokens down and targets up; without them boxes move towards their neighbours.
  for (const end of ["below", "above"]) graph.setNode(end, { width: 0, height: 0 });
  for (const { source, target, share } of edges)
    graph.setEdge(String(source), String(target), { weight: 1 + Math.round(12 * Math.min(Math.abs(share), 1)) });
  const fed = new Set(edges.map(({ target }) => target)), feeding = new Set(edges.map(({ source }) => source));
  boxes.forEach(({ row }, number) => {
    if (row === "token") graph.setEdge("below", String(number), { weight: 1000 });
    else if (!fed.has(number)) graph.setEdge("below", String(number), { weight: 0, minlen: 2 });
    if (row === "target") graph.setEdge(String(number), "above", { weight: 1000 });
    else if (!feeding.has(number)) graph.setEdge(String(number), "above", { weight: 0, minlen: 2 });
  });
  layout(graph, { customOrder: (ranked, standard) => order(ranked, standard, boxes) });
  const places = boxes.map((_, number) => { const { x, y } = graph.node(String(number)); return { x, y }; });
  // Of the points of an edge, those with even numbers lie in the rows of boxes; the others lie halfway between.
  const routes = edges.map(({ source, target }) => graph.edge(String(source), String(target)).points
    .slice(1, -1).filter((_, number) => number % 2).map(({ x, y }) => ({ x, y })));
  return { places, routes };
}

/** Order the nodes of each row: tokens as in the text, then each row by the means of its neighbours, few crossings. */
function order(graph, standard, boxes) {
  standard(graph, {});
  const rows = [];
  for (const name of graph.nodes()) {
    const { rank } = graph.node(name);
    if (rank >= 0) (rows[rank] ??= []).push(name);
  }
  for (const row of rows) row?.sort((a, b) => graph.node(a).order - graph.node(b).order);
  const isToken = (name) => boxes[name]?.row === "token", write = (row) => row.forEach((name, place) => { graph.node(name).order = place; });
  const fixed = rows.findIndex((row) => row?.some(isToken));
  if (fixed >= 0) {
    const tokens = rows[fixed].filter(isToken).sort((a, b) => boxes[a].order - boxes[b].order || a - b);
    rows[fixed] = rows[fixed].map((name) => (isToken(name) ? tokens.shift() : name));
    write(rows[fixed]);
  }
  const mean = (name, ends) => {
    let sum = 0, whole = 0;
    for (const edge of ends === "v" ? graph.inEdges(name) : graph.outEdges(name)) {
      const { weight } = graph.edge(edge);
      sum += weight * graph.node(ends === "v" ? edge.v : edge.w).order;
      whole += weight;
    }
    return whole > 0 ? sum / whole : graph.node(name).order;
  };
  let best = null, least = Infinity;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isUp = sweep % 2 === 0, numbers = [...rows.keys()];
    for (const number of isUp ? numbers : numbers.reverse()) {
      if (number === fixed || !rows[number]) continue;
      const means = new Map(rows[number].map((name) => [name, mean(name, isUp ? "v" : "w")]));
      rows[number].sort((a, b) => means.get(a) - means.get(b));
      write(rows[number]);
    }
    const found = crossings(graph, rows);
    if (found < least) [best, least] = [rows.map((row) => row && [...row]), found];
  }
  for (const row of best) if (row) write(row);
}

/** Return how much crosses between neighbouring rows, weighted as edges are. */
function crossings(graph, rows) {
  let sum = 0;
  for (const row of rows) {
    const edges = (row ?? []).flatMap((name) => graph.outEdges(name)).map((edge) => [graph.node(edge.v).order, graph.node(edge.w).order, graph.edge(edge).weight]);
    for (let one = 0; one < edges.length; one++)
      for (let other = 0; other < one; other++)
        if ((edges[one][0] - edges[other][0]) * (edges[one][1] - edges[other][1]) < 0) sum += edges[one][2] * edges[other][2];
  }
  return sum;
}

/** Return the points of edges between placed boxes: ends are spread over the sides of a box, so that they can be told. */
export function ended(boxes, edges, routes) {
  const towards = (edge, ends) => {
    const points = routes[edge], { source, target } = edges[edge];
    return ends === "source" ? points[0] ?? boxes[target] : points[points.length - 1] ?? boxes[source];
  };
  const shift = { source: [], target: [] };
  for (const ends of ["source", "target"])
    boxes.forEach(({ width }, box) => {
      const own = [...edges.keys()].filter((edge) => edges[edge][ends] === box).sort((a, b) => towards(a, ends).x - towards(b, ends).x);
      const step = Math.min((width * MOST_SPREAD) / Math.max(own.length - 1, 1), 24);
      own.forEach((edge, place) => { shift[ends][edge] = step * (place - (own.length - 1) / 2); });
    });
  return edges.map(({ source, target }, edge) => {
    const from = boxes[source], to = boxes[target];
    if (to.y + to.height / 2 > from.y - from.height / 2 - 8) return straight(from, to);
    return [{ x: from.x + shift.source[edge], y: from.y - from.height / 2 }, ...routes[edge], { x: to.x + shift.target[edge], y: to.y + to.height / 2 }];
  });
}

/** Return the ends of an edge to a box that is not above: from border to border. */
function straight(from, to) {
  return [border(from, to), border(to, from)];
}

function border({ x, y, width, height }, to) {
  const dx = to.x - x, dy = to.y - y;
  const scale = Math.min(width / 2 / Math.abs(dx || 1e-9), height / 2 / Math.abs(dy || 1e-9), 1);
  return { x: x + dx * scale, y: y + dy * scale };
}

/** Return { line, head, middle }: the path of an edge, which leaves rows upright, the triangle at its end, its middle. */
export function drawn(points, width) {
  const [begin, end] = [points[0], points[points.length - 1]], isUp = end.y < begin.y - 4;
  const size = 6 + 1.2 * width, half = 3 + 0.8 * width, length = Math.hypot(end.x - begin.x, end.y - begin.y) || 1;
  const [dx, dy] = isUp ? [0, -1] : [(end.x - begin.x) / length, (end.y - begin.y) / length];
  const base = { x: end.x - dx * size, y: end.y - dy * size };
  const all = [...points.slice(0, -1), { x: base.x + dx, y: base.y + dy }];
  let line = `M${at(all[0])}`;
  for (let k = 1; k < all.length; k++) {
    const middle = (all[k - 1].y + all[k].y) / 2;
    line += isUp ? `C${at({ x: all[k - 1].x, y: middle })} ${at({ x: all[k].x, y: middle })} ${at(all[k])}` : `L${at(all[k])}`;
  }
  const head = `M${at(end)}L${at({ x: base.x - dy * half, y: base.y + dx * half })}L${at({ x: base.x + dy * half, y: base.y - dx * half })}Z`;
  const place = Math.floor((all.length - 1) / 2), [one, other] = [all[place], all[place + 1]];
  return { line, head, middle: { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 } };
}

const at = ({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`;
