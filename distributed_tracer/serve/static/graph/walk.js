// Walking from node to node with keys.

/** Return the node beside one in its layer, or -1: `step` is -1 for left and 1 for right. */
export function beside({ graph, shown, layout: { x, y } }, node, step) {
  let best = -1, least = Infinity;
  for (let other = 0; other < graph.count; other++) {
    if (!shown[other] || other === node || graph.layer[other] !== graph.layer[node]) continue;
    const along = (x[other] - x[node]) * step, down = y[other] - y[node];
    // Nodes of a site lie in several rows: the next one of the row, else the nearest of those further on.
    const isFurther = along > 0.5 || (Math.abs(along) <= 0.5 && down * step > 0.5);
    const far = Math.max(along, 0) + 3 * Math.abs(down);
    if (isFurther && far < least) [best, least] = [other, far];
  }
  return best;
}

/** Return the other end of the strongest shown edge into a node (`ends` is "inputs") or out of it, or -1. */
export function strongest({ graph, shown }, node, ends) {
  const others = ends === "inputs" ? graph.source : graph.target;
  let best = -1, most = 0;
  for (const edge of graph[ends](node)) {
    const size = Math.abs(graph.share(edge));
    if (shown[others[edge]] && size > most) [best, most] = [others[edge], size];
  }
  return best;
}

/** Return where keys begin: the most influential node that is shown, or any. */
export function firstNode({ graph, shown }) {
  const found = graph.inner.find((node) => shown[node]);
  return found ?? shown.indexOf(1);
}
