// The table: rows of the server's page, sorted by it; one row is current, and keys move it.
import { href } from "../address.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { cut, number, plain, tokenText, visible } from "../text.js";
import { GROUPS, meaning, title } from "./columns.js";
import { act, setWhere, way, without } from "./view.js";

/** Sort by a column: first ascending for texts and descending for numbers, then the other way round. */
function sortBy(view, name, isNumber) {
  const descending = view.sort === name ? !view.descending : isNumber;
  return act(`sort by ${title(name)}`, { sort: name === "id" && !descending ? null : name, descending: descending || null, offset: null });
}

function Head({ name, label = title(name), view, isNumber = false, isSortable = true }) {
  const isSorted = view.sort === name;
  const direction = view.descending ? "descending" : "ascending";
  return html`
    <th scope="col" class=${isNumber ? "number" : ""} aria-sort=${isSorted ? direction : undefined} title=${meaning(name)}>
      ${isSortable ? html`<button type="button" class="sort" onClick=${() => sortBy(view, name, isNumber)}>${label}
        <span aria-hidden="true">${isSorted ? (view.descending ? " ▼" : " ▲") : ""}</span></button>` : label}</th>`;
}

/** A value; a click on one that has a condition shows only the prompts with this value. */
function Cell({ column, value, condition, view }) {
  const isNumber = column.kind === "number";
  if (value === null || value === undefined) return html`<td class=${isNumber ? "number faint" : "faint"}>–</td>`;
  const text = isNumber ? number(value) : cut(plain(value), 60);
  if (!condition || isNumber) return html`<td class=${isNumber ? "number" : ""} title=${isNumber ? String(value) : visible(String(value))}>${text}</td>`;
  const filter = () => setWhere(`${title(column.name)}: ${text}`, [...without(view.where, column.name), condition]);
  return html`<td><button type="button" class="value" tabindex="-1" title=${`show only ${title(column.name)}: ${visible(String(value))}`} onClick=${filter}>${text}</button></td>`;
}

function Row({ row, place, columns, view, isLoading, isCurrent, focus, pick }) {
  const unknown = isLoading && !row.is_read ? "…" : "unknown";
  const text = row.text === null ? html`<span class="faint">${row.is_read ? "given as tokens" : unknown}</span>` : visible(row.text);
  const address = href("graph", { prompt: row.id, ...way(view) });
  const open = (event) => { // the whole row leads to the graph, except where it has something of its own
    if (!event.target.closest("a, button, input, label") && !String(getSelection())) event.currentTarget.querySelector("a").click();
  };
  return html`
    <tr class=${isCurrent ? "current" : ""} onClick=${open} onFocusIn=${() => focus(place)}>
      <td><input type="checkbox" checked=${view.picked.includes(row.id)} aria-label=${`pick ${visible(row.id)} to compare`} onChange=${() => pick(row.id)} /></td>
      <th scope="row"><a href=${address} data-place=${place} tabindex=${isCurrent ? 0 : -1}>${row.id === "" ? "(empty id)" : cut(visible(row.id), 48)}</a></th>
      <td class="prompt" title=${row.text === null ? "" : visible(row.text)}>${text}${row.is_cut ? " …" : ""}</td>
      <td>${row.answer === null ? html`<span class="faint">${row.is_read ? "none" : unknown}</span>`
        : !row.answer_condition ? cut(tokenText(row.answer), 40)
        : html`<button type="button" class="value" tabindex="-1" title="show only prompts with this answer"
            onClick=${() => setWhere(`answer: ${tokenText(row.answer)}`, [...without(view.where, "answer.label"), row.answer_condition])}>${cut(tokenText(row.answer), 40)}</button>`}</td>
      <td class="number">${row.probability === null ? html`<span class="faint">–</span>` : number(row.probability)}</td>
      ${columns.map((column, n) => html`<${Cell} key=${column.name} column=${column} value=${row.values[n]} condition=${row.conditions[n]} view=${view} />`)}
    </tr>`;
}

/**
 * The table. `columns` are those beyond id, text and answer; `current` is the place of the current row on this page, and
 * `move` changes it; `isFocused` says that the row's link should have the focus.
 */
export function PromptTable({ answer, columns, view, current, isFocused, move, pick }) {
  const body = useRef(null);
  const isMoving = useRef(false); // by keys, which may be ahead of the focus that follows them
  useEffect(() => {
    isMoving.current = true;
    if (isFocused) body.current?.querySelector(`a[data-place="${current}"]`)?.focus();
    isMoving.current = false;
  }, [current, isFocused, answer.offset, answer.rows]);
  return html`
    <div class="scroll" tabindex="-1">
      <table class="prompts" aria-rowcount=${answer.matching === null ? undefined : answer.matching + 1}>
        <caption class="unseen">Prompts. Keys j and k move the row, Enter opens its graph.</caption>
        <thead><tr>
          <th scope="col"><span class="unseen">compare</span></th>
          <${Head} name="id" label="id" view=${view} />
          <${Head} name="text" label="prompt" view=${view} isSortable=${false} />
          <${Head} name="answer.label" view=${view} />
          <${Head} name="answer.weight" view=${view} isNumber=${true} />
          ${columns.map((column) => html`<${Head} key=${column.name} name=${column.name} view=${view} isNumber=${column.kind === "number"} />`)}
        </tr></thead>
        <tbody ref=${body}>${answer.rows.map((row, place) => html`
          <${Row} key=${row.id} row=${row} place=${place} columns=${columns} view=${view} isLoading=${answer.loading < 1}
            isCurrent=${place === current} focus=${(to) => { if (!isMoving.current) move(to, true); }} pick=${pick} />`)}</tbody>
      </table>
    </div>`;
}

/** The list from which columns are chosen. */
export function ColumnChooser({ columns, names, choose }) {
  const [wanted, search] = useState("");
  const groups = Object.entries(GROUPS).map(([source, label]) => [label, columns.filter((column) =>
    column.source === source && !column.name.startsWith("answer.") && title(column.name).toLowerCase().includes(wanted.toLowerCase()))]);
  const toggle = (name) => choose(names.includes(name) ? names.filter((one) => one !== name) : [...names, name]);
  return html`
    <details class="chooser">
      <summary>Columns</summary>
      <div class="list">
        ${columns.length > 20 && html`<input type="search" placeholder="Search in columns" aria-label="Search in columns" value=${wanted} onInput=${(event) => search(event.target.value)} />`}
        ${groups.filter(([, own]) => own.length).map(([label, own]) => html`<fieldset><legend>${label}</legend>
          ${own.map((column) => html`<label title=${meaning(column.name)}><input type="checkbox" checked=${names.includes(column.name)} onChange=${() => toggle(column.name)} /> ${cut(title(column.name), 50)}</label>`)}
        </fieldset>`)}
      </div>
    </details>`;
}
