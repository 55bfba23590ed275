// The page of one feature: labels, contexts, what drives it and what it drives, and every node of the store that is it.
import { change, href } from "../address.js";
import { get } from "../api.js";
import { useKeys } from "../keys.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { FeatureCommunities } from "../parts/communities.js";
import { Contexts, TokenLine, contextsSaid } from "../parts/contexts.js";
import {
  EDGE_COLUMNS, End, FeatureLink, FeatureTable, NEIGHBOUR_COLUMNS, TOGETHER_COLUMNS, labelLine,
} from "../parts/feature_lists.js";
import { Activations, Facts, Promoted, useFeature } from "../parts/feature_panel.js";
import { LabelEditor, useLabelChanges } from "../parts/label_editor.js";
import { counted, number, tokenText, visible } from "../text.js";

const PAGE = 25, SHOWN_FOUND = 30;
const SORTS = [["influence", "influence"], ["activation", "activation"], ["prompt", "prompt"]];

function Search({ text, field }) {
  const [typed, type] = useState(text);
  useEffect(() => type(text), [text]);
  const found = useLoaded(
    (signal) => (text.trim() ? get("feature_search", { text, limit: SHOWN_FOUND }, signal) : Promise.resolve(null)), [text]);
  const submit = (event) => {
    event.preventDefault();
    change({ search: typed.trim() || null });
  };
  return html`<div class="feature-search">
    <form role="search" onSubmit=${submit}>
      <label>Find features <input ref=${field} type="search" value=${typed} placeholder="label, token or 12:3045"
        onInput=${(event) => type(event.target.value)} /></label> <button type="submit">Find</button>
    </form>
    ${text.trim() && html`<${Found} found=${found} text=${text} />`}
  </div>`;
}

const BY = { number: "this feature", label: "label", token: "promotes" };

function Found({ found, text }) {
  if (!found.value) return html`<${NotThere} error=${found.error} what="features" />`;
  const { features, num_found, num_labelled, searches_tokens } = found.value;
  const where = `${counted(num_labelled, "labelled feature")}${searches_tokens ? " and the promoted tokens" : ""}`;
  if (!features.length) return html`<p role="status">None of ${where} has <q>${visible(text)}</q>.</p>`;
  return html`<p role="status" class="faint">${counted(num_found, "feature")} among ${where}${num_found > features.length ? `; the first ${features.length}` : ""}</p>
    <ul class="plain found">${features.map((one) => html`<li><${FeatureLink} layer=${one.layer} feature=${one.feature} />
      ${" "}<span class="faint">${BY[one.by]}${one.by === "token" ? html` <span class="token-name">${tokenText(one.match)}</span>` : ""}</span>
      ${" "}<span class="hostile">${labelLine(one.labels)}</span></li>`)}</ul>`;
}

/** What drives a feature and what it drives, averaged over a number of graphs that is said and can be raised. */
function Edges({ layer, feature }) {
  const [prompts, setPrompts] = useState(null);
  useEffect(() => setPrompts(null), [layer, feature]);
  const found = useLoaded(
    (signal) => get("feature_edges", { layer, feature, prompts }, signal), [layer, feature, prompts]);
  if (!found.value) return html`<h2>Driven by, drives</h2><${NotThere} error=${found.error} what="averages of edges" />`;
  const { prompts_averaged, prompts_with, driven_by, drives } = found.value;
  const isAll = prompts_averaged === prompts_with;
  const over = isAll ? `over ${prompts_with === 1 ? "its only graph" : `all ${counted(prompts_with, "graph")} that have it`}`
    : `over the ${counted(prompts_averaged, "graph")} in which its influence is largest, of ${prompts_with.toLocaleString("en")} that have it`;
  const more = Math.min(5000, prompts_with);
  return html`
    <p class="faint averaged">Averages ${over}: mean weight where there is an edge, and share of all |weights|.
      ${!isAll && more > prompts_averaged && html` <button type="button" disabled=${found.isLoading} onClick=${() => setPrompts(more)}>Average over ${more.toLocaleString("en")}</button>`}</p>
    <div class="side-by-side"><div><h2>Driven by</h2>
      ${driven_by.length ? html`<${FeatureTable} title="driven by" rows=${driven_by} columns=${EDGE_COLUMNS} end=${(row) => html`<${End} row=${row} />`} />`
        : html`<p class="faint">nothing: no graph has edges into it</p>`}</div>
    <div><h2>Drives</h2>
      ${drives.length ? html`<${FeatureTable} title="drives" rows=${drives} columns=${EDGE_COLUMNS} end=${(row) => html`<${End} row=${row} />`} />`
        : html`<p class="faint">nothing: no graph has edges out of it</p>`}</div></div>`;
}

function Together({ layer, feature }) {
  const found = useLoaded((signal) => get("feature_together", { layer, feature }, signal), [layer, feature]);
  return html`<h2>In the same graphs</h2>
    ${!found.value ? html`<${NotThere} error=${found.error} what="features" />`
      : found.value.together.length
        ? html`<p class="faint">Lift: how many times more graphs have both than if they were independent.</p>
          <${FeatureTable} title="feature" rows=${found.value.together} columns=${TOGETHER_COLUMNS} />`
        : html`<p class="faint">no other feature</p>`}`;
}

