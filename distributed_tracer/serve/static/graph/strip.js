// The strip above a drawing: the prompt, what the model answers, scores, and ways on.
import { href } from "../address.js";
import { title } from "../corpus/columns.js";
import { ROWS } from "../corpus/view.js";
import { html } from "../lib.js";
import { counted, cut, number, plain, visible } from "../text.js";

const SCORES = [
  ["replacement", "the share of influence that comes from tokens rather than from errors"],
  ["completeness", "the share of effects, weighted by influence, that does not come from errors"],
];

/** Return which prompts are leafed through, in words: filter and order of the table of prompts, marked as there. */
function wayText({ where, search, sort, descending }) {
  const conditions = [...where, ...(search ? [`“${search}”`] : [])].map(visible).join(" and ");
  const order = sort || descending ? `, by ${title(sort ?? "id")} ${descending ? "▼" : "▲"}` : "";
  return `${conditions ? ` with ${conditions}` : ""}${order}`;
}

/** The place of the prompt among those of the table that the reader came from; a link leads back to its row. */
function Place({ neighbours }) {
  const { number: place, of, way, error } = neighbours, text = wayText(way);
  if (error) return html`<span class="failed of" title=${visible(error)}>${visible(error)}</span>`;
  if (of === undefined) return html`<span class="faint">…</span>`;
  const said = `${place === null ? `not among the ${of.toLocaleString("en")}` : `${place.toLocaleString("en")} of ${of.toLocaleString("en")}`}${text}`;
  const to = href("", { ...way, offset: place === null ? null : Math.floor((place - 1) / ROWS) * ROWS || null });
  return text ? html`<a class="of" href=${to} title=${`${said}: back to the table of prompts`}>${cut(said, 160)}</a>` : html`<span class="faint">${said}</span>`;
}

export function Strip({ graph, neighbours, children }) {
  const to = (id, label, arrow, key) => id === null || id === undefined
    ? html`<span class="faint" aria-disabled="true">${arrow}</span>`
    : html`<a href=${href("graph", { prompt: id, ...neighbours.way })} title=${`${label} prompt: ${cut(visible(id), 80)} (${key})`} aria-label=${`${label} prompt`}>${arrow}</a>`;
  const metadata = Object.entries(graph.metadata).filter(([, value]) => value !== null).slice(0, 12);
  return html`<div class="strip">
    <nav class="neighbours" aria-label="Neighbouring prompts">${to(neighbours.previous, "Previous", "‹", ",")}
      <${Place} neighbours=${neighbours} />
      ${to(neighbours.next, "Next", "›", ".")}</nav>
    <div class="about"><h1 title=${visible(graph.prompt)}>${cut(visible(graph.text ?? graph.prompt), 400)}</h1>
    <div class="facts-line"><ul class="answers" aria-label="Targets and their weights">${graph.targets.map(({ label, weight }) => html`
      <li><b>${cut(visible(label), 40)}</b>${" "}<span class="weight">${weight === null ? "" : number(weight)}</span></li>`)}</ul>
    <ul class="scores">${SCORES.map(([name, said]) => html`<li title=${said}>${name} <b>${number(graph.scores[name])}</b></li>`)}
      <li>${counted(graph.num_nodes, "node")}</li><li>${counted(graph.num_edges, "edge")}</li></ul></div></div>
    ${children}<span class="ways"><a href=${href("compare", { a: graph.prompt })}>Compare</a>
      ${metadata.length > 0 && html`<details><summary>Metadata</summary><dl class="pairs"><dt>prompt</dt><dd>${visible(graph.prompt)}</dd>
        ${metadata.map(([name, value]) => html`<dt>${visible(name)}</dt><dd class="hostile">${cut(plain(value), 400)}</dd>`)}</dl></details>`}</span>
  </div>`;
}

/** What a reader should know about this graph or link before reading on. */
export function Notes({ lines }) {
  if (!lines.length) return null;
  return html`<ul class="notes" role="note">${lines.map((line) => html`<li>${visible(line)}</li>`)}</ul>`;
}
