// Loading that is repeated while the server still reads, or while a run goes on; never while the page is hidden.
import { useEffect, useState } from "../lib.js";

/**
 * Hook: the result of an asynchronous function, called anew when a dependency changes and after as many milliseconds as
 * `again(value, error)` returns, unless it returns null. The last value stays until the next one is there.
 */
export function usePolled(load, again, dependencies) {
  const [state, set] = useState({ value: null, error: null, isLoading: true });
  useEffect(() => {
    const control = new AbortController();
    let timer = null, isDue = false;
    const once = () => {
      if (document.hidden) { isDue = true; return; }
      isDue = false;
      load(control.signal).then(
        (value) => done({ value, error: null, isLoading: false }),
        (error) => done({ value: null, error, isLoading: false }),
      );
    };
    const done = (next) => {
      if (control.signal.aborted) return;
      set(next);
      const delay = again(next.value, next.error);
      if (delay !== null) timer = setTimeout(once, delay);
    };
    const shown = () => { if (isDue && !document.hidden) once(); };
    document.addEventListener("visibilitychange", shown);
    set((before) => ({ ...before, isLoading: true }));
    once();
    return () => {
      control.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, dependencies);
  return state;
}
