// Layout: layers up, positions across. Pure: the same nodes always get the same places, in units of the drawing.
import { rangesOf } from "./shown.js";

export const CELL = 30, ROW = 30;
const PAD = 14, FOLDED_LAYERS = 10, FOLDED_POSITIONS = 26, LEAST_COLUMN = 44, TARGET_CELL = 64, TARGET_PAD = 16;

/** How many of the nodes of one layer and position lie in a row. */
const across = (count) => Math.min(count, Math.max(3, Math.ceil(Math.sqrt(2.5 * count))));

/** Return the numbers of all nodes ordered by position, then layer; made once for a graph. */
function bySite(graph) {
  if (!graph.sites) {
    const key = Float64Array.from(graph.kind, (_, node) => graph.position[node] * 65536 + graph.layer[node] + 1);
    graph.sites = Int32Array.from(graph.kind.keys()).sort((a, b) => key[a] - key[b] || a - b);
  }
  return graph.sites;
}

/** Return sites of shown nodes: position, level (layers from -1, the tokens), and where their nodes lie in `order`. */
function sitesOf(graph, shown) {
  const sites = [], order = new Int32Array(graph.count);
  let size = 0, last = null;
  for (const node of bySite(graph)) {
    if (!shown[node]) continue;
    const at = graph.position[node], level = graph.layer[node];
    if (!last || last.at !== at || last.level !== level) sites.push((last = { at, level, from: size, count: 0 }));
    order[size++] = node;
    last.count++;
  }
  return { sites, order };
}

/**
 * Return the layout of the shown nodes: `x` and `y` of each (Float32Array), `columns` and `bands` from their beginning
 * to their end, and the whole `width` and `height`. A column has its position `at`, or `first` and `last` and
 * `isFolded`; a band likewise its layer. y grows downwards, as on a screen.
 */
export function layOut(graph, shown, view) {
  const { sites, order } = sitesOf(graph, shown), top = graph.num_layers;
  const widths = new Map(), rows = new Map();
  for (const { at, level, count } of sites) {
    const wide = level === top ? 1 : across(count);
    widths.set(at, Math.max(widths.get(at) ?? LEAST_COLUMN, wide * CELL + PAD));
    rows.set(level, Math.max(rows.get(level) ?? 0, level === top ? 1 : Math.ceil(count / wide)));
  }
  const columns = columnsOf(graph, widths), bands = bandsOf(graph, rows, view);
  const width = Math.max(columns.at(-1)?.to ?? 1, 1), height = Math.max(bands.at(-1)?.to ?? 1, 1);
  const x = new Float32Array(graph.count), y = new Float32Array(graph.count);
  const columnAt = new Map(columns.map((column) => [column.first, column]));
  const bandAt = new Map(bands.map((band) => [band.first, band]));
  for (const site of sites) place(site, order, columnAt.get(site.at), bandAt.get(site.level), { x, y, width, height, top });
  for (const band of bands) [band.from, band.to] = [height - band.to, height - band.from];
  return { x, y, columns, bands, width, height };
}

function columnsOf(graph, widths) {
  const columns = [];
  let x = 0;
  for (let at = 0; at < graph.tokens.length; at++) {
    const isFolded = !widths.has(at), last = columns.at(-1);
    if (isFolded && last?.isFolded) { last.last = at; continue; }
    columns.push({ first: at, last: at, isFolded, from: x, to: (x += isFolded ? FOLDED_POSITIONS : widths.get(at)) });
  }
  return columns;
}

function bandsOf(graph, rows, view) {
  const bands = [], opened = rangesOf(view.open, true);
  const isOpened = (level) => opened.some(([from, to]) => from <= level && level <= to);
  let y = 0;
  for (let level = -1; level <= graph.num_layers; level++) {
    const isEmpty = !rows.has(level), isFolded = isEmpty && !isOpened(level), last = bands.at(-1);
    if (isFolded && last?.isFolded) { last.last = level; continue; }
    const extra = level === graph.num_layers ? TARGET_PAD : 0;
    const high = isFolded ? FOLDED_LAYERS : (rows.get(level) ?? 1) * ROW + PAD + extra;
    bands.push({ first: level, last: level, isFolded, from: y, to: (y += high) });
  }
  return bands;
}

/** Place the nodes of one site in rows around its middle; targets, whose names are long, in one row that fits. */
function place({ level, from, count }, order, column, band, { x, y, width, height, top }) {
  const isTarget = level === top, wide = isTarget ? count : across(count), step = isTarget ? TARGET_CELL : CELL;
  const deep = Math.ceil(count / wide), half = ((wide - 1) * step) / 2, middle = (column.from + column.to) / 2;
  const right = isTarget ? Math.max(Math.min(middle + half, width - step / 2), 2 * half + step / 2) : middle + half;
  const centre = height - (band.from + band.to) / 2;
  for (let index = 0; index < count; index++) {
    const node = order[from + index];
    x[node] = right - (wide - 1 - (index % wide)) * step;
    y[node] = centre + (Math.floor(index / wide) - (deep - 1) / 2) * ROW;
  }
}
