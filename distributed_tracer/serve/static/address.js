// The address is the state of a page: what is shown can be linked, and the back button leads back.
// Every page is one level below the root, so all addresses are relative and work behind any prefix of a proxy.
import { useEffect, useState } from "./lib.js";

const listeners = new Set();
const root = () => new URL(".", location.href).pathname;

/** Return the page's name ("" is the corpus) and its parameters. */
export function current() {
  return { page: location.pathname.slice(root().length), params: new URLSearchParams(location.search) };
}

/** Return the relative address of a page. Parameters that are null, undefined or "" are left out; lists repeat. */
export function href(page, params = {}) {
  const found = params instanceof URLSearchParams ? params : toParams(params);
  const query = found.toString();
  return (page || "./") + (query ? `?${query}` : "");
}

function toParams(values) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null && one !== undefined && one !== "") params.append(name, String(one));
  return params;
}

/** Go to a page. `replace` changes the address without a new step of the back button, as while a slider moves. */
export function go(page, params = {}, { replace = false } = {}) {
  const to = href(page, params);
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  for (const listener of listeners) listener();
}

/** Change some parameters of this page; null removes one. */
export function change(values, options) {
  const { page, params } = current();
  for (const [name, value] of Object.entries(values)) {
    params.delete(name);
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null && one !== undefined && one !== "") params.append(name, String(one));
  }
  go(page, params, options);
}

/** Hook: the address, anew whenever it changes. */
export function useAddress() {
  const [address, set] = useState(current);
  useEffect(() => {
    const listener = () => set(current());
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return address;
}

addEventListener("popstate", () => { for (const listener of listeners) listener(); });

// Links between pages do not load the document again.
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href, location.href), base = root();
  if (to.origin !== location.origin || !to.pathname.startsWith(base)) return;
  const page = to.pathname.slice(base.length);
  if (page.includes("/")) return;
  if (to.hash && page === current().page && to.search === location.search) return;
  event.preventDefault();
  go(page, to.searchParams);
  scrollTo(0, 0);
});
