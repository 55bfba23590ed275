// Lists of connections: inputs and outputs of a node, or direct effects on a target, the largest share first.
import { html, useEffect, useState } from "../lib.js";
import { cut, number, percent } from "../text.js";

const FIRST = 10, MORE = 100;

/** Return an arrow and the other position, where a node is not at the position that is looked from. */
function Elsewhere({ graph, node, from }) {
  const to = graph.position[node];
  if (from === null || to === from) return null;
  return html`<span class="elsewhere" title=${`at position ${to}`}>${to < from ? "←" : "→"} ${to} ${cut(graph.token(to), 10)}</span>`;
}

/** One node as a button. `share` is drawn as a bar; `from` is the position that is looked from, or null. */
export function NodeRow({ graph, node, share = null, value = null, from = null, isHidden = false, select, hover }) {
  const key = graph.keyOf(node), label = graph.labelText(node), sign = share > 0 ? "positive" : "negative";
  return html`<li><button type="button" class="row" onClick=${() => select(key)} onMouseEnter=${() => hover(key)}
      onMouseLeave=${() => hover(null)} onFocus=${() => hover(key)} onBlur=${() => hover(null)}>
    <span class="what"><span class=${`mark kind-${graph.kind[node]}`} aria-hidden="true"></span>
      <b>${cut(graph.shortName(node), 24)}</b>${" "}${label ? cut(label, 60) : ""}${isHidden ? html` <i>not shown</i>` : ""}</span>
    <${Elsewhere} graph=${graph} node=${node} from=${from} />
    ${value === null ? "" : html`<span class="share faint" title="influence">${number(value)}</span>`}
    ${share === null ? "" : html`<span class=${`share ${sign}`}>${percent(share)}</span>
      <span class=${`bar ${sign}`} style=${{ width: `${Math.min(100, 100 * Math.abs(share))}%` }} aria-hidden="true"></span>`}
  </button></li>`;
}

/** A titled list of { node, share }, which shows more on demand. */
export function Connections({ title, entries, subject, ...props }) {
  const [most, setMost] = useState(FIRST);
  useEffect(() => setMost(FIRST), [subject]);
  if (!entries.length) return null;
  return html`<section class="connections">
    <h3>${title} <span class="count">${entries.length.toLocaleString("en")}</span></h3>
    <ul class="rows">${entries.slice(0, most).map(({ node, share }) => html`
      <${NodeRow} key=${node} ...${props} node=${node} share=${share} isHidden=${props.shown ? !props.shown[node] : false} />`)}</ul>
    ${entries.length > most && html`<button type="button" class="more" onClick=${() => setMost(most + MORE)}>
      Show more <span class="count">${(entries.length - most).toLocaleString("en")}</span></button>`}
  </section>`;
}

/** Return the entries of edges of one sign, the largest first. `ends` is the array of the other ends. */
export function entriesOf(graph, edges, ends, sign) {
  const found = [];
  for (const edge of edges) {
    const share = graph.share(edge);
    if (share * sign > 0) found.push({ node: ends[edge], share });
  }
  return found.sort((one, other) => sign * (other.share - one.share) || one.node - other.node);
}
