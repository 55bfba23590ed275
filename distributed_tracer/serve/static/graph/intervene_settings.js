// What is set in an intervention: one row for each supernode, and for each pinned feature that is in none. The settings
// lie in the address as `set=[name, what, number]`, so that a link shows them, and the request is made of them.
import { FEATURE } from "../graph_data.js";
import { visible } from "../text.js";

export const WHATS = [
  ["", "leave"],
  ["off", "turn off"],
  ["times", "multiply by"],
  ["value", "set to"],
  ["instead", "swap for …"],
];
const START = { times: 2, value: 1 };

/** Return the rows { name, members } that can be set: members are keys of features, and names differ. */
export function rowsOf(graph, view) {
  const isFeature = (key) => graph.nodeOf(key) >= 0 && graph.kind[graph.nodeOf(key)] === FEATURE;
  const rows = [], taken = new Set(), names = new Map();
  const add = (wanted, members) => {
    const count = (names.get(wanted) ?? 0) + 1;
    names.set(wanted, count);
    rows.push({ name: count > 1 ? `${wanted} (${count})` : wanted, members });
  };
  for (const { name, members } of view.groups) {
    const own = members.filter((key) => isFeature(key) && !taken.has(key));
    for (const key of own) taken.add(key);
    if (own.length) add(name, own);
  }
  for (const key of view.pins)
    if (isFeature(key) && !taken.has(key)) {
      taken.add(key);
      const node = graph.nodeOf(key);
      add(`${graph.shortName(node)} at ${graph.position[node]}${graph.labelText(node) ? ` ${graph.labelText(node)}` : ""}`.slice(0, 900), [key]);
    }
  return rows;
}

/** Return the settings in the address, by the name of their row: { what, number, instead }. */
export function settingsOf(params) {
  const found = new Map();
  for (const text of params.getAll("set")) {
    try {
      const [name, what, number, instead] = JSON.parse(text);
      if (typeof name === "string" && WHATS.some(([known]) => known && known === what)) found.set(name, { what, number, instead });
    } catch { /* an address that was cut: what is left of it counts */ }
  }
  return found;
}

/** Return the parameters of settings. */
export function paramsOf(settings) {
  return { set: [...settings].map(([name, { what, number, instead }]) => JSON.stringify([name, what, number ?? null, ...(instead ? [instead] : [])])) };
}

/** Return settings in which one row is set otherwise. */
export function withSetting(settings, name, changes) {
  const next = new Map(settings), before = next.get(name) ?? { what: "" };
  const now = { ...before, ...changes };
  if (changes.what && changes.what !== before.what) now.number = START[changes.what];
  if (now.what) next.set(name, now);
  else next.delete(name);
  return next;
}

/** Return the body of the request. Rows that are left as they are come too: their state is read. */
export function bodyOf(rows, settings, options) {
  const supernodes = rows.map(({ name, members }) => {
    const { what, number, instead } = settings.get(name) ?? {};
    const one = { name, members };
    if (what === "off") return { ...one, set: "times", number: 0 };
    if (what === "times" || what === "value") return { ...one, set: what, number: Number(number) };
    return what === "instead" && instead ? { ...one, instead } : one;
  });
  return { supernodes, ...options };
}

/** Return what a setting is called: "×0", "=3", "swapped for Sacramento". */
export function settingText({ what, number, instead }) {
  if (what === "off") return "×0";
  if (what === "times") return `×${number}`;
  if (what === "value") return `=${number}`;
  return instead ? `swapped for ${visible(instead.name)}` : "swap";
}
