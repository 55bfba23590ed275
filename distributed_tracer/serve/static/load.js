// Loading of what a page needs, with the three states that a page must show: not yet, failed, there.
import { html, useEffect, useState } from "./lib.js";

/** Hook: the result of an asynchronous function, called again when a dependency changes; the old call is cancelled. */
export function useLoaded(load, dependencies) {
  const [state, set] = useState({ value: null, error: null, isLoading: true });
  useEffect(() => {
    const control = new AbortController();
    set((before) => ({ ...before, error: null, isLoading: true }));
    load(control.signal).then(
      (value) => { if (!control.signal.aborted) set({ value, error: null, isLoading: false }); },
      (error) => { if (!control.signal.aborted) set({ value: null, error, isLoading: false }); },
    );
    return () => control.abort();
  }, dependencies);
  return state;
}

/** What is shown instead of something that is not there. */
export function NotThere({ error, what = "this" }) {
  if (!error) return html`<p class="waiting" role="status">Loading ${what} …</p>`;
  return html`<p class="failed" role="alert">${error.message}</p>`;
}
