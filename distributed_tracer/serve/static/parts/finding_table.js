// A table of a result: sorted, searched and leafed through by the server, since it may have very many rows.
import { href } from "../address.js";
import { get } from "../api.js";
import { useKeys } from "../keys.js";
import { html, useRef, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { counted, cut, number, percent, tokenText, visible } from "../text.js";

const LIMIT = 50;
// What a click on a head makes of the order: numbers begin with the largest, texts with A.
const NEXT = { largest: "smallest", smallest: null, "largest absolute": "smallest" };
const NEXT_OF_TEXT = { smallest: "largest", largest: null };

/** The rows of a table, with the controls above and below them. `act(label, values)` changes the address. */
export function FindingTable({ result, table, params, act }) {
  const asked = {
    result: result.number, table, sort: params.get("sort"), by: params.get("by"), where: params.getAll("where"),
    find: params.get("find"), offset: params.get("offset"), limit: LIMIT,
  };
  const { value, error, isLoading } = useLoaded((signal) => get("result_rows", asked, signal), [JSON.stringify(asked)]);
  const search = useRef(null);
  const to = (offset) => act("another page of rows", { offset: offset || null });
  const last = value && value.offset + value.rows.length;
  const hasNext = value && last < value.num_reachable;
  useKeys("findings", [
    { keys: ["/"], label: "search the rows", run: () => { search.current?.focus(); } },
    { keys: ["]"], label: "next rows", run: () => (hasNext ? to(last) : false) },
    { keys: ["["], label: "rows before", run: () => (value?.offset ? to(Math.max(0, value.offset - LIMIT)) : false) },
  ]);
  return html`
    <section aria-label=${value ? visible(value.title) : table} aria-busy=${isLoading ? "true" : "false"}>
      <${Filter} params=${params} act=${act} search=${search} />
      ${error && html`<${NotThere} error=${error} />`}
      ${!value && !error && html`<p class="waiting" role="status">Reading the table; a large one is read whole, once …</p>`}
      ${value && html`
        <p class="faint rows-said" role="status">${described(value)}</p>
        ${value.rows.length > 0 && html`<${Rows} result=${result} found=${value} params=${params} act=${act} isOld=${isLoading} />`}
        <p class="leaf">
          <button type="button" disabled=${!value.offset} onClick=${() => to(Math.max(0, value.offset - LIMIT))}>Rows before</button>
          <button type="button" disabled=${!hasNext} onClick=${() => to(last)}>Next rows</button>
        </p>
        <${Columns} found=${value} />`}
    </section>`;
}

/** Return which rows are shown of how many, in which order, and what was left out. */
function described(value) {
  const { offset, rows, num_rows: all, num_meeting: meeting, num_reachable: reachable, order } = value;
  const least = Object.entries(order.least).map(([name, bound]) => `${name} ≥ ${number(bound)}`);
  return [
    rows.length ? `Rows ${(offset + 1).toLocaleString("en")} to ${(offset + rows.length).toLocaleString("en")}` : "No rows",
    ` of ${counted(meeting, "row")}`,
    meeting < all ? ` that meet the conditions, of ${all.toLocaleString("en")}` : "",
    !order.column ? "; in the order of the table"
      : order.is_text ? `; by ${order.column}, from ${order.by === "largest" ? "Z to A" : "A to Z"}` : `; ${order.by} ${order.column} first`,
    least.length ? `; only ${least.join(" and ")}` : "",
    reachable < meeting ? `; only the first ${reachable.toLocaleString("en")} can be looked through` : "",
    ".",
  ].join("");
}

function Filter({ params, act, search }) {
  const submit = (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const where = String(given.get("where")).split(";").map((one) => one.trim()).filter(Boolean);
    act("search of rows", { find: given.get("find") || null, where, offset: null });
  };
  const find = params.get("find") ?? "", where = params.getAll("where").join("; ");
  return html`
    <form class="filter" onSubmit=${submit} key=${`${find}\n${where}`}>
      <label>Search <input ref=${search} name="find" type="search" defaultValue=${find} placeholder="a label, a token, 2:46" autocomplete="off" spellcheck=${false} /></label>
      <label>Conditions <input name="where" defaultValue=${where} placeholder="prompts>=3; source_kind=feature" autocomplete="off" spellcheck=${false} size="32" /></label>
      <button type="submit">Show</button>
      ${(find || where) && html`<button type="button" onClick=${() => act("all rows", { find: null, where: null, offset: null })}>All rows</button>`}
    </form>`;
}

function Rows({ result, found, params, act, isOld }) {
  const [open, setOpen] = useState(null);
  const isChain = found.rows.some((row) => row.chain);
  const heads = found.head.filter((one) => !(isChain && one.column === "path"));
  const hasLinks = found.is_edge || found.compare.length > 0;
  const span = heads.length + (hasLinks ? 1 : 0);
  return html`
    <div class=${`scroll${isOld ? " old" : ""}`} tabindex="0" role="region" aria-label="Rows">
      <table class="rows">
        <thead><tr>
          ${hasLinks && html`<th scope="col"><span class="unseen">graphs</span></th>`}
          ${heads.map((one) => html`<${Head} one=${one} order=${found.order} params=${params} act=${act} />`)}
        </tr></thead>
        <tbody>${found.rows.map((row, number) => {
          const place = found.offset + number, isOpen = open === place;
          return html`
            <tr class=${found.found[number] ? "found" : ""}>
              ${hasLinks && html`<td><${Links} row=${row} found=${found} isOpen=${isOpen} onToggle=${() => setOpen(isOpen ? null : place)} /></td>`}
              ${heads.map((one) => html`<${Cell} one=${one} row=${row} />`)}
            </tr>
            ${row.chain && html`<tr class="below"><td colspan=${span}><${Chain} path=${row.chain} /></td></tr>`}
            ${isOpen && html`<tr class="below"><td colspan=${span}><${Witnesses} result=${result.number} nodes=${row.nodes} /></td></tr>`}`;
        })}</tbody>
      </table>
    </div>`;
}

function Head({ one, order, params, act }) {
  const isSorted = Boolean(one.sort) && order.column === one.sort;
  const hint = `${one.meaning}${one.unit ? ` [${one.unit}]` : ""}`;
  const sort = () => {
    const by = one.is_text ? (isSorted ? NEXT_OF_TEXT[order.by] : "smallest") : isSorted ? NEXT[order.by] : "largest";
    act(`order of rows by ${one.title}`, by ? { sort: one.sort, by, offset: null } : { sort: null, by: null, offset: null });
  };
  const arrow = !isSorted ? "" : order.by === "smallest" ? " ▲" : " ▼";
  return html`
    <th scope="col" class=${one.node || one.is_text ? "" : "number"}
      aria-sort=${!isSorted ? undefined : order.by === "smallest" ? "ascending" : "descending"}>
      ${one.sort ? html`<button type="button" title=${visible(hint)} onClick=${sort}>${visible(one.title)}${arrow}</button>`
        : html`<span title=${visible(hint)}>${visible(one.title)}</span>`}
    </th>`;
}

function Cell({ one, row }) {
  if (one.node) return html`<td class="node"><${Node} node=${row.nodes[one.node]} /></td>`;
  const value = row.values[one.column];
  if (one.is_prompt) return html`<td class="text"><${Prompt} id=${value} row=${row} /></td>`;
  if (one.is_text) return html`<td class="text">${cut(tokenText(value ?? ""), 300)}</td>`;
  return html`<td class="number">${number(value)}</td>`;
}

/** A node without position: a feature leads to its page. */
function Node({ node }) {
  const known = node.known && html`<span class="known">${cut(visible(node.known), 80)}</span>`;
  const name = html`<span class=${node.kind}>${visible(node.name)}</span>`;
  if (node.kind !== "feature") return html`${name}${known}`;
  return html`<a href=${href("feature", { layer: node.layer, feature: node.feature })}>${name}</a>${known}`;
}

function Prompt({ id, row }) {
  const said = cut(visible(id ?? ""), 80);
  if (!id || row.unknown.includes(id)) return html`${said}${id && html` <span class="faint">(not in this store)</span>`}`;
  return html`<a href=${href("graph", { prompt: id, node: row.node })}>${said}</a>`;
}

function Links({ row, found, isOpen, onToggle }) {
  const [a, b] = found.compare.map((column) => row.values[column]);
  if (a && b && !row.unknown.length) return html`<a href=${href("compare", { a, b })}>compare</a>`;
  if (!found.is_edge) return null;
  return html`<button type="button" class="small" aria-expanded=${isOpen ? "true" : "false"} onClick=${onToggle}>graphs</button>`;
}

/** A chain from a token to a target, as boxes with the share of each edge between them. */
function Chain({ path }) {
  if (!path.length) return html`<span class="faint">the edges of this chain are not in the result</span>`;
  return html`<ol class="chain" aria-label="chain">${path.map((node) => html`
    <li>${node.share !== undefined && html`<span class="arrow" title=${`mean share of its row, in ${counted(node.prompts, "prompt")}`}>→ ${percent(node.share)}</span>`}
      <span class=${`box ${node.kind}`}><${Node} node=${node} /></span></li>`)}</ol>`;
}

const siteKey = ({ kind, layer, feature }) => `${kind}:${layer}:${feature}`;

/** The graphs in which an edge is strongest; each leads to the nodes at its ends. */
function Witnesses({ result, nodes }) {
  const source = siteKey(nodes.source), target = siteKey(nodes.target);
  const { value, error } = useLoaded((signal) => get("result_prompts", { result, source, target }, signal), [result, source, target]);
  if (!value) return html`<${NotThere} error=${error} what="graphs" />`;
  if (!value.prompts.length) return html`<p>No graph of this store has this edge${value.num_read ? ` among the ${value.num_read} that were read` : ""}.</p>`;
  return html`
    <p class="faint">${counted(value.prompts.length, "graph")} with this edge, of ${counted(value.num_prompts, "prompt")}: ${value.chosen_by}.</p>
    <ul class="witnesses">${value.prompts.map((one) => html`
      <li><a href=${href("graph", { prompt: one.prompt, node: one.target, pin: [one.source, one.target] })}>${cut(visible(one.prompt), 80)}</a>
        ${" "}<span class=${one.weight < 0 ? "negative" : "positive"}>${percent(one.share)}</span>
        ${one.edges > 1 && html`<span class="faint"> strongest of ${one.edges} edges</span>`}</li>`)}</ul>`;
}

function Columns({ found }) {
  const named = found.head.filter((one) => one.column);
  const entry = (one) => html`<dt>${visible(one.column)}</dt><dd>${visible(one.meaning)}${one.unit && html` <span class="faint">[${visible(one.unit)}]</span>`}</dd>`;
  return html`<details><summary>What the columns mean</summary>
    <dl class="pairs">${named.map(entry)}</dl>
    ${found.hidden.length > 0 && html`<h3>Not shown; conditions may name them</h3><dl class="pairs">${found.hidden.map(entry)}</dl>`}
  </details>`;
}
