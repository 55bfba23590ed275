// The strip above a drawing: the prompt, what the model answers, scores, and ways on.
import { href } from "../address.js";
import { html } from "../lib.js";
import { counted, cut, number, plain, visible } from "../text.js";

const SCORES = [
  ["replacement", "the share of influence that comes from tokens rather than from errors"],
  ["completeness", "the share of effects, weighted by influence, that does not come from errors"],
];

export function Strip({ graph, neighbours }) {
  const to = (id, label, arrow, key) => id === null || id === undefined
    ? html`<span class="faint" aria-disabled="true">${arrow}</span>`
    : html`<a href=${href("graph", { prompt: id })} title=${`${label} prompt: ${cut(visible(id), 80)} (${key})`} aria-label=${`${label} prompt`}>${arrow}</a>`;
  const metadata = Object.entries(graph.metadata).filter(([, value]) => value !== null).slice(0, 12);
  return html`<div class="strip">
    <nav class="neighbours" aria-label="Neighbouring prompts">${to(neighbours?.previous, "Previous", "‹", ",")}
      <span class="faint">${neighbours ? `${neighbours.number.toLocaleString("en")} of ${neighbours.of.toLocaleString("en")}` : "…"}</span>
      ${to(neighbours?.next, "Next", "›", ".")}</nav>
    <div class="about"><h1 title=${visible(graph.prompt)}>${cut(visible(graph.text ?? graph.prompt), 400)}</h1>
    <div class="facts-line"><ul class="answers" aria-label="Targets and their weights">${graph.targets.map(({ label, weight }) => html`
      <li><b>${cut(visible(label), 40)}</b>${" "}<span class="weight">${weight === null ? "" : number(weight)}</span></li>`)}</ul>
    <ul class="scores">${SCORES.map(([name, said]) => html`<li title=${said}>${name} <b>${number(graph.scores[name])}</b></li>`)}
      <li>${counted(graph.num_nodes, "node")}</li><li>${counted(graph.num_edges, "edge")}</li></ul></div></div>
    <span class="ways"><a href=${href("compare", { a: graph.prompt })}>Compare</a>
      ${metadata.length > 0 && html`<details><summary>Metadata</summary><dl class="pairs"><dt>prompt</dt><dd>${visible(graph.prompt)}</dd>
        ${metadata.map(([name, value]) => html`<dt>${visible(name)}</dt><dd class="hostile">${cut(plain(value), 400)}</dd>`)}</dl></details>`}</span>
  </div>`;
}

/** What a reader should know about this graph or link before reading on. */
export function Notes({ lines }) {
  if (!lines.length) return null;
  return html`<ul class="notes" role="note">${lines.map((line) => html`<li>${visible(line)}</li>`)}</ul>`;
}
