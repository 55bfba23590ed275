// The panels on the right as tabs; the code of a panel is loaded when it is first shown.
import { html, useErrorBoundary } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { PANELS } from "./panels.js";

export function Panels(props) {
  const { view, act, store } = props, there = PANELS.filter(({ isThere }) => isThere(store));
  const chosen = there.find(({ name }) => name === view.panel) ?? there[0];
  const choose = (name) => act("panel", { panel: name === there[0].name ? null : name });
  const walked = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = there[(there.indexOf(chosen) + step + there.length) % there.length];
    choose(next.name);
    document.getElementById(`tab-${next.name}`)?.focus();
  };
  return html`<aside class="panels" aria-label="Panels">
    <div role="tablist" aria-label="Panels" class="tabs" onKeyDown=${walked}>${there.map(({ name, title }) => html`
      <button type="button" role="tab" id=${`tab-${name}`} aria-selected=${name === chosen.name} aria-controls="panel"
        tabindex=${name === chosen.name ? 0 : -1} onClick=${() => choose(name)}>${title}</button>`)}</div>
    <div role="tabpanel" id="panel" aria-labelledby=${`tab-${chosen.name}`} tabindex="0">
      <${Panel} key=${chosen.name} panel=${chosen} ...${props} /></div>
  </aside>`;
}

function Panel({ panel, ...props }) {
  const [error, retry] = useErrorBoundary((caught) => console.error(caught));
  const module = useLoaded(() => panel.load(), [panel.name]);
  if (error) return html`<div class="failed" role="alert"><p>This panel failed: ${error.message}</p><button type="button" onClick=${retry}>Try again</button></div>`;
  if (!module.value) return html`<${NotThere} error=${module.error} what="the panel" />`;
  return html`<${module.value.default} ...${props} />`;
}
