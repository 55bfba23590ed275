// The subgraph in words: what is chosen with its members, and all units with their edges as a list.
import { html, useEffect, useRef } from "../lib.js";
import { counted, cut, percent, visible } from "../text.js";
import { nodeTitle } from "./subgraph_units.js";

const MOST_EDGES = 12;

/** What is chosen: the name and the members of a supernode, or what can be done with several units. */
export function Chosen({ graph, view, units, renaming, commands, select, hover }) {
  if (units.length !== 1 || units[0].group < 0) return null;
  const [unit] = units, { name, members } = view.groups[unit.group];
  const isNew = view.node && graph.nodeOf(view.node) >= 0 && !members.includes(view.node);
  return html`<section class="sg-chosen-unit" aria-label="Chosen supernode">
    <div class="sg-row">
      <${Name} key=${unit.id} name=${name} renaming=${renaming} rename=${(text) => commands.rename(unit, text)} />
      ${isNew && html`<button type="button" onClick=${() => commands.add(unit, [view.node])}>Add ${cut(nodeTitle(graph, graph.nodeOf(view.node)), 30)}</button>`}
    </div>
    <ul class="sg-list">${members.map((key) => {
      const node = graph.nodeOf(key), text = node < 0 ? `${visible(key)}, not in this graph` : graph.name(node);
      return html`<li key=${key} onPointerEnter=${() => hover(node < 0 ? null : key)} onPointerLeave=${() => hover(null)}>
        ${node < 0 ? html`<span class="sg-what faint">${text}</span>`
          : html`<button type="button" class="sg-what sg-link" aria-current=${view.node === key ? "true" : undefined} onClick=${() => select(key)}>${text}</button>`}
        <button type="button" aria-label=${`Remove ${text} from the supernode`} onClick=${() => commands.remove(unit, key)}>Remove</button></li>`;
    })}</ul>
  </section>`;
}

function Name({ name, rename, renaming }) {
  const input = useRef(null);
  useEffect(() => {
    if (!renaming.isWanted) return;
    renaming.done();
    input.current.focus();
    input.current.select();
  }, [renaming.isWanted]);
  const commit = () => {
    const text = input.current.value;
    if (text !== name) rename(text);
  };
  const key = (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") input.current.value = name;
    renaming.leave();
  };
  return html`<label class="sg-name">Name <input ref=${input} value=${name} maxlength="1000" onBlur=${commit} onKeyDown=${key} /></label>`;
}

/** All units with the edges into them, for readers who do not see the diagram. */
export function AsList({ scene, choose }) {
  return html`<details class="sg-words"><summary>The subgraph as a list</summary>
    <p class="faint">${counted(scene.boxes.length, "box").replace("boxs", "boxes")}, ${counted(scene.edges.length, "edge")}. Shares are of each box's input from outside.</p>
    <ul>${scene.boxes.map((box, index) => {
      const into = scene.edges.filter((edge) => edge.target === index);
      return html`<li key=${box.unit.id}><button type="button" class="sg-link" onClick=${() => choose(new Set([box.unit.id]))}>${box.unit.name}</button>, ${box.place}
        ${into.length === 0 ? html`<span class="faint">: nothing shown here feeds it</span>` : html`<ul>${into.slice(0, MOST_EDGES).map((edge) => html`
          <li>from ${scene.boxes[edge.source].unit.name}: <span class=${edge.share < 0 ? "negative" : "positive"}>${percent(edge.share)}</span></li>`)}
          ${into.length > MOST_EDGES && html`<li class="faint">and ${into.length - MOST_EDGES} weaker ones</li>`}</ul>`}</li>`;
    })}</ul></details>`;
}
