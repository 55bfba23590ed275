// Which node is at a place of the plot: the nearest one within reach, found in a packed R-tree of the layout.
import "../vendor/flatbush-4.7.0/flatbush.js";

export const REACH = 30; // pixels

/** Return a function of (camera, x, y) in pixels of the plot: the number of the nearest shown node, or -1. */
export function hitTest(graph, shown, layout) {
  const nodes = [];
  for (let node = 0; node < graph.count; node++) if (shown[node]) nodes.push(node);
  if (!nodes.length) return () => -1;
  const tree = new globalThis.Flatbush(nodes.length, 16, Float32Array);
  for (const node of nodes) tree.add(layout.x[node], layout.y[node], layout.x[node], layout.y[node]);
  tree.finish();
  return (camera, x, y) => {
    const [left, right] = [camera.fromX(x - REACH), camera.fromX(x + REACH)];
    const [top, bottom] = [camera.fromY(y - REACH), camera.fromY(y + REACH)];
    let best = -1, least = REACH * REACH;
    for (const place of tree.search(left, top, right, bottom)) {
      const node = nodes[place];
      const distance = (camera.toX(layout.x[node]) - x) ** 2 + (camera.toY(layout.y[node]) - y) ** 2;
      if (distance < least) [best, least] = [node, distance];
    }
    return best;
  };
}
