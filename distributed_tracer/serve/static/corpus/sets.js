// Named sets of prompts: a set is a filter with a name. It is part of the address, and kept for the next visit.
import { html, useState } from "../lib.js";
import { say } from "../say.js";
import { cut, visible } from "../text.js";
import { act } from "./view.js";

/**
 * The place where sets are kept: `list()` returns [{ name, where, search }], `save(set)` and `remove(name)` change it.
 * This one is the browser's own storage, by store. A place that all visitors share has the same three functions.
 */
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
  return {
    list,
    save: (set) => keep([...list().filter((one) => one.name !== set.name), set].sort((a, b) => (a.name < b.name ? -1 : 1))),
    remove: (name) => keep(list().filter((one) => one.name !== name)),
  };
}

/** The list of sets, and a field that gives the present filter a name. `input` is a ref of that field. */
export function Sets({ store, view }) {
  const place = keptSets(store);
  const [sets, set] = useState(place.list);
  const [name, setName] = useState("");
  const isFiltered = view.where.length > 0 || view.search !== "";
  const save = (event) => {
    event.preventDefault();
    const given = name.trim();
    if (!given) return;
    if (!place.save({ name: given, where: view.where, search: view.search })) { say("this browser keeps nothing"); return; }
    set(place.list());
    setName("");
    act(`name the set ${given}`, { set: given });
  };
  const show = (one) => act(`set ${one.name}`, { where: one.where, search: one.search || null, set: one.name, offset: null });
  const copy = async () => {
    try { await navigator.clipboard.writeText(location.href); say("the link is copied"); } catch { prompt("Link to this set", location.href); }
  };
  const remove = (one) => { place.remove(one.name); set(place.list()); };
  if (!isFiltered && !sets.length) return "";
  return html`
    <details class="sets chooser">
      <summary>Sets${view.set ? html`: ${cut(visible(view.set), 30)}` : ""}</summary>
      <div class="list">
        ${sets.length > 0 && html`<ul>${sets.map((one) => html`<li key=${one.name}>
          <button type="button" aria-pressed=${view.set === one.name} title=${visible([...one.where, one.search].filter(Boolean).join("; "))} onClick=${() => show(one)}>${cut(visible(one.name), 40)}</button>
          <button type="button" class="close" aria-label=${`forget the set ${visible(one.name)}`} title="forget this set" onClick=${() => remove(one)}>×</button></li>`)}</ul>`}
        ${isFiltered ? html`
          <form onSubmit=${save}><label>Name of what is shown now <input value=${name} maxlength="200" onInput=${(event) => setName(event.target.value)} /></label>
            ${" "}<button disabled=${!name.trim()}>Keep</button></form>
          <p><button type="button" onClick=${copy}>Copy the link to what is shown</button></p>`
        : html`<p class="faint">Search or add a condition, then give the result a name.</p>`}
        <p class="faint">Names are kept in this browser. A link works for everyone who may see this server.</p>
      </div>
    </details>`;
}
