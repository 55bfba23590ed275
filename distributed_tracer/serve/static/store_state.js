// What the server says of its store, asked again from time to time: numbers of prompts, and what is damaged.
import { get } from "./api.js";
import { html, useEffect, useState } from "./lib.js";
import { visible } from "./text.js";

const EVERY = 15_000; // milliseconds

/** Let all that shows the store know that there is something new, as when a run has added prompts. */
export const tellStore = () => { dispatchEvent(new Event("store")); };

/**
 * Hook: { value, error, troubles }. `error` is why the store was never there; later failures are among `troubles`, and
 * the last value stays. The value is the same object until the server says something else.
 */
export function useStore() {
  const [state, set] = useState({ value: null, error: null, gone: "" });
  useEffect(() => {
    let timer = 0, isOver = false;
    const load = async () => {
      clearTimeout(timer);
      if (!document.hidden) {
        const found = await get("store").then((value) => ({ value }), (error) => ({ error }));
        if (isOver) return;
        set((before) => next(before, found));
      }
      clearTimeout(timer);
      timer = setTimeout(load, EVERY);
    };
    addEventListener("store", load);
    document.addEventListener("visibilitychange", load);
    load();
    return () => {
      isOver = true;
      clearTimeout(timer);
      removeEventListener("store", load);
      document.removeEventListener("visibilitychange", load);
    };
  }, []);
  return { ...state, troubles: [...(state.gone ? [state.gone] : []), ...(state.value?.troubles ?? [])] };
}

function next(before, { value, error }) {
  if (error) return before.value ? { ...before, gone: error.message } : { value: null, error, gone: "" };
  const isSame = JSON.stringify(before.value) === JSON.stringify(value);
  if (isSame && !before.gone) return before;
  return { value: isSame ? before.value : value, error: null, gone: "" };
}

/** What is damaged or cannot be read, below the header of every page. What was dismissed stays away until it changes. */
export function Troubles({ lines }) {
  const [dismissed, dismiss] = useState([]);
  const shown = lines.filter((line) => !dismissed.includes(line)), [first, ...rest] = shown;
  if (!shown.length) return "";
  return html`
    <aside class="troubles" aria-label="Troubles of the store">
      <div><p class="failed" role="alert">${visible(first)}</p>
        ${rest.length > 0 && html`<details><summary>and ${rest.length} more</summary>${rest.map((line) => html`<p class="failed">${visible(line)}</p>`)}</details>`}</div>
      <button type="button" onClick=${() => dismiss([...dismissed, ...shown])}>Dismiss</button>
    </aside>`;
}
