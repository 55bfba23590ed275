// What mining found: the results that the server was started with, their tables, pictures and limits.
import { change, href } from "../address.js";
import { get } from "../api.js";
import { html } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { FindingTable } from "../parts/finding_table.js";
import { ResultPictures } from "../parts/result_pictures.js";
import { cut, visible } from "../text.js";
import { perform } from "../undo.js";

const OF_ROWS = ["sort", "by", "find", "where", "offset"];
const NO_ROWS = Object.fromEntries(OF_ROWS.map((name) => [name, null]));

/** Change the address as a command that can be undone. */
function act(label, values, params) {
  const before = Object.fromEntries(Object.keys(values).map((name) => [name, params.getAll(name)]));
  return perform({ label, run: () => change(values), revert: () => change(before) });
}

export default function Findings({ params }) {
  const { value, error } = useLoaded((signal) => get("results", {}, signal), []);
  if (!value) return html`<h1>Findings</h1><${NotThere} error=${error} what="the results" />`;
  if (!value.results.length) return html`<${NoResults} />`;
  const wanted = Number(params.get("result") ?? 0), result = value.results.find((one) => one.number === wanted);
  return html`
    <div class="findings">
      <nav class="results" aria-label="Results">
        <h1>Findings</h1>
        <ul>${value.results.map((one) => html`
          <li><a href=${href("findings", { result: one.number })} aria-current=${one === result ? "true" : undefined}>
            ${one.title}<span class="faint"> ${visible(one.name)}</span></a></li>`)}</ul>
      </nav>
      ${result ? html`<${Result} key=${result.number} result=${result} params=${params} />`
        : html`<p class="failed" role="alert">There is no result of this number; the list has those that there are.</p>`}
    </div>`;
}

function NoResults() {
  return html`
    <h1>Findings</h1>
    <p>This server was started without results of mining. Make some, and name their folders when you start it:</p>
    <pre>${"distributed-tracer mine atlas STORE --out atlas\ndistributed-tracer serve STORE --mined atlas"}</pre>`;
}

function Result({ result, params }) {
  const names = result.tables.map((one) => one.name);
  const table = names.includes(params.get("table")) ? params.get("table") : names[0];
  const show = (name) => act(`table ${name}`, { ...NO_ROWS, table: name }, params);
  return html`
    <article class="result" aria-labelledby="result-title">
      <h2 id="result-title">${result.title}: ${visible(result.name)}</h2>
      ${result.question && html`<p class="question">${result.question}</p>`}
      <p class="faint">${visible(result.basis)}</p>
      <dl class="tiles">${result.numbers.map(([name, said]) => html`<div><dt>${visible(name)}</dt><dd>${visible(said)}</dd></div>`)}</dl>
      <${Limits} result=${result} />
      <div class="tabs" role="group" aria-label="Tables">${result.tables.map((one) => html`
        <button type="button" aria-pressed=${one.name === table ? "true" : "false"} onClick=${() => show(one.name)}>
          ${visible(one.title)}</button>`)}</div>
      ${table && html`
        <${ResultPictures} result=${result.number} table=${table} />
        <${FindingTable} key=${table} result=${result} table=${table} params=${params}
          act=${(label, values) => act(label, values, params)} />`}
      <${Facts} result=${result} />
    </article>`;
}

function Limits({ result }) {
  return html`
    ${result.misfits.length > 0 && html`<div class="limits misfit" role="alert"><h3>Another store?</h3>
      <ul>${result.misfits.map((said) => html`<li>${visible(said)}</li>`)}</ul></div>`}
    <div class=${`limits${result.limits.length ? "" : " none"}`}><h3>What the data cannot say</h3>
      ${result.limits.length ? html`<ul>${result.limits.map((said) => html`<li>${cut(visible(said), 1000)}</li>`)}</ul>`
        : html`<p>The command gave no warning.</p>`}</div>`;
}

function Facts({ result }) {
  return html`
    ${result.facts.length > 0 && html`<details><summary>Facts</summary>
      <dl class="pairs">${result.facts.map(([name, said]) => html`<dt>${visible(name)}</dt><dd>${cut(visible(said), 600)}</dd>`)}</dl>
    </details>`}
    <details><summary>Where this comes from</summary><pre class="hostile" tabindex="0">${result.provenance}</pre></details>`;
}
