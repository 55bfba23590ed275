// Two graphs side by side: answers and scores, drawings linked by feature, and what both or one of them have.
import { change, href } from "../address.js";
import { get, getArrays } from "../api.js";
import { FEATURE, GraphData } from "../graph_data.js";
import { useKeys } from "../keys.js";
import { html, useCallback, useMemo, useRef, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { FeatureLink, Weight, labelLine } from "../parts/feature_lists.js";
import { PromptPicker } from "../parts/prompt_picker.js";
import { SmallGraph, markedNodes } from "../parts/small_graph.js";
import { counted, cut, number, tokenText, visible } from "../text.js";
import { perform } from "../undo.js";

const EDGES = 6000, FIRST_ROWS = 12;
const LISTS = { both: "In both", a: "Only in A", b: "Only in B" };

/** Change parameters of the address through undo. */
function act(label, before, after, merge = null) {
  return perform({ label, run: async () => change(after), revert: async () => change(before), merge });
}

function Head({ params, found, fields }) {
  const a = params.get("a") ?? "", b = params.get("b") ?? "";
  const swap = () => act("swap A and B", { a, b }, { a: b, b: a });
  useKeys("compare", [
    { keys: ["x"], label: "swap A and B", run: () => (a && b ? void swap() : false) },
    { keys: ["a"], label: "choose another prompt for A", run: () => fields.a.current?.focus() },
    { keys: ["b"], label: "choose another prompt for B", run: () => fields.b.current?.focus() },
  ]);
  const side = (name, prompt) => html`<div class="compared">
    <h2>${name.toUpperCase()} ${prompt && html`<a href=${href("graph", { prompt })}>${visible(prompt)}</a>`}</h2>
    ${found && html`<p class="hostile">${visible(found[name].text ?? "(given as tokens)")}</p>`}
    <${PromptPicker} name=${name.toUpperCase()} prompt=${prompt} field=${fields[name]}
      to=${(id) => href("compare", { a, b, [name]: id })}
      onChoose=${(id) => act(`choose ${visible(id)} for ${name.toUpperCase()}`, { [name]: prompt }, { [name]: id })} />
  </div>`;
  return html`<h1>Compare two graphs</h1>
    <div class="compare-head">${side("a", a)}
      <button type="button" disabled=${!(a && b)} onClick=${swap} aria-label="Swap A and B" title="swap A and B (x)">⇄</button>${side("b", b)}</div>`;
}

const known = (value) => (value === null || value === undefined ? "unknown" : number(value));

function Scores({ found }) {
  const answers = (side) => found[side].targets.map((target) => `${tokenText(target.label)} ${known(target.weight)}`).join(", ") || "none";
  const rows = [
    ["answers", answers("a"), answers("b"), ""],
    ["replacement", known(found.a.scores.replacement), known(found.b.scores.replacement), ""],
    ["completeness", known(found.a.scores.completeness), known(found.b.scores.completeness), ""],
    ...["feature", "edge"].map((what) => [
      `${what}s`, number(found.a[what === "edge" ? "num_edges" : "num_nodes"].feature ?? found.a.num_edges),
      number(found.b[what === "edge" ? "num_edges" : "num_nodes"].feature ?? found.b.num_edges),
      `${number(found[`num_${what}s`].both)} in both; Jaccard ${known(found[`${what}_jaccard`])}, overlap of influence ${known(found[`${what}_overlap`])}`,
    ]),
    ["tokens", number(found.a.num_tokens), number(found.b.num_tokens), `${counted(found.aligned_positions.length, "position")} aligned`],
  ];
  return html`<table class="scores"><thead><tr><td></td><th>A</th><th>B</th><th>shared</th></tr></thead>
    <tbody>${rows.map(([name, ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table>`;
}

/** What a node under the pointer marks in both drawings: its feature at any position, or the node itself. */
function markOf(key) {
  if (!key) return null;
  const [kind, layer, , feature] = key.split(":");
  return kind === "feature" ? `${layer}:${feature}` : key;
}

function useGraph(prompt) {
  return useLoaded(async (signal) => (prompt ? new GraphData(await getArrays("graph", { prompt, edges: EDGES }, signal)) : null), [prompt]);
}

/** Return for each side a function that says whether the other graph has a node's feature at the aligned position. */
function sharing(found, graphs) {
  const places = { a: new Map(found.aligned_positions), b: new Map(found.aligned_positions.map(([a, b]) => [b, a])) };
  const of = (side, other) => (node) => {
    const graph = graphs[side];
    if (graph.kind[node] !== FEATURE) return true;
    const position = places[side].get(graph.position[node]);
    return position !== undefined && graphs[other].nodeOf(`feature:${graph.layer[node]}:${position}:${graph.feature[node]}`) >= 0;
  };
  return { a: of("a", "b"), b: of("b", "a") };
}

function Drawings({ found, graphs, mark, hover, select }) {
  const isShared = useMemo(() => sharing(found, graphs), [found, graphs.a, graphs.b]);
  const own = (side) => (mark && mark.startsWith("target") ? null : mark);
  return html`<div class="side-by-side drawings">${["a", "b"].map((side) => html`
    <${SmallGraph} key=${side} graph=${graphs[side]} marked=${own(side)} isShared=${isShared[side]} title=${side.toUpperCase()}
      onHover=${hover} onSelect=${select} />`)}</div>
    <p class="faint legend"><span class="dot shared"></span> feature of both, at aligned positions
      ${" "}<span class="dot own"></span> feature of this graph alone ${" "}◆ error ■ token or target; lines are the edges that pass on most influence</p>`;
}

/** What is marked, in words, with the ways to it in both graphs. */
function Marked({ graphs, mark, unmark }) {
  if (!mark) return html`<p class="marked-said faint">Point at a feature in a drawing or a list: it is marked in both graphs. Click to keep the mark.</p>`;
  const [layer, feature] = mark.split(":"), isFeature = /^\d+:\d+$/.test(mark);
  const places = (side) => {
    const graph = graphs[side], nodes = markedNodes(graph, mark);
    return html`${side.toUpperCase()}: ${nodes.length ? nodes.slice(0, 8).map((node) => html`<a href=${href("graph", { prompt: graph.prompt, node: graph.keyOf(node) })}>at ${graph.position[node]} ${graph.token(graph.position[node])}</a>
      ${Number.isFinite(graph.influence[node]) ? ` (influence ${number(graph.influence[node])})` : ""} `) : "not in this graph "}`;
  };
  const first = ["a", "b"].map((side) => [graphs[side], markedNodes(graphs[side], mark)[0]]).find(([, node]) => node !== undefined);
  return html`<p class="marked-said">
    ${isFeature ? html`<${FeatureLink} layer=${layer} feature=${feature} /> <span class="hostile">${first ? cut(first[0].labelText(first[1]), 100) : ""}</span>` : first ? first[0].shortName(first[1]) : ""}
    ${" — "}${places("a")} ${places("b")} <button type="button" onClick=${unmark}>Unmark</button></p>`;
}

function Lists({ found, sort, hover, setSort }) {
  return html`<div class="row-tools"><h2>Features</h2>
      <label>Order <select value=${sort} onChange=${(event) => setSort(event.target.value)}>
        <option value="influence">largest influence</option><option value="difference">largest difference</option></select></label></div>
    <div class="compare-lists">
      <${FeatureRows} side="both" found=${found} sort=${sort} hover=${hover} />
      <div class="side-by-side"><${FeatureRows} side="a" found=${found} sort=${sort} hover=${hover} />
        <${FeatureRows} side="b" found=${found} sort=${sort} hover=${hover} /></div>
    </div>`;
}

const difference = (row) => (row.influence_b ?? NaN) - (row.influence_a ?? NaN);

function FeatureRows({ side, found, sort, hover }) {
  const [isWhole, show] = useState(false);
  const given = found.features[side], total = found.num_features[side];
  const rows = sort === "difference" && side === "both"
    ? [...given].sort((p, q) => (Math.abs(difference(q)) || 0) - (Math.abs(difference(p)) || 0)) : given;
  const shown = isWhole ? rows : rows.slice(0, FIRST_ROWS), title = LISTS[side];
  const sides = side === "both" ? ["a", "b"] : [side];
  const node = (row, of) => `feature:${row.layer}:${row[`position_${of}`]}:${row.feature}`;
  return html`<section><h3>${title}: ${counted(total, "feature")}${total > given.length ? `, the ${number(given.length)} most influential` : ""}</h3>
    ${rows.length > 0 && html`<div class="scrolled" tabindex="0" role="group" aria-label=${title}><table class="features">
      <thead><tr><th>feature</th>${sides.map((of) => html`<th class="number">at (${of.toUpperCase()})</th><th class="number">influence ${of.toUpperCase()}</th>`)}
        ${side === "both" && html`<th class="number">B − A</th>`}<th>labels</th></tr></thead>
      <tbody>${shown.map((row) => html`<tr key=${sides.map((of) => node(row, of)).join()} onPointerEnter=${() => hover(node(row, sides[0]))} onPointerLeave=${() => hover(null)}
          onFocusIn=${() => hover(node(row, sides[0]))} onFocusOut=${() => hover(null)}>
        <td><${FeatureLink} layer=${row.layer} feature=${row.feature} /></td>
        ${sides.map((of) => html`<td class="number"><a href=${href("graph", { prompt: found[of].prompt, node: node(row, of) })}
          aria-label=${`${row.layer}:${row.feature} at ${row[`position_${of}`]} in the graph of ${of.toUpperCase()}`}>${row[`position_${of}`]}</a></td><td class="number">${known(row[`influence_${of}`])}</td>`)}
        ${side === "both" && html`<td class="number"><${Weight} value=${difference(row)} /></td>`}
        <td class="hostile">${labelLine(row.labels)}${row.elsewhere ? html` <span class="faint">${side === "a" ? "B" : "A"} has it at another position</span>` : ""}</td></tr>`)}</tbody></table></div>`}
    ${rows.length > shown.length && html`<button type="button" onClick=${() => show(true)}>Show ${number(rows.length)}</button>`}</section>`;
}

function PairEnd({ row, end }) {
  const kind = row[`${end}_kind`];
  if (kind === "feature") return html`<${FeatureLink} layer=${row[`${end}_layer`]} feature=${row[`${end}_feature`]} /> <span class="faint hostile">${labelLine(row[`${end}_labels`], 50)}</span>`;
  if (kind === "error") return `error of layer ${row[`${end}_layer`]}`;
  return html`${kind} <span class="token-name">${tokenText(row[`${end}_name`])}</span>`;
}

function EdgeRows({ found, hover }) {
  const [isWhole, show] = useState(false);
  const rows = found.edge_pairs, shown = isWhole ? rows : rows.slice(0, 2 * FIRST_ROWS);
  const side = (row, of) => (row[`edges_${of}`] ? html`<${Weight} value=${row[`weight_${of}`]} />` : html`<span class="faint">none</span>`);
  const site = (row) => ["source", "target"].filter((end) => row[`${end}_kind`] === "feature").map((end) => `feature:${row[`${end}_layer`]}:0:${row[`${end}_feature`]}`)[0] ?? null;
  return html`<h2>Edges that differ most</h2>
    <p class="faint">Edges by what they connect, summed over positions; first those whose passed-on influence differs most.</p>
    <div class="scrolled" tabindex="0" role="group" aria-label="Edges that differ most"><table class="features edges">
      <thead><tr><th>from</th><th>to</th><th class="number">weight A</th><th class="number">weight B</th><th class="number">passed on A</th><th class="number">passed on B</th><th class="number">B − A</th></tr></thead>
      <tbody>${shown.map((row) => html`<tr onPointerEnter=${() => hover(site(row))} onPointerLeave=${() => hover(null)} onFocusIn=${() => hover(site(row))} onFocusOut=${() => hover(null)}>
        <td><${PairEnd} row=${row} end="source" /></td><td><${PairEnd} row=${row} end="target" /></td>
        <td class="number">${side(row, "a")}</td><td class="number">${side(row, "b")}</td>
        <td class="number">${known(row.passed_a)}</td><td class="number">${known(row.passed_b)}</td>
        <td class="number"><${Weight} value=${row.passed_b - row.passed_a} /></td></tr>`)}</tbody></table></div>
    ${rows.length > shown.length && html`<button type="button" onClick=${() => show(true)}>Show ${number(rows.length)}</button>`}`;
}

function Comparison({ found, graphs, params }) {
  const kept = params.get("mark"), sort = params.get("sort") === "difference" ? "difference" : "influence";
  const [hovered, setHovered] = useState(null);
  const hover = useCallback((key) => setHovered(markOf(key)), []);
  const mark = hovered ?? kept;
  const keep = (to) => { if (to !== kept) act(to ? "mark a node" : "unmark", { mark: kept }, { mark: to }, "mark"); };
  useKeys("compare", [{ keys: ["Escape"], label: "unmark", run: () => (kept ? void keep(null) : false) }]);
  const setSort = (to) => act("order of features", { sort: params.get("sort") }, { sort: to === "influence" ? null : to });
  return html`<${Scores} found=${found} />
    ${graphs.a.value && graphs.b.value ? html`
      <${Drawings} found=${found} graphs=${{ a: graphs.a.value, b: graphs.b.value }} mark=${mark} hover=${hover} select=${(key) => keep(markOf(key))} />
      <${Marked} graphs=${{ a: graphs.a.value, b: graphs.b.value }} mark=${mark} unmark=${() => { setHovered(null); keep(null); }} />`
      : html`<${NotThere} error=${graphs.a.error ?? graphs.b.error} what="the graphs" />`}
    <${Lists} found=${found} sort=${sort} hover=${hover} setSort=${setSort} />
    <${EdgeRows} found=${found} hover=${hover} />`;
}

export default function ComparePage({ params }) {
  const a = params.get("a") ?? "", b = params.get("b") ?? "", fields = { a: useRef(null), b: useRef(null) };
  const compared = useLoaded((signal) => (a && b ? get("compare", { a, b }, signal) : Promise.resolve(null)), [a, b]);
  const graphs = { a: useGraph(a), b: useGraph(b) };
  const found = compared.value?.a.prompt === a && compared.value?.b.prompt === b ? compared.value : null;
  const areThere = found && ["a", "b"].every((side) => !graphs[side].value || graphs[side].value.prompt === found[side].prompt);
  return html`<${Head} params=${params} found=${found} fields=${fields} />
    ${!(a && b) ? html`<p>Choose two prompts: their graphs are drawn beside each other, with lists of what they share and in what they differ.</p>`
      : areThere ? html`<${Comparison} key=${`${a} ${b}`} found=${found} graphs=${graphs} params=${params} />`
        : html`<${NotThere} error=${compared.error} what="the comparison" />`}`;
}