function Occurrences({ layer, feature, params }) {
  const sort = SORTS.some(([name]) => name === params.get("sort")) ? params.get("sort") : "influence";
  const offset = Math.max(0, Number.parseInt(params.get("from") ?? "0", 10) || 0);
  const found = useLoaded(
    (signal) => get("occurrences", { layer, feature, sort, offset, limit: PAGE }, signal), [layer, feature, sort, offset]);
  const total = found.value?.num_nodes ?? 0;
  const turn = (to) => { if (to >= 0 && to < total) change({ from: to || null }, { replace: true }); return false; };
  useKeys("feature", [
    { keys: ["["], label: "earlier nodes", run: () => turn(offset - PAGE) },
    { keys: ["]"], label: "later nodes", run: () => turn(offset + PAGE) },
  ]);
  const rows = found.value?.rows ?? [];
  return html`<h2>Where it acts in this store</h2>
    <div class="row-tools">
      <label>Order <select value=${sort} onChange=${(event) => change({ sort: event.target.value, from: null }, { replace: true })}>
        ${SORTS.map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select></label>
      <span role="status">${found.value ? (total ? `${(offset + 1).toLocaleString("en")}–${(offset + rows.length).toLocaleString("en")} of ${counted(total, "node")}` : "no nodes") : ""}</span>
      <button type="button" disabled=${offset <= 0} onClick=${() => turn(Math.max(0, offset - PAGE))}>Earlier</button>
      <button type="button" disabled=${offset + PAGE >= total} onClick=${() => turn(offset + PAGE)}>Later</button>
    </div>
    ${!found.value ? html`<${NotThere} error=${found.error} what="nodes" />` : total > 0 && html`
      <div class="scrolled" tabindex="0" role="group" aria-label="Nodes that are this feature"><table class="occurrences">
        <thead><tr><th>prompt</th><th>context</th><th class="number">position</th><th class="number">activation</th><th class="number">influence</th></tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${`${row.prompt} ${row.key}`}>
          <td><a href=${href("graph", { prompt: row.prompt, node: row.key })}>${visible(row.prompt)}</a></td>
          <td class="context">${row.start > 0 ? "… " : ""}<${TokenLine} tokens=${row.tokens} at=${row.position - row.start} /></td>
          <td class="number">${number(row.position)}</td><td class="number">${number(row.activation)}</td>
          <td class="number">${number(row.influence)}</td></tr>`)}</tbody></table></div>`}`;
}

function Head({ facts }) {
  const [changed, setChanged] = useState(null);
  useEffect(() => setChanged(null), [facts]);
  useLabelChanges((found) => { if (found.layer === facts.layer && found.feature === facts.feature) setChanged(found.labels); });
  const said = labelLine(changed ?? facts.labels, 300);
  return html`<h1>Feature ${facts.layer}:${facts.feature}${said ? html` <span class="said hostile">${said}</span>` : ""}</h1>`;
}

function Known({ facts, store, params }) {
  const { layer, feature } = facts, at = { layer, feature };
  return html`
    <${Head} facts=${facts} />
    <${Facts} facts=${facts} />
    <div class="feature-columns">
      <div>
        <section><h2>Contexts</h2><p class="faint">${contextsSaid(facts)}</p>
          <${Contexts} contexts=${facts.contexts} of=${facts.contexts_of} /></section>
        <section><${Occurrences} ...${at} params=${params} /></section>
      </div>
      <div>
        <section><h2>Labels</h2><${LabelEditor} ...${at} store=${store} initial=${facts.labels} />
          <${FeatureCommunities} ...${at} store=${store} /></section>
        <section><h2>Activation</h2><${Activations} facts=${facts} /></section>
        <section><h2>Tokens whose logits it changes directly</h2><${Promoted} facts=${facts} /></section>
      </div>
      <div>
        <section><${Edges} ...${at} /></section>
        <div class="side-by-side"><section><${Together} ...${at} /></section>
        ${facts.neighbours.length > 0 && html`<section><h2>Similar decoders</h2>
          <${FeatureTable} title="feature" rows=${facts.neighbours} columns=${NEIGHBOUR_COLUMNS} /></section>`}</div>
      </div>
    </div>`;
}

export default function FeaturePage({ store, params }) {
  const field = useRef(null);
  const layer = asNumber(params.get("layer")), feature = asNumber(params.get("feature"));
  useKeys("feature", [
    { keys: ["/"], label: "find features", run: () => field.current?.focus() },
    { keys: ["l"], label: "add a label", run: () => document.querySelector(".add-label")?.click() },
  ]);
  return html`
    <${Search} text=${params.get("search") ?? ""} field=${field} />
    ${layer === null || feature === null
      ? html`<h1>Features</h1><p>Find a feature by its label, by a token that it promotes, or by layer and index, as in 12:3045.</p>`
      : html`<${OneFeature} key=${`${layer}:${feature}`} layer=${layer} feature=${feature} store=${store} params=${params} />`}`;
}

function OneFeature({ layer, feature, store, params }) {
  const loaded = useFeature(layer, feature);
  if (!loaded.value)
    return html`<h1>Feature ${layer}:${feature}</h1><${NotThere} error=${loaded.error} what="the feature" />`;
  return html`<${Known} facts=${loaded.value} store=${store} params=${params} />`;
}

function asNumber(text) {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
