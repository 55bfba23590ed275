// The node panel: facts, labels and connections of the selected node; without one, what stands out in the graph.
import { href } from "../address.js";
import { ERROR, FEATURE, KINDS, TARGET, TOKEN } from "../graph_data.js";
import { html, useMemo } from "../lib.js";
import { FeaturePanel } from "../parts/feature_panel.js";
import { cut, number, percent, visible } from "../text.js";
import { Connections, NodeRow, entriesOf } from "./connections.js";
import { effectsOf, strongestEffects } from "./effects.js";
import { toggled } from "./commands.js";
import { chooseNodes } from "./shown.js";

export default function NodePanel(props) {
  const { graph, view } = props, node = view.node ? graph.nodeOf(view.node) : -1;
  const shown = useMemo(() => chooseNodes(graph, view).shown, [graph, view]);
  return html`<div class="node-panel">
    ${node < 0 ? html`<${Nothing} ...${props} shown=${shown} />` : html`<${Selected} ...${props} node=${node} shown=${shown} />`}
    <${Effects} ...${props} shown=${shown} />
    <${Kept} ...${props} shown=${shown} />
  </div>`;
}

function Nothing({ graph, shown, select, hover }) {
  const top = Array.from(graph.inner.subarray(0, 100)).filter((node) => graph.kind[node] === FEATURE);
  return html`<section>
    <h2>No node is selected</h2>
    <p class="faint">Click a node, or press an arrow key and then Enter. <kbd>?</kbd> lists all keys.</p>
    <h3>Most influential features</h3>
    <ul class="rows">${top.slice(0, 12).map((node) => html`
      <${NodeRow} key=${node} graph=${graph} node=${node} value=${graph.influence[node]} isHidden=${!shown[node]} select=${select} hover=${hover} />`)}</ul>
  </section>`;
}

function factsOf(graph, node, effects) {
  const kind = graph.kind[node], { position } = graph, facts = [];
  if (kind !== TARGET) facts.push(["token", `${graph.token(position[node])} at ${position[node]}`]);
  if (kind <= ERROR) facts.push(["layer", number(graph.layer[node])]);
  if (kind === TARGET) facts.push(["weight", number(graph.targets[graph.feature[node]].weight)]);
  if (kind === FEATURE) facts.push(["activation", number(graph.activation[node])]);
  if (kind !== TARGET) facts.push(["influence", number(graph.influence[node])]);
  if (kind <= ERROR) facts.push(["rank", `${(graph.rank[node] + 1).toLocaleString("en")} of ${graph.inner.length.toLocaleString("en")}`]);
  if (kind === FEATURE) facts.push(["density", densityOf(graph.density[node])]);
  if (effects && kind !== TARGET) facts.push([`on ${effects.title}`, percent(effects.share[node])]);
  return facts;
}

const densityOf = (density) =>
  Number.isFinite(density) ? `in ${Number((100 * density).toPrecision(3))}% of the store's prompts` : "unknown";

