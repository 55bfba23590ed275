// The name under which this browser's user writes: the one that was given last, or the server's.

export function authorOf(store) {
  try { return localStorage.getItem("author") ?? store.author ?? ""; } catch { return store.author ?? ""; }
}

export function keepAuthor(name) {
  try { localStorage.setItem("author", name); } catch { /* asked again next time, then */ }
}
