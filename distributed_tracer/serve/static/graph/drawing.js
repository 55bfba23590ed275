// The drawing as a component: the canvases, what points at them, and the tip beside the node that is pointed at.
import { html, useEffect, useRef, useState } from "../lib.js";
import { FEATURE } from "../graph_data.js";
import { cut, number } from "../text.js";
import { BELOW, LEFT } from "./camera.js";
import { listen } from "./pointer.js";
import { Scene } from "./scene.js";

const OF_PLOT = ["edges", "nodes", "focus"];

/** `holder.current` becomes the scene. `on` has select, pin, unfold and camera. */
export function Drawing({ graph, view, holder, on, children }) {
  const box = useRef(null), canvases = useRef({}), [tip, setTip] = useState(null), latest = useRef(on);
  latest.current = on;
  useEffect(() => {
    const scene = new Scene(canvases.current, graph, { onCamera: (place) => latest.current.camera(place) });
    holder.current = scene;
    const measure = () => scene.resize(box.current.clientWidth, box.current.clientHeight);
    measure();
    scene.show(view);
    const hover = (node, x, y) => {
      scene.point("hovered", node);
      setTip((before) => (node < 0 ? null : before?.node === node ? before : { node, x, y }));
    };
    const end = listen(box.current, scene, {
      select: (node) => latest.current.select(node), pin: (node) => latest.current.pin(node),
      unfold: (range) => latest.current.unfold(range), hover,
    });
    const watch = new ResizeObserver(measure), recolour = () => scene.repaint();
    watch.observe(box.current);
    addEventListener("theme", recolour);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", recolour);
    box.current.dataset.ready = "yes";
    return () => {
      end();
      watch.disconnect();
      removeEventListener("theme", recolour);
      scheme.removeEventListener("change", recolour);
      scene.close();
    };
  }, [graph]);
  useEffect(() => { holder.current?.show(view); }, [view]);
  const canvas = (name) => html`<canvas key=${name} class=${name} ref=${(made) => { canvases.current[name] = made; }} aria-hidden="true"></canvas>`;
  return html`<div class="drawing"><div class="surface" ref=${box} tabindex="0" role="application" aria-label="Attribution graph. Arrow keys walk from node to node, Enter selects; question mark lists all keys."
      aria-describedby="drawing-said">
    ${canvas("ground")}<div class="plot" style=${{ left: `${LEFT}px`, bottom: `${BELOW}px` }}>${OF_PLOT.map(canvas)}</div>
    <span id="drawing-said" class="unseen">${view.node && graph.nodeOf(view.node) >= 0 ? `Selected: ${graph.name(graph.nodeOf(view.node))}` : "No node is selected."}</span>
    ${tip && html`<${Tip} graph=${graph} box=${box} ...${tip} />`}
  </div>${children}</div>`;
}

function Tip({ graph, box, node, x, y }) {
  const left = Math.max(Math.min(x + 14, box.current.clientWidth - 320), LEFT), below = y < box.current.clientHeight - 130;
  const facts = [graph.kind[node] === FEATURE && `activation ${number(graph.activation[node])}`,
    graph.kind[node] < 3 && `influence ${number(graph.influence[node])}`].filter(Boolean);
  const style = { left: `${left}px`, ...(below ? { top: `${y + 14}px` } : { bottom: `${box.current.clientHeight - y + 10}px` }) };
  return html`<div class="tip" style=${style}><b>${cut(graph.name(node), 240)}</b>${facts.map((fact) => html`<br />${fact}`)}</div>`;
}
