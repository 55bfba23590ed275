// The view of the corpus page is its address: conditions, search, order, columns. Every change of it can be undone.
import { change, current } from "../address.js";
import { perform } from "../undo.js";

/** Rows of one page of the table. */
export const ROWS = 100;

/** Return the view that an address has: lists are empty and texts "" where it says nothing. */
export function viewOf(params) {
  const count = (name) => Math.max(0, Number.parseInt(params.get(name) ?? "0", 10) || 0);
  return {
    where: params.getAll("where"),
    search: params.get("search") ?? "",
    sort: params.get("sort") || "id",
    descending: params.get("descending") === "true",
    offset: count("offset"),
    columns: params.has("column") ? params.getAll("column") : null,
    histograms: params.has("histogram") ? params.getAll("histogram") : null,
    picked: params.getAll("pick").slice(-2),
    set: params.get("set") ?? "",
    hasMap: params.get("map") === "open",
    colour: params.get("colour") ?? null,
  };
}

/** Return what links to a graph carry of a view, so that its page goes on in the same order: filter and order. */
export function way({ where, search, sort, descending }) {
  return { where, search, sort: sort === "id" ? null : sort, descending: descending || null };
}

/** Change parameters of the address as a command that can be undone. Commands of one `merge` name are undone together. */
export function act(label, values, { merge = null } = {}) {
  const before = current().params;
  const old = Object.fromEntries(Object.keys(values).map((name) => [name, before.getAll(name)]));
  return perform({
    label, merge,
    run: () => change(values, { replace: merge !== null }),
    revert: () => change(old),
  });
}

/** Change the conditions; the first page of rows is shown then, and the view is no named set any more. */
export function setWhere(label, where, options) {
  return act(label, { where, offset: null, set: null }, options);
}

const SIGNS = /^(.+?)(\s*)(>=|<=|==?)([^]*)$/;

/** Return { key, sign, value } of a condition as the command line has it, or null if it is none. */
export function parsed(condition) {
  const found = SIGNS.exec(condition);
  return found && { key: found[1], sign: found[3] === "==" ? "=" : found[3], value: found[2] ? found[4].trim() : found[4] };
}

/** Return the conditions without those about a column. */
export function without(where, key) {
  return where.filter((condition) => parsed(condition)?.key !== key);
}

/** Return the bounds that conditions set for a column: { least, most }, null where there is none. */
export function bounds(where, key) {
  const own = where.map(parsed).filter((one) => one?.key === key);
  const last = (sign) => own.filter((one) => one.sign === sign || one.sign === "=").map((one) => Number(one.value)).at(-1) ?? null;
  return { least: last(">="), most: last("<=") };
}
