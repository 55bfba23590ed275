// Names in the drawing: as many as there is room for, the most important first.
import { FEATURE, TOKEN } from "../graph_data.js";
import { targetsOf } from "./effects.js";
import { SMALL_FONT, linesOf, radiusOf } from "./paint.js";

const LINE = 12, GAP = 3, MOST_TRIED = 500; // pixels, pixels, nodes
const CELL = 32, MOST_OBSTACLES = 4000; // pixels; nodes in view
const widths = new Map();

function widthOf(pen, text) {
  let width = widths.get(text);
  if (width === undefined) {
    if (widths.size > 20_000) widths.clear();
    widths.set(text, (width = pen.measureText(text).width));
  }
  return width;
}

/** Paint the names of at most `most` nodes. The names of `wanted` nodes come first. */
export function paintNames(pen, picture, most, wanted = []) {
  begin(pen);
  for (const name of placedNames(pen, picture, most, wanted)) paintName(pen, picture, name);
}

function begin(pen) {
  pen.font = SMALL_FONT;
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
}

/**
 * Return the names of at most `most` nodes as { node, lines, box }. A name lies over no other name, and over no node or
 * ring of a node, except that those of `wanted` nodes and of targets are there in any case. It stands above its node,
 * in one line where there is no room for several, or else beside it.
 */
export function placedNames(pen, picture, most, wanted = []) {
  const names = [], covers = nodesIn(picture), first = new Set([...wanted, ...targetsOf(picture.graph)]);
  let tried = 0;
  for (const node of candidates(picture, wanted)) {
    if (names.length >= most || tried++ > MOST_TRIED) break;
    const whole = boxOf(pen, picture, node);
    if (!whole) continue;
    const shorter = whole.lines.length > 1 ? [boxOf(pen, picture, node, 1)] : [];
    const tries = [whole, ...shorter, boxOf(pen, picture, node, 1, "right"), boxOf(pen, picture, node, 1, "left")];
    const isFree = ({ box }) => !names.some((other) => overlap(other.box, box));
    const name = tries.find((one) => one && isFree(one) && !covers(one.box, node)) ??
      (first.has(node) ? [whole, ...shorter].find(isFree) : undefined);
    if (name) names.push({ node, ...name });
  }
  return names;
}

/** Return how far a node reaches from its middle, with the rings that say that it is pinned or in groups. */
export function reachOf({ graph, camera, marks }, node) {
  const mark = marks.get(node), rings = mark ? mark.groups.length + (mark.isPinned ? 1 : 0) : 0;
  return radiusOf(graph, camera, node) + (rings ? 0.5 + 3 * rings : 0);
}

/** Return a function that tells whether a box lies over a node other than the given one. */
function nodesIn(picture) {
  const { layout, camera, graph, shown } = picture;
  const cells = new Map(), cellOf = (x, y) => Math.floor(x / CELL) * 65536 + Math.floor(y / CELL);
  let count = 0;
  for (let node = 0; node < graph.count; node++) {
    if (!shown[node]) continue;
    const x = camera.toX(layout.x[node]), y = camera.toY(layout.y[node]);
    if (x < 0 || y < 0 || x > camera.width || y > camera.height) continue;
    if (++count > MOST_OBSTACLES) return () => false; // so many that every name lies over some
    const key = cellOf(x, y);
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push([x, y, reachOf(picture, node), node]);
  }
  return ([left, top, right, bottom], own) => {
    for (let x = left - CELL; x < right + 2 * CELL; x += CELL)
      for (let y = top - CELL; y < bottom + 2 * CELL; y += CELL)
        for (const [atX, atY, radius, node] of cells.get(cellOf(x, y)) ?? [])
          if (node !== own && atX + radius > left && atX - radius < right && atY + radius > top && atY - radius < bottom) return true;
    return false;
  };
}

/** Paint the names of some nodes over everything else. */
export function paintNamesOf(pen, picture, nodes) {
  begin(pen);
  for (const node of nodes) {
    const name = node >= 0 && picture.graph.kind[node] !== TOKEN ? boxOf(pen, picture, node) : null;
    if (name) paintName(pen, picture, name);
  }
}

/** Yield nodes that may get a name, each once: wanted ones, targets, marked ones, then features by influence. */
function* candidates({ graph, shown, marks, linked }, wanted) {
  const done = new Set();
  const first = [...wanted, ...targetsOf(graph), ...marks.keys()];
  for (const node of first)
    if (node >= 0 && shown[node] && graph.kind[node] !== TOKEN && !done.has(node)) { done.add(node); yield node; }
  for (const node of graph.inner)
    if (shown[node] && graph.kind[node] === FEATURE && !done.has(node) && (!linked || linked.nodes[node])) yield node;
}

/** Return the name of a node in at most `most` lines with its box, above the node or beside it; null out of sight. */
function boxOf(pen, picture, node, most = Infinity, side = "above") {
  const { layout, camera, graph } = picture;
  const x = camera.toX(layout.x[node]), y = camera.toY(layout.y[node]), reach = reachOf(picture, node);
  if (x < 0 || x > camera.width || y - reach - GAP < 0 || y - reach - GAP > camera.height + 10) return null;
  const lines = linesOf(picture, node).slice(0, most), wide = Math.max(...lines.map((text) => widthOf(pen, text))) + 4;
  const high = LINE * lines.length;
  if (side !== "above") {
    const left = side === "right" ? x + reach + 1 : x - reach - 1 - wide;
    const isInside = left >= 0 && left + wide <= camera.width && y + high / 2 <= camera.height;
    return isInside ? { lines, box: [left, y - high / 2, left + wide, y + high / 2] } : null;
  }
  const left = Math.min(Math.max(x - wide / 2, 0), Math.max(camera.width - wide, 0)), bottom = y - reach - GAP;
  return { lines, box: [left, Math.max(bottom - high, 0), left + wide, Math.max(bottom, high)] };
}

const overlap = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

function paintName(pen, { colours }, { lines, box: [left, top, right, bottom] }) {
  pen.globalAlpha = 0.82;
  pen.fillStyle = colours.back;
  pen.fillRect(left, top, right - left, bottom - top);
  pen.globalAlpha = 1;
  pen.fillStyle = colours.text;
  lines.forEach((text, place) => pen.fillText(text, (left + right) / 2, top + LINE * place + 10));
}
