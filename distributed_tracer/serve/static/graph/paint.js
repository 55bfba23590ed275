// Painting: what is drawn on each layer, with a pen that is a canvas context or an SvgPen. A picture has the properties
// graph, view, layout, camera, shown, drawn, linked, marks, effects, communities, colours, hovered and cursor: see scene.js.
import { ERROR, FEATURE, KINDS, TARGET } from "../graph_data.js";
import { cut, tokenText } from "../text.js";
import { BELOW, LEFT } from "./camera.js";
import { NUM_COLOURS } from "./communities.js";

export const FONT = "12px system-ui, sans-serif", SMALL_FONT = "11px system-ui, sans-serif";
const COLOUR_NAMES = [...KINDS, "no-community", "back", "text", "faint", "line", "band", "positive", "negative", "select"];
export const NUM_GROUP_COLOURS = 6;

/** Return the colours of the theme by name; `groups` is a list. */
export function readColours() {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(`--${name}`).trim();
  const colours = Object.fromEntries(COLOUR_NAMES.map((name) => [name, of(name)]));
  colours.groups = Array.from({ length: NUM_GROUP_COLOURS }, (_, number) => of(`group-${number}`));
  colours.communities = Array.from({ length: NUM_COLOURS }, (_, number) => of(`community-${number}`));
  return colours;
}

/** Bands, columns, and the names of layers and positions around the plot. */
export function paintGround(pen, { graph, view, layout, camera, colours, cursor }) {
  const { width, height } = camera;
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, width, height);
  pen.clip();
  pen.fillStyle = colours.band;
  for (const { isFolded, from, to } of layout.bands)
    if (isFolded) pen.fillRect(LEFT, camera.toY(from), width, (to - from) * camera.tall);
  for (const { isFolded, from, to } of layout.columns)
    if (isFolded) pen.fillRect(LEFT + camera.toX(from), 0, (to - from) * camera.scale, height);
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const { from } of layout.columns.slice(1)) {
    const x = Math.round(LEFT + camera.toX(from)) + 0.5;
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
  }
  // In a long prompt that is seen whole, lines between columns would be a grating.
  pen.globalAlpha = Math.min(0.45, (0.02 * layout.width * camera.scale) / Math.max(layout.columns.length, 1));
  pen.stroke();
  pen.globalAlpha = 1;
  pen.restore();
  paintLayerNames(pen, { graph, layout, camera, colours });
  paintTokens(pen, { graph, layout, camera, colours, marked: cursor >= 0 ? cursor : graph.nodeOf(view.node) });
  pen.strokeStyle = colours.faint;
  pen.beginPath();
  pen.moveTo(LEFT - 0.5, 0);
  pen.lineTo(LEFT - 0.5, height + 0.5);
  pen.lineTo(LEFT + width, height + 0.5);
  pen.stroke();
}

const span = ({ first, last }) => (first === last ? `${first}` : `${first}–${last}`);

function paintLayerNames(pen, { graph, layout, camera, colours }) {
  const ends = new Map([[-1, "tokens"], [graph.num_layers, "targets"]]);
  pen.font = FONT;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  let free = Infinity;
  for (const band of layout.bands) {
    const y = camera.toY((band.from + band.to) / 2);
    if (y < 6 || y > camera.height - 4 || free - y < 13) continue;
    free = y;
    pen.fillStyle = band.isFolded ? colours.faint : colours.text;
    pen.fillText(band.isFolded ? `⋮ ${span(band)}` : ends.get(band.first) ?? `layer ${band.first}`, LEFT - 8, y);
  }
}

function paintTokens(pen, { graph, layout, camera, colours, marked }) {
  pen.font = FONT;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  let free = -Infinity;
  for (const column of layout.columns) {
    const x = LEFT + camera.toX((column.from + column.to) / 2);
    if (x < LEFT || x > LEFT + camera.width || x - free < 14) continue;
    free = x;
    const isMarked = marked >= 0 && graph.position[marked] === column.first && !column.isFolded;
    pen.save();
    pen.translate(x + 3, camera.height + 9);
    pen.rotate(-Math.PI / 4);
    pen.fillStyle = column.isFolded ? colours.faint : isMarked ? colours.select : colours.text;
    pen.fillText(column.isFolded ? `⋯ ${span(column)}` : cut(graph.token(column.first), 12), 0, 0);
    pen.restore();
  }
}

const WIDE = 100, CHUNK = 1500;

/** Return the chunks of the first `most` edges as pairs of first and end, the weakest first: each is painted at once. */
export function chunksOf(most) {
  const chunks = [];
  for (let from = 0; from < most; from = chunks.at(-1)[1]) chunks.push([from, chunkEnd(from, most)]);
  return chunks.reverse();
}

