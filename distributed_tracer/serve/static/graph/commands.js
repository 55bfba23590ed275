// Commands: the view as state of a page, changed through undo and written into the address.
import { change } from "../address.js";
import { useEffect, useMemo, useRef, useState } from "../lib.js";
import { perform } from "../undo.js";
import { addressOf, firstView, viewOf } from "./view.js";

/** Return a list with a key added, or removed if it is there. */
export const toggled = (keys, key) => (keys.includes(key) ? keys.filter((one) => one !== key) : [...keys, key]);

const picked = (view, changes) => Object.fromEntries(Object.keys(changes).map((name) => [name, view[name]]));

/**
 * Hook: { view, act, gone } of a graph. `act(label, changes, { merge })` changes the view by a command that can be
 * undone; steps of one `merge` that follow one another are one command, and one step of the back button.
 */
export function useView(graph, params) {
  const first = useMemo(() => firstView(graph), [graph]);
  const begun = useMemo(() => viewOf(params, graph, first), [graph]);
  const [view, setView] = useState(begun.view), [gone, setGone] = useState(begun.gone);
  const state = useRef({ view: begun.view, written: params.toString(), merge: null });
  const asked = params.toString();
  useEffect(() => {
    // The back button, or a link to another view of this graph.
    if (asked === state.current.written) return;
    const found = viewOf(params, graph, first);
    state.current = { view: found.view, written: asked, merge: null };
    setView(found.view);
    setGone(found.gone);
  }, [asked]);

  const apply = (changes, merge) => {
    const next = { ...state.current.view, ...changes };
    const replace = merge !== null && merge === state.current.merge;
    state.current = { ...state.current, view: next, merge };
    setView(next);
    change(addressOf(next, first), { replace });
    state.current.written = new URLSearchParams(location.search).toString();
  };
  const act = (label, changes, { merge = null } = {}) => {
    const before = picked(state.current.view, changes);
    if (Object.keys(changes).every((name) => Object.is(before[name], changes[name]))) return;
    perform({ label, merge, run: () => apply(changes, merge), revert: () => apply(before, null) });
  };
  return { view, act, gone, latest: () => state.current.view };
}
