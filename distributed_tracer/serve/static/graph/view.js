// The view: everything that a reader chose to see of a graph, as one immutable object, and its form in the address.
// Only what differs from the view that a graph begins with is written, so that most links are short.
import { visible } from "../text.js";

const FEW_NODES = 300, FEW_EDGES = 1000;
/** A repeated parameter with nothing in it: the server's pins are not wanted, say. */
const NONE = "none";

/** Return the view that a graph begins with: pins and groups as the store has them. */
export function firstView(graph) {
  const keysOf = (nodes) => nodes.map((node) => graph.keyOf(node));
  return {
    node: null,
    pins: keysOf(graph.pins),
    groups: graph.groups.map(({ name, members }) => ({ name, members: keysOf(members) })),
    share: graph.inner.length > FEW_NODES ? graph.before[FEW_NODES] : 1,
    edges: Math.min(graph.source.length, FEW_EDGES),
    minDensity: 0,
    maxDensity: 1,
    targetA: null,
    targetB: null,
    communities: null, // "0" or "0:2": what colours features, a result and a level
    hidden: [],
    open: [], // what a reader unfolded: "3-17" for positions, "L4-9" for layers
    camera: null, // null shows all; otherwise what `Camera.goTo` takes
    panel: null,
  };
}

/**
 * Return { view, gone } of an address. `gone` says in words what the address names and the graph does not have, as
 * after the prompt was traced again with other settings.
 */
export function viewOf(params, graph, first) {
  const view = { ...first }, missing = [], wrong = [];
  const isThere = (key) => graph.nodeOf(key) >= 0 || (missing.push(key), false);
  const list = (name) => params.getAll(name).filter((text) => text !== NONE);
  const node = params.get("node");
  if (node && isThere(node)) view.node = node;
  if (params.has("pin")) view.pins = [...new Set(list("pin"))].filter(isThere);
  if (params.has("group")) view.groups = list("group").map((text) => groupOf(text, isThere, wrong)).filter(Boolean);
  view.hidden = [...new Set(list("hide"))].filter(isThere);
  for (const [name, key] of [["a", "targetA"], ["b", "targetB"]])
    if (params.get(name) && isThere(params.get(name))) view[key] = params.get(name);
  if (params.get("communities")) {
    if (/^\d{1,6}(:\d{1,6})?$/.test(params.get("communities"))) view.communities = params.get("communities");
    else wrong.push("communities");
  }
  view.share = numberOf(params, "share", 0, 1, first.share, wrong);
  view.edges = Math.round(numberOf(params, "edges", 0, graph.source.length, first.edges, wrong));
  view.minDensity = numberOf(params, "from", 0, 1, 0, wrong);
  view.maxDensity = numberOf(params, "to", 0, 1, 1, wrong);
  view.open = list("open").filter((text) => /^L?\d{1,7}-\d{1,7}$/.test(text));
  view.camera = cameraOf(params.get("at"));
  view.panel = params.get("panel");
  return { view, gone: words(missing, wrong) };
}

function groupOf(text, isThere, wrong) {
  try {
    const { name, members } = JSON.parse(text);
    if (typeof name !== "string" || !Array.isArray(members)) throw new Error("no group");
    return { name, members: [...new Set(members.map(String))].filter(isThere) };
  } catch {
    wrong.push("a group");
    return null;
  }
}

function numberOf(params, name, least, most, otherwise, wrong) {
  if (!params.has(name)) return otherwise;
  const value = Number(params.get(name));
  if (params.get(name) !== "" && Number.isFinite(value)) return Math.min(Math.max(value, least), most);
  wrong.push(name);
  return otherwise;
}

function cameraOf(text) {
  const [x, y, scale, stretch] = (text ?? "").split(",").map(Number);
  return [x, y, scale, stretch].every(Number.isFinite) && scale > 0 ? { x, y, scale, stretch } : null;
}

function words(missing, wrong) {
  const found = [];
  const named = missing.slice(0, 3).map(visible).join(", ");
  if (missing.length)
    found.push(`This link names ${missing.length === 1 ? "a node" : `${missing.length} nodes`} that the graph does ` +
      `not have: ${named}${missing.length > 3 ? ", …" : ""}`);
  if (wrong.length) found.push(`This link has parts that cannot be read and are left out: ${wrong.join(", ")}`);
  return found;
}

/** Return the parameters of the address for a view; null for those that the address does not need. */
export function addressOf(view, first) {
  const list = (now, before) => (same(now, before) ? null : now.length ? now : NONE);
  const rounded = (value) => String(Number(value.toFixed(5)));
  return {
    node: view.node,
    pin: list(view.pins, first.pins),
    group: list(view.groups.map((group) => JSON.stringify(group)), first.groups.map((group) => JSON.stringify(group))),
    hide: view.hidden,
    a: view.targetA,
    b: view.targetB,
    communities: view.communities,
    share: view.share === first.share ? null : rounded(view.share),
    edges: view.edges === first.edges ? null : view.edges,
    from: view.minDensity > 0 ? rounded(view.minDensity) : null,
    to: view.maxDensity < 1 ? rounded(view.maxDensity) : null,
    open: view.open,
    at: view.camera && [view.camera.x, view.camera.y, view.camera.scale, view.camera.stretch].join(","),
    panel: view.panel,
  };
}

const same = (one, other) => one.length === other.length && one.every((text, place) => text === other[place]);
