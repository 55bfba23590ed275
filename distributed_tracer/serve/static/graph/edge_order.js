// Which edges are the strongest: those that pass on most influence, to all targets as the server sorts them, or to the
// targets that a reader compares.
import { effectsOf } from "./effects.js";

const MOST_PACKED = 2 ** 21; // edges whose numbers fit beside a float32 in the 53 bits of a whole number

/**
 * Return the numbers of the edges on which a view's targets depend, those that pass on most influence to them first, or
 * null if no target is chosen: edges are in that order already, for all targets. Kept for the last choice.
 *
 *   flow(node) = Σ over edges node → t of  strength(edge)
 *   strength(node → t) = |effect| / row(t) · flow(t)
 *
 * For one target A, flow(A) is 1. For A − B, edges into A and B have the strength of the difference of both effects of
 * their source, which is |share| in the list of direct effects. As `passed_influence` of edge_strength.py for a single
 * target; edges that the page does not have pass on nothing.
 */
export function edgesByTarget(graph, view) {
  if (!view.targetA && !view.targetB) return null;
  const key = JSON.stringify([view.targetA, view.targetB]);
  if (graph.edgeOrder?.key !== key) {
    const effects = effectsOf(graph, view);
    graph.edgeOrder = { key, edges: effects && sorted(strengths(graph, view, effects)) };
  }
  return graph.edgeOrder.edges;
}

function strengths(graph, view, effects) {
  const { source, target, weight, row } = graph, strength = new Float32Array(source.length), flow = new Float64Array(graph.count);
  const ends = [view.targetA, view.targetB].map((name) => (name ? graph.nodeOf(name) : -1)).filter((node) => node >= 0);
  for (let node = 0; node < graph.count; node++) flow[node] = Math.abs(effects.share[node]);
  for (const end of ends)
    for (const edge of graph.inputs(end)) strength[edge] = Math.abs(effects.share[source[edge]]);
  // Edges lead to higher layers: above a node all is known when its turn comes. Targets other than those chosen get none.
  for (const node of downwards(graph)) {
    if (!(flow[node] > 0) || !(row[node] > 0)) continue;
    for (const edge of graph.inputs(node)) {
      const passed = Number.isFinite(weight[edge]) ? (Math.abs(weight[edge]) / row[node]) * flow[node] : 0;
      strength[edge] = passed;
      flow[source[edge]] += passed;
    }
  }
  return strength;
}

/** Return the features and errors in an order in which each comes after all that it has edges to. */
function downwards(graph) {
  const { inner, source } = graph, numOutputs = new Int32Array(graph.count), isInner = new Uint8Array(graph.count);
  for (const node of inner) isInner[node] = 1;
  for (const node of inner) for (const edge of graph.inputs(node)) numOutputs[source[edge]]++;
  const ready = Array.from(inner).filter((node) => !numOutputs[node]);
  for (let next = 0; next < ready.length; next++)
    for (const edge of graph.inputs(ready[next]))
      if (--numOutputs[source[edge]] === 0 && isInner[source[edge]]) ready.push(source[edge]);
  return ready;
}

/** Return the numbers of the edges with a strength, the strongest first, equal ones in the order that they have. */
function sorted(strength) {
  const edges = [];
  for (let edge = 0; edge < strength.length; edge++) if (strength[edge] > 0) edges.push(edge);
  if (strength.length > MOST_PACKED) return Int32Array.from(edges.sort((a, b) => strength[b] - strength[a] || a - b));
  // A positive float32 has the order of its bits; sorting numbers without a function is ten times as quick.
  const bits = new Uint32Array(strength.buffer), last = MOST_PACKED - 1;
  const packed = Float64Array.from(edges, (edge) => bits[edge] * MOST_PACKED + (last - edge)).sort();
  return Int32Array.from(packed, (_, place) => last - (packed[packed.length - 1 - place] % MOST_PACKED));
}
