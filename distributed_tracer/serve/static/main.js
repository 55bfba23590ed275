// The frame around all pages: navigation, undo and redo, keys, colours, and what is shown when something fails.
import { go, href, useAddress } from "./address.js";
import { KeyHelp, useKeys } from "./keys.js";
import { html, render, useEffect, useErrorBoundary, useState } from "./lib.js";
import { NotThere, useLoaded } from "./load.js";
import { Troubles, useStore } from "./store_state.js";
import { counted, visible } from "./text.js";
import { UndoTrouble, forget, redo, undo, useUndo } from "./undo.js";

// Each page is a module whose default export is a component with the properties `store` (the answer of the API's
// /store) and `params` (URLSearchParams of the address).
const PAGES = {
  "": { title: "Prompts", load: () => import("./pages/corpus.js") },
  graph: { title: "Graph", load: () => import("./pages/graph.js") },
  feature: { title: "Feature", load: () => import("./pages/feature.js") },
  compare: { title: "Compare", load: () => import("./pages/compare.js") },
  findings: { title: "Findings", load: () => import("./pages/findings.js") },
  about: { title: "About", load: () => import("./pages/about.js") },
};
const THEMES = ["auto", "light", "dark"];

/** Return what a model is called: a hub id, or the last part of a directory. */
const lastPart = (model) => visible(/^[\w.-]+\/[\w.-]+$/.test(model) ? model : model.replace(/\/+$/, "").split("/").pop());

function useTheme() {
  const [theme, set] = useState(() => {
    try { return localStorage.getItem("theme") ?? "auto"; } catch { return "auto"; }
  });
  useEffect(() => {
    document.documentElement.dataset.theme = THEMES.includes(theme) ? theme : "auto";
    try { localStorage.setItem("theme", theme); } catch { /* not kept, then */ }
    dispatchEvent(new Event("theme"));
  }, [theme]);
  return [theme, set];
}

function Header({ store, page }) {
  const [theme, setTheme] = useTheme();
  const commands = useUndo();
  useKeys("everywhere", [
    { keys: ["ctrl+z"], label: "undo", run: () => { undo(); } },
    { keys: ["ctrl+shift+z", "ctrl+y"], label: "do again", run: () => { redo(); } },
    { keys: ["g"], label: "go to the prompts", run: () => go("") },
  ]);
  const link = (to) => html`
    <a href=${href(to)} aria-current=${page === to ? "page" : undefined}>${PAGES[to].title}</a>`;
  return html`
    <header class="top">
      <a class="skip" href="#page">Skip to the page</a>
      <strong class="name" title=${store ? visible(store.url) : ""}>${store ? visible(store.name) : "distributed_tracer"}</strong>
      <nav aria-label="Pages">${link("")} ${store?.results.length ? link("findings") : ""} ${link("about")}</nav>
      <span class="facts" title=${store?.model ? visible(store.model) : ""}>${store ? `${counted(store.num_prompts, "prompt")}${store.model ? ` · ${lastPart(store.model)}` : ""}` : ""}</span>
      <span class="tools">
        <button type="button" disabled=${!commands.undo} title=${commands.undo ? `undo: ${commands.undo}` : "nothing to undo"} onClick=${() => undo()}>Undo</button>
        <button type="button" disabled=${!commands.redo} title=${commands.redo ? `do again: ${commands.redo}` : "nothing to do again"} onClick=${() => redo()}>Redo</button>
        <${KeyHelp} />
        <label class="theme">Colours <select value=${theme} onChange=${(event) => setTheme(event.target.value)}>
          ${THEMES.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      </span>
    </header>`;
}

function PageOf({ page, params, store }) {
  const [error, retry] = useErrorBoundary((caught) => console.error(caught));
  const module = useLoaded(() => (PAGES[page] ? PAGES[page].load() : Promise.reject(new Error("There is no such page."))), [page]);
  useEffect(() => {
    document.title = `${PAGES[page]?.title ?? "Not found"} · ${store ? visible(store.name) : "distributed_tracer"}`;
  }, [page, store]);
  if (error)
    return html`<section class="failed" role="alert"><h1>This page failed</h1><p>${error.message}</p>
      <button type="button" onClick=${retry}>Try again</button></section>`;
  if (!module.value || !store) return html`<${NotThere} error=${module.error} what="the page" />`;
  return html`<${module.value.default} store=${store} params=${params} />`;
}

function App() {
  const { page, params } = useAddress();
  const store = useStore();
  const subject = `${page}?${params.get("prompt") ?? ""}`;
  useEffect(() => forget(), [subject]);
  return html`
    <${Header} store=${store.value} page=${page} />
    <${Troubles} lines=${store.troubles} />
    <${UndoTrouble} />
    <main id="page" tabindex="-1" class=${`page-${page || "corpus"}`}>
      ${store.error ? html`<${NotThere} error=${store.error} />`
        : html`<${PageOf} key=${page} page=${page} params=${params} store=${store.value} />`}
    </main>`;
}

render(html`<${App} />`, document.getElementById("app"));
