// Saving of groups and pins. What others saved meanwhile is never overwritten: a save takes the place only of the
// annotations that the view was made from, which the address names once the view differs from what is saved.
import { change, useAddress } from "../address.js";
import { get, post } from "../api.js";
import { authorOf, keepAuthor } from "../author.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { say } from "../say.js";
import { counted, visible } from "../text.js";
import { perform } from "../undo.js";
import { isSame, present, union, withAbsent } from "./subgraph_units.js";

const BASE = "sgbase";

/**
 * Hook: { saved, isChanged, isBusy, error, save(author), goBack(), others } of a view. `places` are those of the boxes
 * that the address has, by the key of a unit, or null if it has none: then those that are saved count.
 */
export function useSaving({ graph, view, act, places, forgetPlaces }) {
  const [saved, setSaved] = useState(null);
  const [{ isBusy, error }, setState] = useState({ isBusy: false, error: null });
  const { params } = useAddress();
  const latest = useRef(view);
  latest.current = view;
  const prompt = graph.values.prompt;
  const load = async () => {
    try {
      return await get("groups", { prompt });
    } catch (failure) {
      setState({ isBusy: false, error: failure.message });
      return null;
    }
  };
  useEffect(() => {
    let isGone = false;
    load().then((found) => {
      if (isGone || !found) return;
      setSaved(found);
      // Somebody saved after this server had read the groups that the view began with.
      const isOwn = params.has("pin") || params.has("group");
      if (!isOwn && !isSame(latest.current, present(graph, found))) act("what was saved", present(graph, found));
    });
    const again = () => { if (!document.hidden) load().then((found) => { if (!isGone && found) setSaved(found); }); };
    document.addEventListener("visibilitychange", again);
    return () => { isGone = true; document.removeEventListener("visibilitychange", again); };
  }, [prompt]);

  const there = saved && present(graph, saved);
  const arePlacesChanged = Boolean(saved && places) && !areSamePlaces(view, places, savedPlaces(saved));
  const isChanged = Boolean(saved) && (arePlacesChanged || !isSame(view, there));
  const names = saved?.from.map(({ name }) => name) ?? [];
  const base = params.getAll(BASE);
  const known = useRef(null); // names of the annotations that the view was made from
  if (saved && !isChanged) known.current = names;
  const from = base.length ? base : known.current ?? [];
  useEffect(() => {
    if (!saved) return;
    if (isChanged && !base.length && from.length) change({ [BASE]: from }, { replace: true });
    if (!isChanged && base.length) change({ [BASE]: null }, { replace: true });
  }, [saved, isChanged, base.join()]);
  const others = isChanged ? saved.from.filter(({ name }) => !from.includes(name)) : [];

  async function save(author) {
    setState({ isBusy: true, error: null });
    const before = saved, wanted = withAbsent(graph, view, saved);
    // The places of the address take the place of all that are saved, but for nodes that this graph does not have.
    const kept = [...savedPlaces(saved)].filter(([key]) => !places || graph.nodeOf(key) < 0);
    wanted.places = placesIn(wanted, new Map([...kept, ...(places ?? [])]));
    let replaces = from, reply = null;
    const write = async (content) => {
      reply = await post("groups", { groups: content.groups, pins: content.pins, places: content.places, author, replaces }, { prompt });
      replaces = [reply.written];
      setSaved(reply);
      known.current = reply.from.map(({ name }) => name);
      change({ [BASE]: isSame(latest.current, present(graph, reply)) ? null : known.current }, { replace: true });
    };
    try {
      await perform({ label: "save groups, pins and places", run: () => write(wanted), revert: () => write(before) });
      const all = present(graph, reply);
      if (isSame(all, present(graph, wanted))) say("saved");
      else {
        act("show what others saved", all);
        say("saved, together with what others saved meanwhile");
      }
      setState({ isBusy: false, error: null });
    } catch (failure) {
      setState({ isBusy: false, error: failure.message });
    }
  }
  const goBack = () => {
    act("go back to what is saved", there);
    if (arePlacesChanged) forgetPlaces();
  };
  const showOthers = () => act("show what others saved", union(view, there));
  return { saved, isChanged, isBusy, error, others, save, goBack, showOthers };
}

/** Return the places that are saved, by the key of a unit. */
export const savedPlaces = (saved) => new Map(Object.entries(saved?.places ?? {}).map(([key, [x, y]]) => [key, { x, y }]));

const keysIn = ({ groups, pins }) => new Set([...pins, ...groups.flatMap(({ members }) => members)]);

/** Whether two maps of places say the same of what a view has. */
function areSamePlaces(view, one, other) {
  const keys = keysIn(view), written = (places) => JSON.stringify([...places].filter(([key]) => keys.has(key)).map(([key, { x, y }]) => [key, x, y]).sort());
  return written(one) === written(other);
}

/** Return places as they are saved: those of nodes in groups and pins. */
function placesIn(content, places) {
  const keys = keysIn(content);
  return Object.fromEntries([...places].filter(([key]) => keys.has(key)).map(([key, { x, y }]) => [key, [x, y]]));
}

/** What is saved of groups and pins, and the commands for it. */
export function SavingBar({ saving, store }) {
  const [author, setAuthor] = useState(() => authorOf(store));
  const { saved, isChanged, isBusy, error, others } = saving;
  const keep = (name) => {
    setAuthor(name);
    keepAuthor(name);
  };
  const last = saved?.from[saved.from.length - 1];
  const state = !saved ? (error ? "" : "Loading what is saved …") : isChanged ? "Unsaved changes."
    : last ? `Saved${last.author ? ` by ${visible(last.author)}` : ""}, ${visible(last.created).slice(0, 16).replace("T", " ")} UTC.` : "Nothing is saved yet.";
  return html`<div class="sg-saving">
    <span class=${`sg-state${isChanged ? " sg-unsaved" : ""}`} role="status">${state}</span>
    ${store.read_only ? html`<span class="faint">This server is read-only: the address keeps changes, nothing can be saved.</span>` : html`
      <button type="button" disabled=${!isChanged || isBusy} onClick=${() => saving.save(author)}>Save</button>
      <label>as <input class="sg-author" value=${author} maxlength="200" placeholder="your name" onInput=${(event) => keep(event.target.value)} /></label>`}
    ${isChanged && html`<button type="button" onClick=${saving.goBack}>Go back to what is saved</button>`}
    ${others.length > 0 && html`<span class="sg-others">
      ${counted(others.length, "annotation")} of others${namesOf(others)} that this view was not made from. Saving keeps them too.
      ${" "}<button type="button" onClick=${saving.showOthers}>Show them</button></span>`}
    ${error && html`<p class="failed" role="alert">${error}</p>`}
  </div>`;
}

function namesOf(others) {
  const names = [...new Set(others.map(({ author }) => visible(author)).filter(Boolean))];
  return names.length ? ` (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""})` : "";
}
