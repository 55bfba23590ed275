// The scene of a subgraph: its boxes with their texts and sizes, and its edges with their paths.
import { KINDS, TARGET, TOKEN } from "../graph_data.js";
import { cut } from "../text.js";
import { unitPlace } from "./subgraph_units.js";
import { drawn, ended, placed } from "./subgraph_layout.js";

const TITLE = "600 13px system-ui, sans-serif", PLACE = "11px system-ui, sans-serif";
const [MOST_WIDTH, LEAST_WIDTH, TITLE_LINE, PLACE_LINE, MOST_DOTS] = [150, 56, 17, 14, 12];
let pen = null;

function widthOf(text, font) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = font;
  return pen.measureText(text).width;
}

/** Return a text in at most two lines that are no wider than a box. */
function lines(text, font, most) {
  const words = Array.from(text.matchAll(/\S+\s*/g), ([word]) => word), found = [""];
  for (const word of words.length ? words : [text]) {
    const last = found.length - 1;
    if (!found[last] || widthOf(found[last] + word.trimEnd(), font) <= most) found[last] += word;
    else found.push(word);
  }
  const kept = found.slice(0, 2).map((line) => line.trimEnd());
  if (found.length > 2) kept[1] = `${kept[1]} …`;
  return kept.map((line) => fitted(line, font, most));
}

function fitted(text, font, most) {
  if (widthOf(text, font) <= most) return text;
  let low = 1, high = Array.from(text).length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (widthOf(cut(text, middle), font) <= most) low = middle;
    else high = middle - 1;
  }
  return cut(text, low);
}

/** Return the box of a unit: its lines, size and row, without its place. */
function boxOf(graph, unit) {
  const [node] = unit.nodes, isGroup = unit.group >= 0, kind = KINDS[graph.kind[node]];
  const title = lines(cut(unit.name, 300) || "(no name)", TITLE, MOST_WIDTH - 20), place = fitted(unitPlace(graph, unit), PLACE, MOST_WIDTH - 20);
  const dots = isGroup ? Math.min(unit.nodes.length, MOST_DOTS) : 0;
  const widest = Math.max(...title.map((line) => widthOf(line, TITLE)), widthOf(place, PLACE), dots * 10);
  const only = (one) => unit.nodes.every((member) => graph.kind[member] === one);
  return {
    unit, title, place, dots, kind: isGroup ? "group" : kind,
    width: Math.max(Math.ceil(widest) + 20, LEAST_WIDTH),
    height: 12 + TITLE_LINE * title.length + PLACE_LINE + (isGroup ? 9 : 0),
    row: only(TOKEN) ? "token" : only(TARGET) ? "target" : "",
    order: Math.min(...unit.nodes.map((member) => graph.position[member])),
  };
}

/** Return the width of an edge's line, whose area says the share. */
export const lineWidth = (share) => 0.8 + 11 * Math.min(Math.abs(share), 1);

/** Return { boxes, edges, routes } as the layout places them; `moved` are places by unit that somebody chose. */
export function sceneOf(graph, units, merged, moved) {
  const boxes = units.map((unit) => boxOf(graph, unit)), { places, routes } = placed(boxes, merged);
  boxes.forEach((box, number) => Object.assign(box, places[number], moved.get(box.unit.id) ?? {}));
  const isMoved = (number) => moved.has(units[number].id);
  const kept = merged.map(({ source, target }, edge) => (isMoved(source) || isMoved(target) ? [] : routes[edge]));
  return withPaths(boxes, merged, kept);
}

function withPaths(boxes, merged, routes) {
  const points = ended(boxes, merged, routes);
  const edges = merged.map((edge, number) => ({ ...edge, width: lineWidth(edge.share), ...drawn(points[number], lineWidth(edge.share)) }));
  return { boxes, edges, routes };
}

/** Return the scene in which some boxes are elsewhere, as while they are dragged. */
export function shifted(scene, ids, dx, dy) {
  if (!dx && !dy) return scene;
  const isMoved = (number) => ids.has(scene.boxes[number].unit.id);
  const boxes = scene.boxes.map((box, number) => (isMoved(number) ? { ...box, x: box.x + dx, y: box.y + dy } : box));
  return withPaths(boxes, scene.edges, scene.edges.map(({ source, target }, edge) => (isMoved(source) || isMoved(target) ? [] : scene.routes[edge])));
}

/** Return { x, y, width, height } around all boxes, with a margin. */
export function bounds({ boxes }, margin = 16) {
  if (!boxes.length) return { x: 0, y: 0, width: 1, height: 1 };
  const left = Math.min(...boxes.map((box) => box.x - box.width / 2)) - margin, top = Math.min(...boxes.map((box) => box.y - box.height / 2)) - margin;
  const right = Math.max(...boxes.map((box) => box.x + box.width / 2)) + margin, bottom = Math.max(...boxes.map((box) => box.y + box.height / 2)) + margin;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Return the number of the box that the arrow key leads to, or -1: the nearest in that direction. */
export function neighbour({ boxes }, from, key) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = -1, least = Infinity;
  boxes.forEach((box, number) => {
    const x = box.x - boxes[from].x, y = box.y - boxes[from].y;
    const along = x * dx + y * dy, across = Math.abs(x * dy) + Math.abs(y * dx);
    const cost = along + 2 * across;
    if (number !== from && along > 1 && cost < least) [best, least] = [number, cost];
  });
  return best;
}
