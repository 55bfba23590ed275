// FeatureSlot: what the panel of a node says about its feature: its labels.
import { html } from "../lib.js";
import { visible } from "../text.js";

export function FeatureSlot({ graph, node }) {
  const labels = graph.labelsOf(node);
  if (!labels.length) return html`<p class="faint">Nobody has labelled this feature yet.</p>`;
  return html`<ul class="labels">${labels.map(([text, source]) => html`
    <li><span class="hostile">${visible(text)}</span>${source ? html` <span class="faint">${visible(source)}</span>` : ""}</li>`)}</ul>`;
}
