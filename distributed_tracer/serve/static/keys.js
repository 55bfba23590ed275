// Keys: every page binds its own, and `?` lists all that are bound.
import { html, useEffect, useRef, useState } from "./lib.js";

const bound = new Map(); // by owner: lists of { keys: ["ctrl+z"], label, run }

const isTyping = (element) =>
  element instanceof HTMLElement &&
  (element.isContentEditable || ["TEXTAREA", "SELECT"].includes(element.tagName) ||
    (element.tagName === "INPUT" && !["checkbox", "radio", "range", "button"].includes(element.type)));

/** Return the name of a pressed key: "ctrl+z", "shift+ArrowLeft", "?". Cmd counts as ctrl. */
export function keyName(event) {
  const shift = event.shiftKey && event.key.length > 1 ? "shift+" : "";
  const key = event.key.length === 1 && (event.ctrlKey || event.metaKey) ? event.key.toLowerCase() : event.key;
  const shifted = event.shiftKey && (event.ctrlKey || event.metaKey) && event.key.length === 1 ? "shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.altKey ? "alt+" : ""}${shift}${shifted}${key}`;
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || (isTyping(event.target) && event.key !== "Escape")) return;
  const name = keyName(event);
  for (const bindings of [...bound.values()].reverse())
    for (const binding of bindings)
      if (binding.keys.includes(name) && binding.run(event) !== false) {
        event.preventDefault();
        return;
      }
});

/** Hook: bind keys while the component is shown. `group` names them in the list. A `run` that returns false passes on. */
export function useKeys(group, bindings) {
  const owner = useRef({});
  useEffect(() => { bound.set(owner.current, bindings.map((binding) => ({ ...binding, group }))); });
  useEffect(() => () => { bound.delete(owner.current); }, []);
}

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space" };
const shown = (keys) => keys.split("+").map((key) => NAMES[key] ?? key).join(" ");

/** The list of keys, which `?` opens: those that are bound when it opens. */
export function KeyHelp() {
  const [isOpen, open] = useState(false);
  const dialog = useRef(null);
  useKeys("everywhere", [{ keys: ["?"], label: "this list", run: () => open(true) }]);
  useEffect(() => {
    if (isOpen && dialog.current && !dialog.current.open) dialog.current.showModal();
    if (!isOpen && dialog.current?.open) dialog.current.close();
  }, [isOpen]);
  const groups = new Map();
  for (const binding of [...bound.values()].flat()) groups.set(binding.group, [...(groups.get(binding.group) ?? []), binding]);
  return html`
    <button type="button" onClick=${() => open(true)} aria-haspopup="dialog">Keys <kbd>?</kbd></button>
    <dialog ref=${dialog} class="keys" aria-label="Keys" onClose=${() => open(false)}>
      ${isOpen && [...groups].map(([group, bindings]) => html`
        <h2>${group}</h2>
        <dl>${bindings.map((binding) => html`
          <dt>${binding.keys.map((keys) => html`<kbd>${shown(keys)}</kbd> `)}</dt><dd>${binding.label}</dd>`)}</dl>`)}
      <form method="dialog"><button>Close</button></form>
    </dialog>`;
}
