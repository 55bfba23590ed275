// SmallGraph: a graph drawn small, as layers over positions, to be looked at beside another one. It is a picture: lists
// beside it must name what it shows, as nothing in it takes the keyboard's focus.
import { ERROR, FEATURE, TARGET, TOKEN } from "../graph_data.js";
import { html, useMemo, useRef } from "../lib.js";
import { counted, cut, percent } from "../text.js";

const SHARE = 0.8, MOST_NODES = 140, MOST_EDGES = 260, MOST_TOKENS = 24;
const CELL = 13, ROW = 25, LEFT = 30, LEAST_COLUMN = 44, RADIUS = 4.5, NEAR = 14;

/** Return the nodes to draw: targets, and the features, errors and tokens that most influence flows through. */
function chosen(graph) {
  const inner = Array.from(graph.inner.subarray(0, Math.min(graph.numCovering(SHARE), MOST_NODES)));
  const targets = [], tokens = [];
  for (let node = 0; node < graph.count; node++) {
    if (graph.kind[node] === TARGET) targets.push(node);
    if (graph.kind[node] === TOKEN) tokens.push(node);
  }
  tokens.sort((a, b) => (graph.influence[b] || 0) - (graph.influence[a] || 0) || a - b);
  return { inner, nodes: [...targets, ...tokens.slice(0, MOST_TOKENS), ...inner] };
}

/** Return places of the nodes: { x, y } by node, columns and rows with their names, and the size of the whole. */
function layOut(graph, nodes) {
  const cells = new Map(), level = (node) => (graph.kind[node] === TOKEN ? -1 : graph.kind[node] === TARGET ? Infinity : graph.layer[node]);
  for (const node of nodes) {
    const key = `${level(node)} ${graph.position[node]}`;
    cells.set(key, [...(cells.get(key) ?? []), node]);
  }
  const levels = [...new Set(nodes.map(level))].sort((a, b) => b - a);
  const positions = [...new Set(nodes.map((node) => graph.position[node]))].sort((a, b) => a - b);
  const columns = [];
  let x = LEFT;
  for (const position of positions) {
    const fullest = Math.max(...levels.filter(Number.isFinite).map((row) => cells.get(`${row} ${position}`)?.length ?? 0), 1);
    const targets = cells.get(`Infinity ${position}`)?.length ?? 0;
    const width = Math.max(LEAST_COLUMN, fullest * CELL + 10, targets * 56);
    columns.push({ position, x, width });
    x += width;
  }
  const y = new Map(levels.map((row, k) => [row, 14 + ROW * k])), places = new Map();
  for (const { position, x: left, width } of columns)
    for (const row of levels) {
      const cell = cells.get(`${row} ${position}`) ?? [], step = Number.isFinite(row) ? CELL : width / Math.max(1, cell.length);
      cell.forEach((node, k) => places.set(node, { x: left + width / 2 + step * (k - (cell.length - 1) / 2), y: y.get(row) }));
    }
  return { places, columns, rows: levels.filter((row) => Number.isFinite(row) && row >= 0).map((row) => ({ row, y: y.get(row) })), width: x + 6, height: 14 + ROW * levels.length };
}

function Mark({ graph, node, place, isShared, isMarked }) {
  const { x, y } = place, kind = graph.kind[node], size = RADIUS + (isMarked ? 2 : 0);
  const style = `${isMarked ? "marked " : ""}${isShared ? "shared" : "own"}`;
  if (kind === FEATURE) return html`<circle class=${`feature ${style}`} cx=${x} cy=${y} r=${size} />`;
  if (kind === ERROR) return html`<path class=${`error ${isMarked ? "marked" : ""}`} d=${`M${x} ${y - size}L${x + size} ${y}L${x} ${y + size}L${x - size} ${y}Z`} />`;
  const name = kind === TOKEN ? graph.token(graph.position[node]) : graph.shortName(node);
  return html`<g class=${`${kind === TOKEN ? "token" : "target"} ${isMarked ? "marked" : ""}`}>
    <rect x=${x - 3.5} y=${y - 3.5} width="7" height="7" /><text x=${x} y=${y + (kind === TOKEN ? 15 : -6)} text-anchor="middle">${cut(name, 7)}</text></g>`;
}

