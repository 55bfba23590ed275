// Lists about features: links to them, tokens that they promote, and tables of what is connected with them.
import { href } from "../address.js";
import { html, useState } from "../lib.js";
import { cut, number, percent, tokenText, visible } from "../text.js";

/** The labels of a feature in one line: each text once. */
export function labelLine(labels, length = 120) {
  return cut([...new Set((labels ?? []).map((label) => visible(label.text)))].join(" | "), length);
}

export function FeatureLink({ layer, feature }) {
  return html`<a class="feature-link" href=${href("feature", { layer, feature })}>${layer}:${feature}</a>`;
}

/** A weight with its sign, in the colour of its sign. */
export function Weight({ value }) {
  if (value === null || !Number.isFinite(value)) return "unknown";
  return html`<span class=${value > 0 ? "positive" : value < 0 ? "negative" : ""}>${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(value))}</span>`;
}

/** Tokens with their weights, in a line. */
export function TokenList({ tokens, most = Infinity }) {
  return html`<ul class="plain token-list">${tokens.slice(0, most).map((token) => html`
    <li><span class="token-name">${tokenText(token.token)}</span> <${Weight} value=${token.weight} /></li>`)}</ul>`;
}

/** The other end of an average edge: a feature, an error, a token or a target. */
export function End({ row }) {
  if (row.kind === "feature") return html`<${FeatureLink} layer=${row.layer} feature=${row.feature} />`;
  if (row.kind === "error") return `error of layer ${row.layer}`;
  return html`${row.kind} <span class="token-name">${tokenText(row.name)}</span>`;
}

const shareText = (value) => percent(value).replace("+", "");

const FIRST_ROWS = 12;

/** A table of rows about features or other ends. `columns` are pairs of a title and a function of a row. */
export function FeatureTable({ title, rows, columns, end = (row) => html`<${FeatureLink} layer=${row.layer} feature=${row.feature} />` }) {
  const [isWhole, show] = useState(false);
  const shown = isWhole ? rows : rows.slice(0, FIRST_ROWS);
  return html`<div class="scrolled" tabindex="0" role="group" aria-label=${title}><table class="features">
    <thead><tr><th>${title}</th>${columns.map(([name]) => html`<th class="number">${name}</th>`)}<th>labels</th></tr></thead>
    <tbody>${shown.map((row) => html`<tr>
      <td>${end(row)}</td>${columns.map(([, value]) => html`<td class="number">${value(row)}</td>`)}
      <td class="hostile">${labelLine(row.labels)}</td></tr>`)}</tbody></table></div>
    ${rows.length > shown.length && html`<button type="button" onClick=${() => show(true)}>Show all ${rows.length}</button>`}`;
}

export const EDGE_COLUMNS = [
  ["mean weight", (row) => html`<${Weight} value=${row.mean_weight} />`],
  ["share", (row) => shareText(row.share)],
  ["graphs", (row) => number(row.prompts)],
];
export const TOGETHER_COLUMNS = [
  ["prompts", (row) => number(row.prompts)],
  ["share", (row) => shareText(row.share)],
  ["lift", (row) => number(row.lift)],
];
export const NEIGHBOUR_COLUMNS = [["cosine", (row) => number(row.cosine)]];