const chunkEnd = (from, most) => Math.min(from + (from < WIDE ? 1 : CHUNK), most);

/**
 * Paint a chunk of the edges drawn. Later edges are weaker: paler, and no wider than a pixel, as the path of wider lines
 * takes a processor ten times as long.
 */
export function paintEdges(pen, { graph, layout: { x, y }, camera, drawn, colours }, [from, to]) {
  const { source, target, weight } = graph, rank = (from + to) / 2 / Math.max(drawn.length, 1);
  const strength = 1 - Math.sqrt(rank), crowd = Math.min(1, Math.sqrt(1500 / Math.max(drawn.length, 1)));
  pen.lineWidth = to <= WIDE ? 1 + strength * (1 - from / WIDE) : 1;
  pen.globalAlpha = Math.max((0.08 + 0.5 * strength) * Math.max(crowd, 0.06), 0.015);
  const { x: left, y: top, scale, tall } = camera;
  for (const sign of [1, -1]) {
    pen.strokeStyle = sign > 0 ? colours.positive : colours.negative;
    if (to - from === 1 && weight[drawn[from]] * sign <= 0) continue;
    pen.beginPath();
    for (let place = from; place < to; place++) {
      const edge = drawn[place];
      if (weight[edge] * sign <= 0) continue;
      const one = source[edge], other = target[edge];
      pen.moveTo((x[one] - left) * scale, (y[one] - top) * tall);
      pen.lineTo((x[other] - left) * scale, (y[other] - top) * tall);
    }
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

/** The edges of the selected node by signed share, the weakest first. */
export function paintLinked(pen, { graph, layout: { x, y }, camera, linked, colours }) {
  const levels = 12, paths = new Map();
  for (const edge of linked.edges) {
    const share = graph.share(edge), level = Math.ceil(levels * Math.sqrt(Math.min(Math.abs(share), 1)));
    const key = share > 0 ? level : -level;
    if (!paths.has(key)) paths.set(key, []);
    paths.get(key).push(edge);
  }
  for (const key of [...paths.keys()].sort((a, b) => Math.abs(a) - Math.abs(b))) {
    const root = Math.abs(key) / levels; // square root of the share
    pen.lineWidth = 0.5 + 6 * root;
    pen.globalAlpha = 0.25 + 0.65 * Math.min(1, 2.5 * root);
    pen.strokeStyle = key > 0 ? colours.positive : colours.negative;
    pen.beginPath();
    for (const edge of paths.get(key)) {
      const one = graph.source[edge], other = graph.target[edge];
      pen.moveTo(camera.toX(x[one]), camera.toY(y[one]));
      pen.lineTo(camera.toX(x[other]), camera.toY(y[other]));
    }
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

/** Return the radius of every node at scale 1, by its influence or, of a target, its weight; made once for a graph. */
export function sizesOf(graph) {
  if (!graph.sizes) {
    const largest = Math.max(1e-30, graph.inner.length ? graph.flow[graph.inner[0]] : 0);
    graph.sizes = Float32Array.from(graph.kind, (kind, node) => {
      const size = kind === TARGET ? graph.targets[graph.feature[node]].weight ?? largest : graph.flow[node];
      return 3 + 5 * Math.sqrt(Math.min(Math.max(size, 0) / largest, 1));
    });
  }
  return graph.sizes;
}

export const radiusOf = (graph, camera, node) => sizesOf(graph)[node] * Math.min(0.25 + 0.9 * Math.sqrt(camera.scale * camera.tall), 1.6);

const UP = 4, DOWN = 5; // triangles, besides the kinds of nodes

function shape(pen, kind, x, y, r) {
  if (r < 1.6) pen.rect(x - r, y - r, 2 * r, 2 * r);
  else if (kind === UP || kind === DOWN) {
    const tip = kind === UP ? -1.25 * r : 1.25 * r;
    pen.moveTo(x, y + tip);
    pen.lineTo(x + 1.15 * r, y - 0.65 * tip);
    pen.lineTo(x - 1.15 * r, y - 0.65 * tip);
    pen.closePath();
  }
  else if (kind === FEATURE) { pen.moveTo(x + r, y); pen.arc(x, y, r, 0, 2 * Math.PI); }
  else if (kind === ERROR) {
    pen.moveTo(x, y - r * 1.2);
    pen.lineTo(x + r * 1.2, y);
    pen.lineTo(x, y + r * 1.2);
    pen.lineTo(x - r * 1.2, y);
    pen.closePath();
  } else pen.rect(x - r, y - r, 2 * r, 2 * r);
}

/** All shown nodes that are in sight, as one path for each colour and size. */
export function paintNodes(pen, picture) {
  const { graph, layout, camera, shown, colours } = picture, batches = new Map();
  for (let node = 0; node < graph.count; node++) {
    if (!shown[node]) continue;
    const x = camera.toX(layout.x[node]), y = camera.toY(layout.y[node]);
    if (x < -12 || y < -12 || x > camera.width + 12 || y > camera.height + 12) continue;
    const look = lookOf(picture, node), key = look * 64 + Math.round(2 * radiusOf(graph, camera, node));
    const batch = batches.get(key);
    if (batch) batch.push(node, x, y);
    else batches.set(key, [node, x, y]);
  }
  pen.lineWidth = 1;
  pen.strokeStyle = colours.back;
  for (const [key, batch] of batches) {
    const look = Math.floor(key / 64), r = (key % 64) / 2;
    pen.globalAlpha = look & 1 ? 0.28 : 1;
    pen.fillStyle = fillOf(look >> 1, colours);
    pen.beginPath();
    for (let place = 0; place < batch.length; place += 3)
      shape(pen, formOf(look >> 1, graph.kind[batch[place]]), batch[place + 1], batch[place + 2], r);
    pen.fill();
    if (r >= 2.5) pen.stroke();
  }
  pen.globalAlpha = 1;
}

/** Return a number for how a node is drawn: what colour, and whether it is paler (the lowest bit). */
function lookOf({ graph, effects, linked, communities }, node) {
  const isPale = linked && !linked.nodes[node] ? 1 : 0;
  if (communities) return (communities[node] < -1 ? graph.kind[node] : OF_COMMUNITIES + communities[node]) * 2 + isPale;
  if (!effects) return graph.kind[node] * 2 + isPale;
  const share = effects.share[node];
  if (graph.kind[node] === TARGET) return graph.kind[node] * 2 + isPale;
  return (Math.abs(share) < 1e-4 ? 4 : share > 0 ? 5 : 6) * 2 + isPale;
}

const OF_COMMUNITIES = 8; // looks from here on; the one before is that of features without a community

function fillOf(look, colours) {
  if (look < 4) return colours[KINDS[look]];
  if (look >= OF_COMMUNITIES) return colours.communities[(look - OF_COMMUNITIES) % NUM_COLOURS];
  return [colours.faint, colours.positive, colours.negative, colours["no-community"]][look - 4];
}

/** Return the form of a node: communities beyond the number of colours have triangles. */
const formOf = (look, kind) =>
  look < OF_COMMUNITIES + NUM_COLOURS ? kind : look < OF_COMMUNITIES + 2 * NUM_COLOURS ? UP : DOWN;

/** Rings around nodes in groups (in the group's colour) and pinned nodes. */
export function paintMarks(pen, { graph, layout, camera, shown, marks, colours }) {
  for (const [node, { isPinned, groups }] of marks) {
    if (!shown[node]) continue;
    const x = camera.toX(layout.x[node]), y = camera.toY(layout.y[node]);
    let r = radiusOf(graph, camera, node) + 2;
    for (const group of groups) {
      ring(pen, x, y, r, 2.5, colours.groups[group % NUM_GROUP_COLOURS]);
      r += 3;
    }
    if (isPinned) ring(pen, x, y, r, 2, colours.select);
  }
}

/** Rings around the selected node, the one under the mouse, and the one where the keys are. */
export function paintFocus(pen, { graph, view, layout, camera, hovered, cursor, colours }) {
  for (const [node, wide] of [[graph.nodeOf(view.node), 3], [hovered, 1.5], [cursor, 2]]) {
    if (node < 0) continue;
    const r = radiusOf(graph, camera, node) + 3.5;
    ring(pen, camera.toX(layout.x[node]), camera.toY(layout.y[node]), r, wide + 2, colours.back);
    ring(pen, camera.toX(layout.x[node]), camera.toY(layout.y[node]), r, wide, colours.select);
  }
}

function ring(pen, x, y, r, wide, colour) {
  pen.lineWidth = wide;
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(x + r, y);
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.stroke();
}

/** Return the lines written above a node. */
export function linesOf({ graph, view, marks }, node) {
  const lines = [cut(graph.shortName(node), 16)], weight = graph.targets[graph.feature[node]]?.weight;
  if (graph.kind[node] === TARGET && weight !== null) lines.push(weight.toFixed(2));
  const said = graph.labelText(node);
  if (said) lines.push(cut(said, 24));
  for (const group of marks.get(node)?.groups ?? []) lines.push(`▸ ${cut(tokenText(view.groups[group].name), 22)}`);
  return lines;
}
