// Scores of the subgraph: how much of the answer its features explain if all others count as errors.
import { get } from "../api.js";
import { html } from "../lib.js";
import { useLoaded } from "../load.js";

const LONGEST = 9_000, MOST = 35_000; // characters of one parameter, and of all: an address has at most 64 kB

/** Return keys in few texts with commas, as the API takes them. Raises an error for more than an address can have. */
export function joinedKeys(keys) {
  const found = [];
  for (const key of keys) {
    const last = found.length - 1;
    if (last >= 0 && found[last].length + key.length < LONGEST) found[last] += `,${key}`;
    else found.push(key);
  }
  if (found.reduce((sum, text) => sum + text.length, 0) > MOST) throw new Error(`${keys.length} nodes are too many to ask the server about`);
  return found;
}

/** The scores of the nodes with these keys. */
export function Scores({ graph, keys }) {
  const name = keys.join();
  const { value, error } = useLoaded(async (signal) => (keys.length
    ? get("subgraph_scores", { prompt: graph.values.prompt, node: joinedKeys(keys) }, signal) : null), [name]);
  if (error) return html`<p class="failed" role="alert">No scores: ${error.message}</p>`;
  if (!value) return html`<p class="sg-scores faint">Scores: …</p>`;
  const part = value.stored_share;
  return html`<div class="sg-scores">
    <${Score} name="Replacement" value=${value.replacement} whole=${value.whole.replacement}
      said="share of the influence that comes from tokens rather than from errors" />
    <${Score} name="Completeness" value=${value.completeness} whole=${value.whole.completeness}
      said="share of the effects, weighted by influence, that do not come from errors" />
    <p class="faint">${value.num_features} of ${value.num_features_of_graph} features; the others count as errors. “of” is what all features reach.
      ${part !== null && part < 0.995 ? ` Pruning kept ${Math.round(100 * part)}% of the effects.` : ""}
      ${part === null ? " How much pruning removed is unknown." : ""}</p>
  </div>`;
}

function Score({ name, value, whole, said }) {
  const text = value === null ? "unknown" : value.toFixed(2);
  return html`<div class="sg-score" title=${`${name}: ${said}. The mark, and the second number, are those of all features of the graph.`}>
    <span>${name}</span>
    <span class="sg-bar" aria-hidden="true">
      <span class="sg-part" style=${{ width: `${100 * Math.min(Math.max(value ?? 0, 0), 1)}%` }}></span>
      ${whole !== null && html`<span class="sg-whole" style=${{ left: `${100 * Math.min(Math.max(whole, 0), 1)}%` }}></span>`}</span>
    <span>${text}${whole !== null && html` <span class="faint">of ${whole.toFixed(2)}</span>`}</span>
  </div>`;
}
