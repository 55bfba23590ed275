// Names of columns as people read them, and which are shown unless the address says otherwise.
import { visible } from "../text.js";

const TITLES = {
  "answer.label": "answer", "answer.weight": "weight", num_tokens: "tokens", num_targets: "targets", num_nodes: "nodes",
  num_edges: "edges", num_active: "active features", num_layers: "layers", error_share: "error share",
  constant_share: "constant share", closing_error: "closing error",
};
const MEANINGS = {
  "answer.label": "The target with the largest weight.",
  "answer.weight": "Weight of this target: the model's probability of the token, unless the targets were given otherwise.",
  replacement: "Share of influence that comes from tokens rather than from errors.",
  completeness: "Share of effects, weighted by influence, that do not come from errors.",
  error_share: "Share of influence that ends in errors.",
  constant_share: "Share of influence that ends in the constant node.",
  closing_error: "How far edges, errors and constants are from adding up to each node's value.",
  num_active: "Features that are active in the prompt, at any position, whether or not they are nodes.",
};
export const GROUPS = {
  answer: "Answer", score: "Scores", size: "Sizes", metadata: "Metadata", check: "Evaluations", prompt: "Store",
};
const USUAL = ["num_tokens", "num_nodes", "replacement", "completeness"];
const COUNTED = ["replacement", "completeness", "num_nodes", "answer.weight"];

export const title = (name) => TITLES[name] ?? visible(name);
export const meaning = (name) => MEANINGS[name] ?? "";

/** Return the columns of the table that are shown at first: sizes, scores, and two of the metadata. */
export function usualColumns(columns) {
  const own = columns.filter((column) => column.source === "metadata" && column.kind !== "other").slice(0, 2);
  return [...own.map((column) => column.name), ...USUAL];
}

/** Return the histograms that are shown at first. */
export function usualHistograms(columns) {
  const own = columns.filter((column) => column.source === "metadata" && ["text", "boolean"].includes(column.kind)).slice(0, 2);
  return [...own.map((column) => column.name), ...COUNTED];
}
