// The corpus: all prompts in one table, which is searched, filtered by conditions and histograms, and sorted.
import { change, current, go, href } from "../address.js";
import { get } from "../api.js";
import { usualColumns, usualHistograms } from "../corpus/columns.js";
import { Chips, ConditionField, SearchBox } from "../corpus/filters.js";
import { Histograms } from "../corpus/histograms.js";
import { PromptMap } from "../corpus/map.js";
import { usePolled } from "../corpus/poll.js";
import { Failures, RunProgress } from "../corpus/run.js";
import { Sets } from "../corpus/sets.js";
import { ColumnChooser, PromptTable } from "../corpus/table.js";
import { ROWS, act, viewOf, way } from "../corpus/view.js";
import { useKeys } from "../keys.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../lib.js";
import { NotThere } from "../load.js";
import { say } from "../say.js";
import { tellStore } from "../store_state.js";
import { counted, cut, visible } from "../text.js";

const WAIT = 700; // milliseconds until the server is asked again while it reads the store
const SEEN = "corpus explained";

/** What a row is, for a first visit. */
function Explained() {
  const [isSeen, see] = useState(() => { try { return localStorage.getItem(SEEN) !== null; } catch { return false; } });
  if (isSeen) return "";
  const close = () => { try { localStorage.setItem(SEEN, "1"); } catch { /* shown again next time, then */ } see(true); };
  return html`
    <aside class="explained" aria-label="What this page shows">
      <p>Each row is a prompt, the model's answer to it, and what is known of the attribution graph that explains the answer. Open a row to see
        its graph. Click values or drag over a distribution to show fewer prompts. <a href=${href("about")}>What the words mean</a>;
        ${" "}<kbd>?</kbd> lists the keys.</p>
      <button type="button" onClick=${close}>Close</button>
    </aside>`;
}

const reading = ({ num_read: done, total }) => `reading prompts: ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`;

function Nothing({ store, answer, view }) {
  if (answer.waiting_for) return html`<p class="waiting" role="status">${reading(answer)}. Rows come when ${answer.waiting_for.map(visible).join(", ")} has been read.</p>`;
  if (!answer.total) return html`<p>This store has no prompts yet. They appear here as soon as a run has written its first part.
    ${" "}<code>distributed-tracer status</code> says how far the run is.</p>`;
  if (!answer.matching) return html`<p>No prompt meets ${view.where.length + Boolean(view.search) > 1 ? "all conditions" : "the condition"}. Remove ${view.where.length + Boolean(view.search) > 1 ? "one" : "it"} above, or undo.</p>`;
  return html`<p>There are no more rows. <button type="button" onClick=${() => change({ offset: null })}>Go to the first</button></p>`;
}

function Pages({ answer, turn }) {
  const end = answer.offset + answer.rows.length;
  if (!answer.rows.length || (answer.offset === 0 && end >= answer.matching)) return "";
  return html`
    <nav class="paging" aria-label="Pages of the table">
      <button type="button" disabled=${answer.offset === 0} onClick=${() => turn(-1)}>Previous</button>
      <span>rows ${(answer.offset + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${answer.matching.toLocaleString("en")}</span>
      <button type="button" disabled=${end >= answer.matching} onClick=${() => turn(1)}>Next</button>
    </nav>`;
}

/** Ask for rows and histograms. Names of columns come with the first answer, and then the usual ones are asked for. */
function useAnswers(view, run) {
  const version = run?.num_stored ?? null;
  const isBehind = (found) => version !== null && found.total < version; // the server is about to read new parts
  const [columns, setColumns] = useState([]);
  const names = view.columns ?? usualColumns(columns);
  const counted_ = view.histograms ?? usualHistograms(columns);
  const common = { where: view.where, search: view.search };
  const rows = usePolled(
    async (signal) => {
      const found = await get("prompts", { ...common, sort: view.sort, descending: view.descending, offset: view.offset, limit: ROWS, column: names }, signal);
      setColumns((before) => (JSON.stringify(before) === JSON.stringify(found.columns) ? before : found.columns));
      return { ...found, names };
    },
    (found) => (found && (found.waiting_for || found.loading < 1 || isBehind(found)) ? WAIT : null),
    [JSON.stringify([common, view.sort, view.descending, view.offset, names]), version],
  );
  const bars = usePolled(
    (signal) => (columns.length ? get("histograms", { ...common, column: counted_ }, signal) : Promise.resolve(null)),
    (found) => (found && (found.waiting_for || isBehind(found)) ? WAIT : null),
    [JSON.stringify([common, counted_, columns.length > 0]), version],
  );
  return { columns, names, counted: counted_, rows, bars };
}

