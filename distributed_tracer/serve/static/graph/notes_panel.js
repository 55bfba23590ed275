// Notes about the prompt, about the selected node and about its feature, and views of this page that were saved.
import { authorOf, keepAuthor } from "../author.js";
import { edit, useSaid, when } from "../edits.js";
import { FEATURE } from "../graph_data.js";
import { html, useState } from "../lib.js";
import { NotThere } from "../load.js";
import { counted, cut, visible } from "../text.js";

const LONGEST = 20_000;
const lines = (text) => String(text).split("\n").map((line) => visible(line.replace(/\t/g, "  "))).join("\n");

export default function NotesPanel({ graph, view, store, select }) {
  const prompt = graph.prompt, node = graph.nodeOf(view.node ?? "");
  const isFeature = node >= 0 && graph.kind[node] === FEATURE;
  return html`
    <section class="notes-panel" aria-label="Notes">
      ${store.read_only && html`<p class="faint">This server is read-only: notes can be read, and not written.</p>`}
      ${node >= 0 && html`<${Notes} key=${view.node} title=${`About ${graph.name(node)}`} subject=${{ prompt, node: view.node }} store=${store} />`}
      ${isFeature && html`<${Notes} key=${`f${view.node}`} title=${`About feature ${graph.shortName(node)}, in all prompts`}
        subject=${{ layer: graph.layer[node], feature: graph.feature[node] }} store=${store} />`}
      <${Notes} title="About this prompt" subject=${{ prompt }} store=${store} />
      <${OfNodes} graph=${graph} select=${select} />
      <${Views} prompt=${prompt} store=${store} />
    </section>`;
}

function Notes({ title, subject, store }) {
  const [{ value, error }, again] = useSaid("notes", subject);
  const [open, setOpen] = useState(null); // "new", or the ref of a note that is edited
  const change = (before, text, author) => edit("notes", {
    subject, before: before ? [before] : [], author, said: text === null ? null : { text }, after: again,
    label: `${before ? (text === null ? "remove" : "edit") : "add"} note`,
  });
  const close = () => setOpen(null);
  return html`
    <h2>${cut(title, 120)}</h2>
    ${!value && html`<${NotThere} error=${error} what="notes" />`}
    ${value && html`
      ${value.notes.map((note) => html`<article key=${note.ref} class="note">
        ${open === note.ref ? html`<${Form} store=${store} before=${note} onSave=${(text, author) => change(note, text, author)} onDone=${close} />` : html`
          <p class="hostile">${lines(note.content.text)}</p>
          <p class="faint">${visible(note.author || "unknown")}, ${visible(when(note.created))}
            ${!store.read_only && html` <button type="button" class="small" onClick=${() => setOpen(note.ref)}>Edit</button>
            ${" "}<button type="button" class="small" onClick=${() => change(note, null, authorOf(store))}>Remove</button>`}</p>`}
      </article>`)}
      ${open === "new" && html`<${Form} store=${store} onSave=${(text, author) => change(null, text, author)} onDone=${close} />`}
      ${!store.read_only && open === null && html`<button type="button" onClick=${() => setOpen("new")}>Add a note</button>`}
      <${History} found=${value} shown=${(content) => lines(content.text)} />`}`;
}

function Form({ store, before = null, onSave, onDone }) {
  const [error, setError] = useState(null);
  const save = async (event) => {
    event.preventDefault();
    const given = new FormData(event.target), author = String(given.get("author"));
    keepAuthor(author);
    try { await onSave(String(given.get("text")), author); onDone(); } catch (failure) { setError(failure); }
  };
  return html`<form onSubmit=${save} onKeyDown=${(event) => { if (event.key === "Escape") onDone(); }}>
    <label>Note <textarea name="text" rows="3" maxlength=${LONGEST} required defaultValue=${before?.content.text ?? ""}></textarea></label>
    <label>Your name <input name="author" maxlength="200" defaultValue=${authorOf(store)} /></label>
    <span class="buttons"><button type="submit">Save</button> <button type="button" onClick=${onDone}>Cancel</button></span>
    ${error && html`<p class="failed" role="alert">${error.message}</p>`}
  </form>`;
}

function History({ found, shown }) {
  if (found.num_records < 2) return null;
  return html`<details><summary>History: ${counted(found.num_records, "edit")}</summary>
    <ol class="history">${found.history.map((one) => html`<li key=${one.ref}>
      ${one.content ? html`<span class="hostile">${cut(shown(one.content), 300)}</span>` : html`<em>removed</em>`}
      <span class="faint"> ${visible(one.author || "unknown")}, ${visible(when(one.created))}${one.current ? "" : ", replaced"}</span></li>`)}</ol>
  </details>`;
}

/** The nodes of this graph that have notes: a click selects one. */
function OfNodes({ graph, select }) {
  const [{ value }] = useSaid("prompt_notes", { prompt: graph.prompt });
  const found = (value?.notes ?? []).filter((note) => note.node);
  if (!found.length) return null;
  return html`<h2>Nodes with notes</h2>
    <ul>${[...new Set(found.map((note) => note.node))].map((key) => {
      const node = graph.nodeOf(key);
      if (node < 0) return html`<li class="faint">${visible(key)} (not in this graph)</li>`;
      return html`<li><button type="button" class="small" onClick=${() => select(key)}>${cut(graph.name(node), 60)}</button></li>`;
    })}</ul>`;
}

function Views({ prompt, store }) {
  const [{ value, error }, again] = useSaid("views", { prompt });
  const [failure, setFailure] = useState(null);
  const attempt = async (run) => { try { await run(); setFailure(null); } catch (caught) { setFailure(caught); } };
  const save = (event) => {
    event.preventDefault();
    const form = event.target, name = String(new FormData(form).get("name")).trim();
    const address = `graph${location.search}`;
    attempt(async () => {
      await edit("views", { subject: { prompt }, before: [], said: { name, address }, author: authorOf(store), label: `save view ${name}`, after: again });
      form.reset();
    });
  };
  const remove = (one) => attempt(() => edit("views", {
    subject: { prompt }, before: [one], said: null, author: authorOf(store), label: `remove view ${one.content.name}`, after: again }));
  return html`<h2>Saved views</h2>
    ${!value && html`<${NotThere} error=${error} what="views" />`}
    ${value && html`<ul class="views">${value.views.map((one) => html`<li key=${one.ref}>
      <a href=${one.content.address}>${cut(visible(one.content.name), 100)}</a>
      <span class="faint"> ${visible(one.author || "unknown")}, ${visible(when(one.created))}</span>
      ${!store.read_only && html` <button type="button" class="small" onClick=${() => remove(one)}>Remove</button>`}</li>`)}</ul>
      ${!value.views.length && html`<p class="faint">None yet.</p>`}`}
    ${!store.read_only && html`<form class="save-view" onSubmit=${save}>
      <label>Name <input name="name" maxlength="200" required autocomplete="off" /></label> <button type="submit">Save this view</button></form>`}
    ${failure && html`<p class="failed" role="alert">${failure.message}</p>`}
    ${value && html`<${History} found=${value} shown=${(content) => visible(content.name)} />`}`;
}
