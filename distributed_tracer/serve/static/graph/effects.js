// Direct effects on the targets that a reader chose: on A, or what raises A over B.
import { TARGET } from "../graph_data.js";

/**
 * Return { share, title } of the direct effects on the chosen targets, or null if none is chosen. `share` has a number
 * for each node (Float32Array), with its sign. For one target it is the edge's share of the target's row. For A - B it
 * is the difference of the two edges, divided by the sum of the sizes of all such differences.
 */
export function effectsOf(graph, view) {
  const [a, b] = [view.targetA, view.targetB].map((key) => (key ? graph.nodeOf(key) : -1));
  if (a < 0 && b < 0) return null;
  if (a < 0 || b < 0) {
    const one = a < 0 ? b : a;
    return { share: direct(graph, one, graph.row[one] || 0), title: graph.shortName(one) };
  }
  const share = direct(graph, a, 1), other = direct(graph, b, 1);
  let whole = 0;
  for (let node = 0; node < share.length; node++) whole += Math.abs((share[node] -= other[node]));
  for (let node = 0; node < share.length; node++) share[node] = whole > 0 ? share[node] / whole : 0;
  return { share, title: `${graph.shortName(a)} − ${graph.shortName(b)}` };
}

/** Return the edge of every node to one node, divided by a sum. */
function direct(graph, node, sum) {
  const found = new Float32Array(graph.count);
  for (const edge of graph.inputs(node))
    if (sum > 0 && Number.isFinite(graph.weight[edge])) found[graph.source[edge]] = graph.weight[edge] / sum;
  return found;
}

/** Return the nodes with effects of one sign, the largest first. */
export function strongestEffects({ share }, sign) {
  const found = [];
  for (let node = 0; node < share.length; node++) if (share[node] * sign > 0) found.push(node);
  return found.sort((one, other) => sign * (share[other] - share[one]) || one - other);
}

/** Return the numbers of the target nodes; found once for a graph. */
export function targetsOf(graph) {
  graph.targetNodes ??= [...graph.kind.keys()].filter((node) => graph.kind[node] === TARGET);
  return graph.targetNodes;
}
