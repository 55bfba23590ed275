// Names in the drawing: as many as there is room for, the most important first.
import { FEATURE, TOKEN } from "../graph_data.js";
import { targetsOf } from "./effects.js";
import { SMALL_FONT, linesOf, radiusOf } from "./paint.js";

const LINE = 12, MOST_TRIED = 500;
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
  pen.font = SMALL_FONT;
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  const boxes = [], covers = nodesIn(picture), first = new Set([...wanted, ...targetsOf(picture.graph)]);
  let tried = 0;
  for (const node of candidates(picture, wanted)) {
    if (boxes.length >= most || tried++ > MOST_TRIED) break;
    const whole = boxOf(pen, picture, node);
    if (!whole) continue;
    // A name in one line where several would lie over other nodes, and none where one does.
    const tries = whole.lines.length > 1 ? [whole, boxOf(pen, picture, node, 1)] : [whole];
    const name = tries.find(({ box }) => !boxes.some((other) => overlap(other, box)) && (first.has(node) || !covers(box, node)));
    if (!name) continue;
    boxes.push(name.box);
    paintName(pen, picture, name);
  }
}

/** Return a function that tells whether a box lies over a node other than the given one. */
function nodesIn({ layout, camera, graph, shown }) {
  const cells = new Map(), cellOf = (x, y) => Math.floor(x / CELL) * 65536 + Math.floor(y / CELL);
  let count = 0;
  for (let node = 0; node < graph.count; node++) {
    if (!shown[node]) continue;
    const x = camera.toX(layout.x[node]), y = camera.toY(layout.y[node]);
    if (x < 0 || y < 0 || x > camera.width || y > camera.height) continue;
    if (++count > MOST_OBSTACLES) return () => false; // so many that every name lies over some
    const key = cellOf(x, y);
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push([x, y, radiusOf(graph, camera, node), node]);
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
  pen.font = SMALL_FONT;
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
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

function boxOf(pen, picture, node, most = Infinity) {
  const { layout, camera, graph } = picture;
  const x = camera.toX(layout.x[node]), bottom = camera.toY(layout.y[node]) - radiusOf(graph, camera, node) - 3;
  if (x < 0 || x > camera.width || bottom < 0 || bottom > camera.height + 10) return null;
  const lines = linesOf(picture, node).slice(0, most), wide = Math.max(...lines.map((text) => widthOf(pen, text))) + 4;
  const left = Math.min(Math.max(x - wide / 2, 0), Math.max(camera.width - wide, 0));
  return { lines, box: [left, Math.max(bottom - LINE * lines.length, 0), left + wide, Math.max(bottom, LINE * lines.length)] };
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
