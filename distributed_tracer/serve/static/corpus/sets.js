// Named sets of prompts: a set is a filter with a name. It is part of the address, and kept for everyone who opens the
// store, as an annotation: a saved view of this page. A store that cannot be written leaves it to the browser's storage.
import { change, current, href } from "../address.js";
import { authorOf, keepAuthor } from "../author.js";
import { edit, useSaid, when } from "../edits.js";
import { html, useState } from "../lib.js";
import { say } from "../say.js";
import { cut, visible } from "../text.js";
import { perform } from "../undo.js";
import { act } from "./view.js";

const CANNOT_WRITE = [403, 503]; // a server that is read-only, and a store that is

/** Sets in the browser's own storage, by store: `list()` returns [{ name, where, search }]. */
export function keptSets(store) {
  const key = `sets ${store.url}`;
  const list = () => {
    try {
      const found = JSON.parse(localStorage.getItem(key) ?? "[]");
      return found.filter((one) => typeof one?.name === "string" && Array.isArray(one.where));
    } catch { return []; }
  };
  const keep = (sets) => {
    try { localStorage.setItem(key, JSON.stringify(sets)); return true; } catch { return false; }
  };
  return { list, keep };
}

const withSet = (sets, set) => [...sets.filter((one) => one.name !== set.name), set];
const byName = (one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0);

/** Return the sets among the views of a store: those of this page that have a filter. */
function setsOf(views) {
  const found = views.filter(({ content }) => content.address.startsWith("?")).map((record) => {
    const params = new URLSearchParams(record.content.address);
    return { name: record.content.name, where: params.getAll("where"), search: params.get("search") ?? "", record };
  });
  return found.filter(({ where, search }) => where.length > 0 || search);
}

const addressOf = ({ name, where, search }) => href("", { where, search, set: name }).replace("./", "");

/** Hook: { sets, error, save, share, remove, again } of a store. All three commands can be undone. */
function useSets(store) {
  const place = keptSets(store), [local, setLocal] = useState(place.list);
  const [{ value, error: unread }, again, take] = useSaid("views", {});
  const [failed, setFailed] = useState(null);
  const shared = setsOf(value?.views ?? []);
  const keep = (sets) => { if (!place.keep(sets)) throw new Error("This browser keeps nothing."); setLocal(sets); };
  const inBrowser = (label, sets, also) => {
    const before = place.list();
    return perform({ label, run: () => { keep(sets); also?.run(); }, revert: () => { keep(before); also?.revert(); } });
  };
  const inStore = (label, before, said, also) =>
    edit("views", { subject: {}, before, said, author: authorOf(store), label, after: take, also });
  const attempt = async (run) => {
    try { await run(); setFailed(null); return true; } catch (error) { setFailed(error); return false; }
  };
  const save = (set, also) => attempt(async () => {
    const label = `name the set ${set.name}`, mine = { name: set.name, where: set.where, search: set.search };
    if (store.read_only) return inBrowser(label, withSet(place.list(), mine), also);
    const before = shared.filter(({ name }) => name === set.name).map(({ record }) => record);
    try {
      return await inStore(label, before, { name: set.name, address: addressOf(set) }, also);
    } catch (error) {
      if (!CANNOT_WRITE.includes(error.status)) throw error;
      await inBrowser(label, withSet(place.list(), mine), also);
      throw new Error(`The set is kept in this browser alone: ${error.message}`);
    }
  });
  const remove = (set) => attempt(() => {
    const label = `remove the set ${set.name}`;
    return set.record ? inStore(label, [set.record], null) : inBrowser(label, place.list().filter(({ name }) => name !== set.name));
  });
  const share = (set) => {
    const others = place.list().filter(({ name }) => name !== set.name);
    return save(set, { run: () => keep(others), revert: () => keep(withSet(others, set)) });
  };
  return { sets: [...shared, ...local].sort(byName), error: failed ?? unread, save, share, remove, again };
}

function SetLine({ one, view, store, show, share, remove }) {
  const name = cut(visible(one.name), 40), { record } = one;
  const said = record ? `${visible(record.author || "unknown")}, ${visible(when(record.created))}` : "in this browser";
  return html`<li>
    <button type="button" aria-pressed=${view.set === one.name} title=${visible([...one.where, one.search].filter(Boolean).join("; "))} onClick=${() => show(one)}>${name}</button>
    <span class="faint said">${said}</span>
    ${!record && !store.read_only && html`<button type="button" class="share" onClick=${() => share(one)}>Keep for everyone</button>`}
    ${(!record || !store.read_only) && html`<button type="button" class="close" aria-label=${`remove the set ${name}`} title="remove this set; undo brings it back" onClick=${() => remove(one)}>×</button>`}</li>`;
}

/** The list of sets, and a field that gives the present filter a name. */
export function Sets({ store, view }) {
  const { sets, error, save, share, remove, again } = useSets(store);
  const [name, setName] = useState(""), [author, setAuthor] = useState(() => authorOf(store));
  const isFiltered = view.where.length > 0 || view.search !== "", given = name.trim();
  const isTaken = sets.some((one) => one.name === given && (!one.record || !store.read_only));
  const submit = async (event) => {
    event.preventDefault();
    if (!given) return;
    keepAuthor(author);
    const old = current().params.get("set"), also = { run: () => change({ set: given }), revert: () => change({ set: old }) };
    if (await save({ name: given, where: view.where, search: view.search }, also)) setName("");
  };
  const show = (one) => act(`set ${one.name}`, { where: one.where, search: one.search || null, set: one.name, offset: null });
  const copy = async () => {
    try { await navigator.clipboard.writeText(location.href); say("the link is copied"); } catch { prompt("Link to this set", location.href); }
  };
  if (!isFiltered && !sets.length) return "";
  return html`
    <details class="sets chooser" onToggle=${(event) => { if (event.target.open) again(); }}>
      <summary>Sets${view.set ? html`: ${cut(visible(view.set), 30)}` : ""}</summary>
      <div class="list">
        ${sets.length > 0 && html`<ul>${sets.map((one) => html`
          <${SetLine} key=${one.record?.ref ?? `local ${one.name}`} one=${one} view=${view} store=${store} show=${show} share=${share} remove=${remove} />`)}</ul>`}
        ${isFiltered ? html`
          <form onSubmit=${submit}><label>Name of what is shown now <input name="set" value=${name} maxlength="200" autocomplete="off" onInput=${(event) => setName(event.target.value)} /></label>
            ${!store.read_only && html`<label>as <input name="author" value=${author} maxlength="200" placeholder="your name" onInput=${(event) => setAuthor(event.target.value)} /></label>`}
            <button disabled=${!given}>${isTaken ? "Replace" : "Keep"}</button></form>
          <p><button type="button" onClick=${copy}>Copy the link to what is shown</button></p>`
        : html`<p class="faint">Search or add a condition, then give the result a name.</p>`}
        ${error && html`<p class="failed" role="alert">${visible(error.message)}</p>`}
        <p class="faint">${store.read_only ? "This server is read-only: names that you give are kept in this browser."
          : "Everyone who opens this store sees these sets. Undo brings a removed one back."}</p>
      </div>
    </details>`;
}