export default function Corpus({ store, params }) {
  const view = useMemo(() => viewOf(params), [params.toString()]);
  const [run, setRun] = useState(null);
  const { columns, names, counted: counts, rows, bars } = useAnswers(view, run);
  const at = useRef({ place: 0, isFocused: false }); // the current row; keys may come faster than the page is drawn
  const [, draw] = useState(0);
  const search = useRef(null);
  const answer = rows.value;
  useEffect(() => { if (answer?.problems.length) tellStore(); }, [answer?.problems.join()]); // other pages say it too
  const known = useMemo(() => new Map(columns.map((column) => [column.name, column])), [columns]);
  const shown = answer ? answer.names.filter((name) => known.has(name)).map((name) => known.get(name)) : [];
  const latest = useRef(null); // what is shown, for keys that were bound before it came
  latest.current = answer;
  const here = () => Math.min(at.current.place, Math.max(0, (latest.current?.rows.length ?? 1) - 1));
  const move = useCallback((to, isFocused = true) => {
    at.current = { place: to, isFocused };
    draw((count) => count + 1);
  }, []);

  const turn = (pages, to = 0) => {
    change({ offset: Math.max(0, (latest.current?.offset ?? 0) + pages * ROWS) || null });
    move(to, at.current.isFocused);
  };
  const step = (by, event) => {
    // arrows on a slider move it, and a dialog has keys of its own
    const shown = latest.current;
    if (!shown?.rows.length || event.target.type === "range" || document.querySelector("dialog[open]")) return false;
    const to = at.current.isFocused ? here() + by : here();
    if (to < 0) return shown.offset > 0 ? turn(-1, ROWS - 1) : undefined;
    if (to >= shown.rows.length) return shown.offset + shown.rows.length < shown.matching ? turn(1) : undefined;
    move(to);
  };
  const pick = (id) => {
    const before = viewOf(current().params).picked;
    const picked = before.includes(id) ? before.filter((one) => one !== id) : [...before, id].slice(-2);
    change({ pick: picked }, { replace: true });
    say(picked.length === 2 ? "two prompts are picked: c compares them" : counted(picked.length, "prompt") + " picked");
  };
  const compare = () => {
    const [a, b] = viewOf(current().params).picked;
    return b === undefined ? false : go("compare", { a, b });
  };
  const row = () => latest.current?.rows[here()];
  useKeys("prompts", [
    { keys: ["/"], label: "search", run: () => { search.current?.focus(); search.current?.select(); } },
    { keys: ["j", "ArrowDown"], label: "next row", run: (event) => step(1, event) },
    { keys: ["k", "ArrowUp"], label: "row before", run: (event) => step(-1, event) },
    { keys: ["Enter"], label: "open the graph of the row", run: (event) => (row() && !event.target.closest?.("a, button, summary, select") ? go("graph", { prompt: row().id, ...way(view) }) : false) },
    { keys: ["x"], label: "pick the row, to compare it", run: () => (row() ? pick(row().id) : false) },
    { keys: ["c"], label: "compare the two picked rows", run: compare },
    { keys: ["n"], label: "next page of rows", run: () => (answer && answer.offset + answer.rows.length < answer.matching ? turn(1) : false) },
    { keys: ["p"], label: "page of rows before", run: () => (answer?.offset > 0 ? turn(-1) : false) },
  ]);

  return html`
    <h1 class="unseen">Prompts</h1>
    <${Explained} />
    <${RunProgress} changed=${setRun} />
    <div class="filters">
      <${SearchBox} view=${view} input=${search} />
      <${ConditionField} view=${view} columns=${columns} />
      <${Sets} store=${store} view=${view} />
      <${ColumnChooser} columns=${columns} names=${names} choose=${(chosen) => act("choose columns", { column: chosen })} />
    </div>
    <${Chips} view=${view} />
    <${Histograms} found=${bars.value} names=${counts.filter((name) => known.has(name))} view=${view} columns=${columns} choose=${(chosen) => act("choose distributions", { histogram: chosen })} />
    <${PromptMap} view=${view} columns=${columns} current=${at.current.isFocused ? answer?.rows[here()]?.id ?? null : null} numStored=${run?.num_stored ?? null} />
    ${rows.error && html`<p class="failed" role="alert">${rows.error.message}</p>`}
    ${!answer ? !rows.error && html`<${NotThere} what="the prompts" />` : html`
      <div class="above">
        <p class="counts" role="status">${answer.matching === null ? "" : answer.matching === answer.total ? counted(answer.total, "prompt")
          : `${answer.matching.toLocaleString("en")} of ${counted(answer.total, "prompt")}`}
          ${answer.loading < 1 ? html` <span class="faint">· ${reading(answer)}${(answer.first_of ?? null) === null ? "" : `; the rows below are of the ${counted(answer.first_of, "prompt")} read first`}</span>` : ""}</p>
        ${view.picked.length > 0 && html`<p class="picked">${view.picked.length === 2
          ? html`<a href=${href("compare", { a: view.picked[0], b: view.picked[1] })}>Compare ${cut(visible(view.picked[0]), 30)} with ${cut(visible(view.picked[1]), 30)}</a>`
          : html`${cut(visible(view.picked[0]), 40)} is picked: pick another one to compare`}
          ${" "}<button type="button" onClick=${() => change({ pick: null }, { replace: true })}>Clear</button></p>`}
        <${Pages} answer=${answer} turn=${turn} />
      </div>
      ${answer.problems.filter((problem) => !store.troubles.includes(problem)).map((problem) => html`<p class="failed" role="alert">${visible(problem)}</p>`)}
      ${answer.rows.length ? html`<${PromptTable} answer=${answer} columns=${shown} view=${view} current=${here()} isFocused=${at.current.isFocused} move=${move} pick=${pick} />`
        : html`<${Nothing} store=${store} answer=${answer} view=${view} />`}`}
    <${Failures} count=${run?.num_failed ?? 0} version=${run?.num_failed} />`;
}
