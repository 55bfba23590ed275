// GraphData: the arrays of one graph, and questions about them that are answered without asking the server.
import { cut, tokenText, visible } from "./text.js";

export const [FEATURE, ERROR, TOKEN, TARGET] = [0, 1, 2, 3];
export const KINDS = ["feature", "error", "token", "target"];

export class GraphData {
  /** `values` and `arrays` are those of the API's `/graph`. The edges that pass on most influence come first. */
  constructor({ values, arrays }) {
    Object.assign(this, values, arrays);
    this.values = values;
    this.count = this.kind.length;
    this.numbers = new Map(Array.from(this.kind, (_, node) => [this.keyOf(node), node]));
    this.labelsOfSite = new Map(this.labels.map(([layer, feature, found]) => [`${layer}:${feature}`, found]));
    this.order();
  }

  /** Order features and errors by influence, and note for each the share that comes before it. */
  order() {
    const inner = [];
    for (let node = 0; node < this.count; node++) if (this.kind[node] <= ERROR) inner.push(node);
    // In an imported graph of which no influence is known, all nodes count the same.
    const isKnown = inner.some((node) => Number.isFinite(this.influence[node]));
    this.flow = new Float64Array(this.count);
    for (const node of inner) this.flow[node] = isKnown ? this.influence[node] || 0 : 1;
    inner.sort((a, b) => this.flow[b] - this.flow[a] || a - b);
    const total = inner.reduce((sum, node) => sum + this.flow[node], 0) || 1;
    this.inner = Int32Array.from(inner); // features and errors, the most influential first
    this.before = new Float64Array(inner.length + 1); // share of influence of the first k of them
    inner.forEach((node, k) => { this.before[k + 1] = this.before[k] + this.flow[node] / total; });
    this.rank = new Int32Array(this.count).fill(-1); // place of each node in `inner`
    inner.forEach((node, k) => { this.rank[node] = k; });
  }

  /** Return how many of `inner` are needed to cover a share of influence: a binary search. */
  numCovering(share) {
    if (share >= 1) return this.inner.length;
    let low = 0, high = this.inner.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.before[middle] < share - 1e-12) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The name of a node that stays the same when the prompt is traced again: kind:layer:position:feature. */
  keyOf(node) {
    return `${KINDS[this.kind[node]]}:${this.layer[node]}:${this.position[node]}:${this.feature[node]}`;
  }

  /** The number of the node with a name, or -1. */
  nodeOf(key) {
    return this.numbers.get(key) ?? -1;
  }

  /** The edge's share of the sum of |weight| of its target's row, with its sign. */
  share(edge) {
    const row = this.row[this.target[edge]];
    return row > 0 ? this.weight[edge] / row : 0;
  }

  /** The numbers of the edges into a node, those that pass on most influence first. */
  inputs(node) {
    this.ofTarget ??= this.edgesBy(this.target);
    return this.ofTarget.edges.subarray(this.ofTarget.start[node], this.ofTarget.start[node + 1]);
  }

  /** The numbers of the edges out of a node. */
  outputs(node) {
    this.ofSource ??= this.edgesBy(this.source);
    return this.ofSource.edges.subarray(this.ofSource.start[node], this.ofSource.start[node + 1]);
  }

  edgesBy(ends) {
    const start = new Int32Array(this.count + 1), edges = new Int32Array(ends.length);
    for (const end of ends) start[end + 1]++;
    for (let node = 0; node < this.count; node++) start[node + 1] += start[node];
    const next = start.slice(0, -1);
    for (let edge = 0; edge < ends.length; edge++) edges[next[ends[edge]]++] = edge;
    return { start, edges };
  }

  token(position) {
    return tokenText(this.tokens[position] ?? "");
  }

  /** The labels of a feature's node: pairs of text and source. */
  labelsOf(node) {
    return this.kind[node] === FEATURE ? this.labelsOfSite.get(`${this.layer[node]}:${this.feature[node]}`) ?? [] : [];
  }

  /** Take other labels of a feature: pairs of text and source. */
  setLabels(layer, feature, labels) {
    this.labelsOfSite.set(`${layer}:${feature}`, labels);
  }

  labelText(node) {
    return [...new Set(this.labelsOf(node).map(([text]) => visible(text)))].join(" | ");
  }

  /** The shortest name of a node: 2:46, error 3, a token, a target. */
  shortName(node) {
    if (this.kind[node] === FEATURE) return `${this.layer[node]}:${this.feature[node]}`;
    if (this.kind[node] === ERROR) return `error ${this.layer[node]}`;
    return this.kind[node] === TOKEN ? this.token(this.position[node]) : tokenText(this.targets[this.feature[node]].label);
  }

  /** The full name of a node in words, as screen readers say it. */
  name(node) {
    const kind = this.kind[node], position = this.position[node];
    const what = kind === FEATURE ? "feature " : kind === ERROR ? "" : `${KINDS[kind]} `;
    const where = kind === TARGET ? "" : ` at ${position}${kind === TOKEN ? "" : ` ${this.token(position)}`}`;
    const said = this.labelText(node);
    return `${what}${this.shortName(node)}${where}${said ? ` — ${cut(said, 200)}` : ""}`;
  }
}
