// Which nodes and edges a view shows. Both functions run in every frame of a slider, so they only walk typed arrays.
import { ERROR, FEATURE, TARGET, TOKEN } from "../graph_data.js";

/** Prompts of at most this many tokens show all of them; in longer ones, positions without other nodes are folded. */
export const ALL_POSITIONS = 40;

/** Return the numbers of the nodes of a list of keys, without those that are not there. */
export const nodesOf = (graph, keys) => keys.map((key) => graph.nodeOf(key)).filter((node) => node >= 0);

/** Return the ranges that a reader unfolded: pairs of first and last, of positions or of layers. */
export function rangesOf(open, ofLayers) {
  return open.filter((text) => text.startsWith("L") === ofLayers)
    .map((text) => text.replace("L", "").split("-").map(Number));
}

/**
 * Return { shown, numInner }: for each node whether it is shown (Uint8Array), and how many features and errors are.
 * Shown are the features and errors that cover the share of influence and have a density within the bounds; what is
 * pinned, selected or in a group; all targets; and tokens at positions that are not folded.
 */
export function chooseNodes(graph, view) {
  const shown = new Uint8Array(graph.count), { kind, position, density, inner } = graph;
  const covering = graph.numCovering(view.share), isBounded = view.minDensity > 0 || view.maxDensity < 1;
  for (let k = 0; k < covering; k++) {
    const node = inner[k];
    // A density that is not known does not hide a node.
    const isOutside = isBounded && kind[node] === FEATURE &&
      (density[node] < view.minDensity || density[node] > view.maxDensity);
    if (!isOutside) shown[node] = 1;
  }
  for (const node of keptNodes(graph, view)) shown[node] = 1;
  for (const node of nodesOf(graph, view.hidden)) shown[node] = 0;
  if (view.node && graph.nodeOf(view.node) >= 0) shown[graph.nodeOf(view.node)] = 1;
  const used = usedPositions(graph, shown, view);
  let numInner = 0;
  for (let node = 0; node < graph.count; node++) {
    if (kind[node] === TARGET || (kind[node] === TOKEN && used[position[node]])) shown[node] = 1;
    if (shown[node] && kind[node] <= ERROR) numInner++;
  }
  return { shown, numInner };
}

/** Return the nodes that are shown whatever the sliders say. */
const keptNodes = (graph, view) => nodesOf(graph, [...view.pins, ...view.groups.flatMap(({ members }) => members)]);

/** Return for each position whether it has a column of its own. */
function usedPositions(graph, shown, view) {
  const count = graph.tokens.length, used = new Uint8Array(count);
  if (count <= ALL_POSITIONS) return used.fill(1);
  for (let node = 0; node < graph.count; node++)
    if (shown[node] || graph.kind[node] === TARGET) used[graph.position[node]] = 1;
  for (const [from, to] of rangesOf(view.open, false)) used.fill(1, from, to + 1);
  // A single position between two columns costs no more than its fold.
  for (let at = 0; at < count; at++) if (!used[at] && used[at - 1] !== 0 && used[at + 1] !== 0) used[at] = 1;
  return used;
}

/**
 * Return the numbers of at most `most` edges between shown nodes, the strongest first (a view of a buffer). `order` has
 * the edges that may be shown, the strongest first; null stands for all as they come.
 */
export function chooseEdges(graph, shown, most, order = null) {
  const { source, target } = graph, length = order ? order.length : source.length;
  if (!graph.edgeBuffer) graph.edgeBuffer = new Int32Array(source.length);
  let count = 0;
  for (let place = 0; place < length && count < most; place++) {
    const edge = order ? order[place] : place;
    if (shown[source[edge]] & shown[target[edge]]) graph.edgeBuffer[count++] = edge;
  }
  return graph.edgeBuffer.subarray(0, count);
}