/** The nodes that a mark means: all of a feature `layer:index` at any position, or the one with a KEY. */
export function markedNodes(graph, marked) {
  if (!marked) return [];
  const site = /^(\d+):(\d+)$/.exec(marked);
  if (!site) return graph.nodeOf(marked) < 0 ? [] : [graph.nodeOf(marked)];
  const [layer, feature] = [Number(site[1]), Number(site[2])], found = [];
  for (let node = 0; node < graph.count; node++)
    if (graph.kind[node] === FEATURE && graph.layer[node] === layer && graph.feature[node] === feature) found.push(node);
  return found;
}

/**
 * The drawing. `marked` is a KEY, a feature `layer:index`, or null; `isShared(node)` says which features are filled;
 * `onHover` gets the KEY of the node under the pointer or null, `onSelect` that of the node that is clicked or null.
 */
export function SmallGraph({ graph, marked = null, isShared = () => true, onHover = () => {}, onSelect = () => {}, title = "" }) {
  const drawn = useMemo(() => {
    const { inner, nodes } = chosen(graph), { places, ...sizes } = layOut(graph, nodes), edges = [];
    for (let edge = 0; edge < graph.source.length && edges.length < MOST_EDGES; edge++)
      if (places.has(graph.source[edge]) && places.has(graph.target[edge])) edges.push(edge);
    return { inner, nodes, places, edges, ...sizes };
  }, [graph]);
  const last = useRef(null), picture = useRef(null);
  const { places, width, height, columns, rows } = drawn;
  const line = (edge, style) => {
    const [from, to] = [places.get(graph.source[edge]), places.get(graph.target[edge])];
    return html`<line class=${style} x1=${from.x} y1=${from.y} x2=${to.x} y2=${to.y} stroke-width=${Math.max(0.6, 4 * Math.sqrt(Math.abs(graph.share(edge)))).toFixed(2)} />`;
  };
  // What does not depend on the mark is made once: hovering draws only the marked nodes again.
  const fixed = useMemo(() => html`<g>
    ${columns.filter((_, k) => k % 2).map((column) => html`<rect class="band" x=${column.x} y="0" width=${column.width} height=${height} />`)}
    ${rows.map((row) => html`<text class="layer" x=${LEFT - 8} y=${row.y + 3.5} text-anchor="end">${row.row}</text>`)}
    ${drawn.edges.map((edge) => line(edge, "edge"))}
    ${drawn.nodes.map((node) => html`<${Mark} graph=${graph} node=${node} place=${places.get(node)} isShared=${isShared(node)} />`)}
  </g>`, [drawn, isShared]);
  const shown = markedNodes(graph, marked).filter((node) => places.has(node)), isMarked = new Set(shown);
  const touching = shown.length ? drawn.edges.filter((edge) => isMarked.has(graph.source[edge]) || isMarked.has(graph.target[edge])) : [];
  const nearest = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.current.getScreenCTM().inverse()), { x, y } = at;
    let best = null, least = NEAR;
    for (const [node, place] of places) {
      const distance = Math.hypot(place.x - x, place.y - y);
      if (distance < least) [best, least] = [node, distance];
    }
    return best === null ? null : graph.keyOf(best);
  };
  const hover = (key) => { if (key !== last.current) { last.current = key; onHover(key); } };
  const numFeatures = drawn.inner.filter((node) => graph.kind[node] === FEATURE).length;
  const said = `${title}: ${counted(numFeatures, "feature")} with ${percent(graph.before[drawn.inner.length]).replace("+", "")} of the influence, and ${counted(drawn.edges.length, "edge")}`;
  return html`<figure class="small-graph">
    <div class="scrolled" tabindex="0" role="group" aria-label=${`Drawing of ${title}`}>
      <svg ref=${picture} viewBox=${`0 0 ${width} ${height + 8}`} style=${{ minWidth: `${Math.round(0.72 * width)}px` }} role="img" aria-label=${said}
        onPointerMove=${(event) => hover(nearest(event))} onPointerLeave=${() => hover(null)} onClick=${(event) => onSelect(nearest(event))}>
        ${fixed}
        ${touching.map((edge) => line(edge, graph.weight[edge] > 0 ? "edge up" : "edge down"))}
        ${shown.map((node) => html`<${Mark} graph=${graph} node=${node} place=${places.get(node)} isShared=${isShared(node)} isMarked=${true} />`)}
      </svg></div>
    <figcaption class="faint">${said}</figcaption>
  </figure>`;
}