function Selected({ graph, view, act, store, shown, node, select, hover }) {
  const key = graph.keyOf(node), kind = graph.kind[node], effects = useMemo(() => effectsOf(graph, view), [view.targetA, view.targetB]);
  const isPinned = view.pins.includes(key), isHidden = view.hidden.includes(key);
  const lists = useMemo(() => [
    ["Raised by", entriesOf(graph, graph.inputs(node), graph.source, 1)],
    ["Lowered by", entriesOf(graph, graph.inputs(node), graph.source, -1)],
    ["Raises", entriesOf(graph, graph.outputs(node), graph.target, 1)],
    ["Lowers", entriesOf(graph, graph.outputs(node), graph.target, -1)],
  ], [graph, node]);
  const groups = view.groups.filter(({ members }) => members.includes(key));
  return html`<section>
    <h2><span class=${`mark kind-${kind}`} aria-hidden="true"></span> ${kind === FEATURE ? "Feature" : kind === ERROR ? "" : `${KINDS[kind][0].toUpperCase()}${KINDS[kind].slice(1)}`}
      ${" "}${cut(kind === ERROR ? `Error of layer ${graph.layer[node]}` : graph.shortName(node), 100)}</h2>
    ${graph.labelText(node) && html`<p class="hostile">${graph.labelText(node)}</p>`}
    <dl class="pairs">${factsOf(graph, node, effects).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
      ${groups.length > 0 && html`<dt>groups</dt><dd>${groups.map(({ name }) => visible(name)).join(", ")}</dd>`}</dl>
    <p class="commands">
      <button type="button" aria-pressed=${isPinned} onClick=${() => act(isPinned ? "unpin" : "pin", { pins: toggled(view.pins, key) })}>${isPinned ? "Unpin" : "Pin"} <kbd>p</kbd></button>
      ${kind <= ERROR && html`<button type="button" aria-pressed=${isHidden} onClick=${() => act(isHidden ? "show node" : "hide node",
        { hidden: toggled(view.hidden, key), ...(isHidden ? {} : { node: null }) })}>${isHidden ? "Show" : "Hide"} <kbd>h</kbd></button>`}
      ${kind === FEATURE && html`<a href=${href("feature", { layer: graph.layer[node], feature: graph.feature[node] })}>Other prompts with this feature</a>`}
    </p>
    ${kind === TOKEN || lists.some(([, entries]) => entries.length) ? "" : html`<p class="faint">The graph has no edges at this node.</p>`}
    ${lists.map(([title, entries]) => html`<${Connections} key=${title} title=${title} entries=${entries} subject=${key} graph=${graph}
      from=${graph.position[node]} shown=${shown} select=${select} hover=${hover} />`)}
    ${kind === FEATURE && html`<section class="feature"><h2>Feature ${graph.shortName(node)} in all prompts</h2>
      <${FeaturePanel} key=${key} layer=${graph.layer[node]} feature=${graph.feature[node]} store=${store} isShort /></section>`}
  </section>`;
}

/** What acts directly on the chosen targets. */
function Effects({ graph, view, shown, select, hover }) {
  const effects = useMemo(() => effectsOf(graph, view), [graph, view.targetA, view.targetB]);
  const lists = useMemo(() => effects && [1, -1].map((sign) =>
    strongestEffects(effects, sign).map((node) => ({ node, share: effects.share[node] }))), [effects]);
  if (!effects) return null;
  return html`<section class="effects"><h2>Direct effects on ${effects.title}</h2>
    ${lists.map((entries, place) => html`<${Connections} title=${place ? "Lower it" : "Raise it"} entries=${entries} subject=${effects.title}
      graph=${graph} shown=${shown} select=${select} hover=${hover} />`)}</section>`;
}

/** Pins, groups and hidden nodes: what a reader or the store says about this graph. */
function Kept({ graph, view, act, shown, select, hover }) {
  const rows = (keys) => keys.map((key) => graph.nodeOf(key)).filter((node) => node >= 0).map((node) => html`
    <${NodeRow} key=${node} graph=${graph} node=${node} isHidden=${!shown[node]} select=${select} hover=${hover} />`);
  return html`
    ${view.pins.length > 0 && html`<section class="pins"><h2>Pinned <span class="count">${view.pins.length}</span></h2><ul class="rows">${rows(view.pins)}</ul></section>`}
    ${view.groups.length > 0 && html`<section class="groups"><h2>Groups <span class="count">${view.groups.length}</span></h2>
      ${view.groups.map(({ name, members }, place) => html`<details><summary><span class=${`mark group-${place % 6}`} aria-hidden="true"></span>
        ${" "}${visible(name)} <span class="count">${members.length}</span></summary><ul class="rows">${rows(members)}</ul></details>`)}</section>`}
    ${view.hidden.length > 0 && html`<section class="hidden"><h2>Hidden <span class="count">${view.hidden.length}</span></h2><ul class="rows">${rows(view.hidden)}</ul>
      <button type="button" onClick=${() => act("show hidden nodes", { hidden: [] })}>Show them again</button></section>`}`;
}
