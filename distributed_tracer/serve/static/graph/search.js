// Search: nodes by name, token, label or group, the most influential first.
import { html, useMemo, useRef, useState } from "../lib.js";
import { useKeys } from "../keys.js";
import { visible } from "../text.js";
import { NodeRow } from "./connections.js";

const LISTED = 30;

/** Return for each node the text that is searched, in lower case. */
function textsOf(graph, groups) {
  const ofGroups = new Map();
  for (const { name, members } of groups)
    for (const key of members) ofGroups.set(key, `${ofGroups.get(key) ?? ""} ${visible(name)}`);
  return Array.from(graph.kind, (_, node) => `${graph.name(node)} ${ofGroups.get(graph.keyOf(node)) ?? ""}`.toLowerCase());
}

/** Return nodes whose text has all words, targets and tokens after features and errors by influence. */
export function searched(graph, texts, wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const others = [...graph.kind.keys()].filter((node) => graph.rank[node] < 0);
  return [...graph.inner, ...others].filter((node) => words.every((word) => texts[node].includes(word)));
}

export function Search({ graph, view, select, hover }) {
  const [wanted, setWanted] = useState(""), input = useRef(null);
  const isWanted = wanted.trim() !== "";
  const texts = useMemo(() => (isWanted ? textsOf(graph, view.groups) : []), [graph, view.groups, isWanted]);
  const found = useMemo(() => searched(graph, texts, wanted), [texts, wanted]);
  useKeys("graph", [{ keys: ["/"], label: "search", run: () => { input.current.focus(); input.current.select(); } }]);
  const choose = (key) => { setWanted(""); select(key); };
  const pressed = (event) => {
    if (event.key === "Enter" && found.length) choose(graph.keyOf(found[0]));
    if (event.key !== "Escape" && event.key !== "Enter") return;
    setWanted("");
    input.current.blur();
    event.stopPropagation();
  };
  return html`<search class="search"><input ref=${input} type="search" aria-label="Search nodes" placeholder="Search nodes /" autocomplete="off"
      spellcheck=${false} value=${wanted} onInput=${(event) => setWanted(event.target.value)} onKeyDown=${pressed} />
    ${isWanted && html`<div class="found"><p class="faint" role="status">${found.length ? `${found.length.toLocaleString("en")} found` : "no node"}</p>
      <ul class="rows">${found.slice(0, LISTED).map((node) => html`<${NodeRow} key=${node} graph=${graph} node=${node}
        value=${graph.rank[node] < 0 ? null : graph.influence[node]} from=${-1} select=${choose} hover=${hover} />`)}</ul></div>`}
  </search>`;
}
