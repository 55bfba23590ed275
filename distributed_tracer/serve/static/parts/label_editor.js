// LabelEditor: the labels of one feature from all sources, and edits of them. Nothing is ever deleted: an edit, a removal
// and their undoing are annotations of their own, and what others say stays.
import { get, post } from "../api.js";
import { authorOf, keepAuthor } from "../author.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { say } from "../say.js";
import { counted, visible } from "../text.js";
import { perform } from "../undo.js";

const LONGEST = 4000;

/** Hook: call `run` with the labels of a feature whenever they have been changed anywhere in this page. */
export function useLabelChanges(run) {
  useEffect(() => {
    const listener = (event) => run(event.detail);
    addEventListener("labels", listener);
    return () => removeEventListener("labels", listener);
  });
}

async function write(site, change) {
  const { ref, labels } = await post("labels", { ...site, ...change });
  dispatchEvent(new CustomEvent("labels", { detail: { ...site, labels } }));
  return ref;
}

// A label that was brought back is a new record: by the ref of the old one, that of the one that stands for it now.
const standing = new Map();
const standsFor = (ref) => {
  while (standing.has(ref)) ref = standing.get(ref);
  return ref;
};

async function bringBack(site, ref, author, parents) {
  const made = await write(site, { restores: ref, author, parents });
  standing.set(ref, made);
  return made;
}

/**
 * Do a change of a label through undo. `before` is the label that it replaces or null; `text` is null to remove it.
 * Each step names what it takes the place of, so that nobody else's label goes with it.
 */
export function changeLabel({ layer, feature }, { before, text, author }) {
  const site = { layer, feature };
  let made = null, removed = null; // the label that this command wrote, and the removal that took it away
  const replaced = () => (before ? [standsFor(before.ref)] : removed ? [removed] : []);
  const what = before ? (text === null ? "remove" : "edit") : "add";
  return perform({
    label: `${what} label of ${layer}:${feature}`,
    run: async () => {
      if (text === null) removed = await write(site, { text: null, author, parents: replaced() });
      else if (made) await bringBack(site, made, author, replaced());
      else made = await write(site, { text, author, parents: replaced() });
    },
    revert: async () => {
      const parents = [text === null ? removed : standsFor(made)];
      if (before) await bringBack(site, before.ref, author, parents);
      else removed = await write(site, { text: null, author, parents });
    },
  });
}

/** One label with who says so; what it shows is text, whatever it holds. */
export function LabelText({ label }) {
  const who = label.author && label.author !== label.source ? ` · written by ${visible(label.author)}` : "";
  return html`<span class="label-text hostile">${visible(label.text)}</span>
    ${" "}<span class="faint label-source">${visible(label.source)}${who}</span>`;
}

function Form({ site, store, before, onDone }) {
  const [text, setText] = useState(before?.text ?? "");
  const [author, setAuthor] = useState(() => authorOf(store));
  const [error, setError] = useState(null);
  const [isSaving, setSaving] = useState(false);
  const field = useRef(null);
  useEffect(() => { field.current?.focus(); }, []);
  const save = async (event) => {
    event.preventDefault();
    if (!text.trim() || isSaving) return;
    keepAuthor(author);
    setSaving(true);
    try {
      await changeLabel(site, { before, text, author });
      say("the label is saved");
      onDone();
    } catch (failure) {
      setError(failure);
      setSaving(false);
    }
  };
  const cancel = (event) => { if (event.key === "Escape") { event.stopPropagation(); onDone(); } };
  return html`<form class="label-form" onSubmit=${save} onKeyDown=${cancel}>
    <label>Label <textarea ref=${field} rows="2" maxlength=${LONGEST} value=${text} onInput=${(event) => setText(event.target.value)}
      onKeyDown=${(event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save(event); }}></textarea></label>
    <label>Your name <input value=${author} maxlength="200" onInput=${(event) => setAuthor(event.target.value)} /></label>
    <span class="buttons">
      <button type="submit" disabled=${!text.trim() || isSaving}>Save</button>
      <button type="button" onClick=${onDone}>Cancel</button>
    </span>
    ${error && html`<p class="failed" role="alert">${error.message}</p>`}
  </form>`;
}

function History({ site, labels }) {
  const [isOpen, open] = useState(false);
  const found = useLoaded(
    (signal) => (isOpen ? get("labels", site, signal) : Promise.resolve(null)), [isOpen, site.layer, site.feature, labels]);
  return html`<details class="label-history" onToggle=${(event) => open(event.target.open)}>
    <summary>History</summary>
    ${isOpen && (found.value ? html`
      <p class="faint">${counted(found.value.num_records, "record")}, the newest first</p>
      <ol>${found.value.history.map((record) => html`<li key=${record.ref}>
        ${record.text === null ? html`<em>removed</em>` : html`<span class="hostile">${visible(record.text)}</span>`}
        ${" "}<span class="faint">${visible(record.author || "unknown")}, ${visible(record.created.slice(0, 16).replace("T", " "))}${record.current ? "" : ", replaced"}</span>
      </li>`)}</ol>` : html`<${NotThere} error=${found.error} what="the history" />`)}
  </details>`;
}

/** The labels of a feature, with buttons to add, edit and remove. `initial` are the labels if they are known. */
export function LabelEditor({ layer, feature, store, initial = null }) {
  const site = { layer, feature };
  const loaded = useLoaded(
    (signal) => (initial ? Promise.resolve({ labels: initial }) : get("labels", site, signal)), [layer, feature, initial]);
  const [changed, setChanged] = useState(null);
  const [editing, edit] = useState(null); // null, "new", or the ref of a label
  const [error, setError] = useState(null);
  useEffect(() => { setChanged(null); edit(null); setError(null); }, [layer, feature]);
  useLabelChanges((found) => { if (found.layer === layer && found.feature === feature) setChanged(found.labels); });
  const labels = changed ?? loaded.value?.labels;
  if (!labels) return html`<${NotThere} error=${loaded.error} what="labels" />`;
  const remove = async (label) => {
    setError(null);
    try {
      await changeLabel(site, { before: label, text: null, author: authorOf(store) });
      say("the label is removed; undo brings it back");
    } catch (failure) {
      setError(failure);
    }
  };
  const done = () => edit(null);
  const canWrite = !store.read_only;
  return html`<div class="label-editor">
    ${labels.length ? html`<ul class="plain labels">${labels.map((label) => html`<li key=${label.ref}>
      ${editing === label.ref ? html`<${Form} site=${site} store=${store} before=${label} onDone=${done} />` : html`
        <span><${LabelText} label=${label} /></span>
        ${canWrite && html`<span class="buttons">
          <button type="button" onClick=${() => edit(label.ref)} aria-label=${`Edit the label ${visible(label.text)}`}>Edit</button>
          <button type="button" onClick=${() => remove(label)} aria-label=${`Remove the label ${visible(label.text)}`}>Remove</button>
        </span>`}`}
    </li>`)}</ul>` : html`<p class="faint">Nobody has labelled this feature yet.</p>`}
    ${error && html`<p class="failed" role="alert">${error.message}</p>`}
    ${canWrite ? (editing === "new" ? html`<${Form} site=${site} store=${store} before=${null} onDone=${done} />`
      : html`<button type="button" class="add-label" onClick=${() => edit("new")}>Add a label</button>`)
      : html`<p class="faint">This server is read-only: labels cannot be changed here.</p>`}
    <${History} site=${site} labels=${labels} />
  </div>`;
}
