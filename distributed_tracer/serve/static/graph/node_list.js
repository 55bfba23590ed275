// The nodes of the drawing as a table, for those who do not see the drawing and for those who want to read it.
import { html, useMemo, useState } from "../lib.js";
import { ERROR, KINDS } from "../graph_data.js";
import { cut, number } from "../text.js";
import { chooseNodes } from "./shown.js";

const MORE = 200;

export function NodeList({ graph, view, select }) {
  const [isOpen, setOpen] = useState(false), [most, setMost] = useState(MORE);
  const nodes = useMemo(() => (isOpen ? listed(graph, view) : []), [graph, view, isOpen]);
  return html`<details class="node-list" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>Nodes of the drawing as a table</summary>
    ${isOpen && html`<div class="scrolled" tabindex="0" role="region" aria-label="Nodes shown"><table>
      <thead><tr><th>Node</th><th>Kind</th><th class="number">Layer</th><th>Token</th><th class="number">Activation</th><th class="number">Influence</th><th>Labels</th></tr></thead>
      <tbody>${nodes.slice(0, most).map((node) => html`<tr key=${node} aria-selected=${graph.keyOf(node) === view.node}>
        <th scope="row"><button type="button" class="link" onClick=${() => select(graph.keyOf(node))}>${cut(graph.shortName(node), 40)}</button></th>
        <td>${KINDS[graph.kind[node]]}</td><td class="number">${graph.kind[node] <= ERROR ? graph.layer[node] : ""}</td>
        <td>${graph.position[node]} ${cut(graph.token(graph.position[node]), 20)}</td>
        <td class="number">${graph.kind[node] === 0 ? number(graph.activation[node]) : ""}</td>
        <td class="number">${graph.kind[node] === 3 ? "" : number(graph.influence[node])}</td><td>${cut(graph.labelText(node), 100)}</td></tr>`)}</tbody></table>
      ${nodes.length > most && html`<button type="button" onClick=${() => setMost(most + MORE)}>Show more <span class="count">${(nodes.length - most).toLocaleString("en")}</span></button>`}</div>`}
  </details>`;
}

/** Return the shown nodes: targets, features and errors by influence, tokens. */
function listed(graph, view) {
  const { shown } = chooseNodes(graph, view), all = [...graph.kind.keys()].filter((node) => shown[node]);
  const place = (node) => (graph.kind[node] === 3 ? -1 : graph.kind[node] <= ERROR ? graph.rank[node] : graph.count + graph.position[node]);
  return all.sort((one, other) => place(one) - place(other) || one - other);
}
