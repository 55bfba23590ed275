// The diagram of a subgraph: boxes that are dragged, chosen and linked with the graph; it has a camera of its own.
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { number, percent } from "../text.js";
import { bounds, neighbour, shifted } from "./subgraph_scene.js";

const COLOURS = 6; // of groups, as in the graph
const CLICK = 4; // pixels that a pointer may move while it clicks
const [LEAST_SCALE, MOST_SCALE, LARGEST_FIT] = [0.1, 6, 1.25];

/** Return the camera { scale, x, y } that shows all of a scene in a window of this size. */
function fitting(scene, size) {
  const all = bounds(scene), scale = Math.min(size.width / all.width, size.height / all.height, LARGEST_FIT);
  return { scale, x: (size.width - all.width * scale) / 2 - all.x * scale, y: (size.height - all.height * scale) / 2 - all.y * scale };
}

/** What a screen reader says of a box: its name, place, and strongest edges. */
function said(scene, box, index) {
  const inputs = scene.edges.filter((edge) => edge.target === index).slice(0, 3);
  const from = inputs.map((edge) => `${scene.boxes[edge.source].unit.name} ${percent(edge.share)}`).join(", ");
  return `${box.kind === "group" ? "supernode " : ""}${box.unit.name}, ${box.place}${from ? `; from ${from}` : ""}`;
}

function Edge({ scene, edge, isFaint, hasShare }) {
  const sign = edge.share < 0 ? "negative" : "positive", [from, to] = [scene.boxes[edge.source].unit, scene.boxes[edge.target].unit];
  return html`<g class=${`sg-edge sg-${sign}${isFaint ? " sg-faint" : ""}`}>
    <title>${from.name} → ${to.name}: ${percent(edge.share)}, effect ${number(edge.weight)}${edge.count > 1 ? ` of ${edge.count} edges` : ""}</title>
    <path class="sg-line" d=${edge.line} stroke-width=${edge.width.toFixed(2)}
      stroke-dasharray=${edge.share < 0 ? `${(3 + edge.width).toFixed(1)} ${(2 + edge.width / 2).toFixed(1)}` : undefined} />
    <path class="sg-head" d=${edge.head} />
    ${hasShare && html`<text class="sg-share" x=${edge.middle.x.toFixed(1)} y=${edge.middle.y.toFixed(1)} dy="0.32em">${percent(edge.share)}</text>`}
  </g>`;
}

function Box({ box, marks, on }) {
  const { x, y, width, height, title, place, kind, dots, unit } = box;
  const round = kind === "token" || kind === "target" ? 3 : 9, left = x - width / 2, top = y - height / 2;
  const cls = `sg-box sg-kind-${kind}${unit.group >= 0 ? ` sg-colour-${unit.group % COLOURS}` : ""}${marks.isChosen ? " sg-chosen" : ""}${marks.isCurrent ? " sg-current" : ""}${marks.isHovered ? " sg-hovered" : ""}${marks.isFaint ? " sg-faint" : ""}`;
  return html`<g class=${cls} ...${on}>
    ${kind === "group" && html`<rect class="sg-behind" x=${left + 4} y=${top - 4} width=${width} height=${height} rx=${round} />`}
    <rect class="sg-frame" x=${left} y=${top} width=${width} height=${height} rx=${round} />
    ${title.map((line, k) => html`<text class="sg-title" x=${x} y=${top + 19 + 17 * k}>${line}</text>`)}
    <text class="sg-place" x=${x} y=${top + 16 + 17 * title.length}>${place}</text>
    ${Array.from({ length: dots }, (_, k) => html`
      <circle class=${`sg-dot${marks.node === unit.nodes[k] ? " sg-dot-current" : ""}`} data-node=${unit.nodes[k]} cx=${x + 10 * (k - (dots - 1) / 2)} cy=${top + height - 9} r="3.2" />`)}
  </g>`;
}

/**
 * The diagram. `chosen` and `focused` are ids of units; `choose(ids)` and `focus(id)` change them; `pick(unit, node)` is
 * a click, `hold(unit)` a click with g held; `move(places)` gets the new places of dragged boxes by id.
 */
export function Diagram({ graph, scene, chosen, current, hovered, focused, showsShares, camera, setCamera, isHolding, choose, focus, pick, hold, move, hover, place }) {
  const [size, setSize] = useState({ width: 480, height: 420 });
  const [drag, setDrag] = useState(null);
  const begun = useRef(null);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setSize({ width: contentRect.width || 1, height: contentRect.height || 1 }));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  const seen = camera ?? fitting(scene, size), all = bounds(scene);
  const now = useMemo(() => (drag?.ids ? shifted(scene, drag.ids, drag.dx, drag.dy) : scene), [scene, drag]);
  const toScene = (event) => {
    const { left, top } = place.current.getBoundingClientRect();
    return { x: (event.clientX - left - seen.x) / seen.scale, y: (event.clientY - top - seen.y) / seen.scale };
  };
  const indexOf = (event) => Number(event.target.closest?.("[data-box]")?.dataset.box ?? -1);

  useEffect(() => { // not passive: the page must not scroll while the diagram is zoomed
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey && !camera) return;
      event.preventDefault();
      if (!event.ctrlKey && !event.metaKey) setCamera({ ...seen, x: seen.x - event.deltaX, y: seen.y - event.deltaY });
      else setCamera(zoomed(seen, Math.exp(-event.deltaY / 300), event, place.current));
    };
    place.current.addEventListener("wheel", wheel, { passive: false });
    return () => place.current?.removeEventListener("wheel", wheel);
  });

  const down = (event) => {
    if (event.button > 1) return;
    const index = indexOf(event), id = index >= 0 ? scene.boxes[index].unit.id : null;
    const kind = event.button === 1 || event.altKey ? "pan" : id ? "boxes" : "band";
    begun.current = { kind, id, index, node: event.target.dataset.node, clientX: event.clientX, clientY: event.clientY, at: toScene(event), seen };
    place.current.setPointerCapture(event.pointerId);
  };
  const moved = (event) => {
    const start = begun.current;
    if (!start) {
      const node = event.target.dataset?.node, index = indexOf(event);
      if (index >= 0) hover(scene.boxes[index].unit, node === undefined ? -1 : Number(node));
      return;
    }
    const far = Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY);
    if (!drag && far < CLICK) return;
    const at = toScene(event), dx = at.x - start.at.x, dy = at.y - start.at.y;
    if (start.kind === "pan") {
      setCamera({ ...start.seen, x: start.seen.x + event.clientX - start.clientX, y: start.seen.y + event.clientY - start.clientY });
      setDrag({});
    } else if (start.kind === "boxes") setDrag({ ids: chosen.has(start.id) ? chosen : new Set([start.id]), dx, dy });
    else setDrag({ band: { x: Math.min(at.x, start.at.x), y: Math.min(at.y, start.at.y), width: Math.abs(dx), height: Math.abs(dy) } });
  };
  const up = (event) => {
    const start = begun.current;
    begun.current = null;
    setDrag(null);
    if (!start) return;
    if (drag?.ids) move(now.boxes.filter((box) => drag.ids.has(box.unit.id)).map((box) => [box.unit.id, { x: Math.round(box.x), y: Math.round(box.y) }]));
    else if (drag?.band) {
      const inside = scene.boxes.filter((box) => touches(box, drag.band)).map((box) => box.unit.id);
      choose(new Set(event.shiftKey ? [...chosen, ...inside] : inside));
    } else if (!drag && start.id) {
      const unit = scene.boxes[start.index].unit;
      focus(unit.id);
      if (isHolding()) hold(unit);
      else if (event.shiftKey || event.ctrlKey || event.metaKey) choose(toggled(chosen, unit.id));
      else pick(unit, start.node === undefined ? -1 : Number(start.node));
    } else if (!drag && !event.shiftKey) choose(new Set());
  };

  const lit = hovered.size ? hovered : chosen;
  const isFaint = (edge) => lit.size > 0 && !lit.has(scene.boxes[edge.source].unit.id) && !lit.has(scene.boxes[edge.target].unit.id);
  const touched = new Set(now.edges.filter((edge) => lit.size && !isFaint(edge)).flatMap((edge) => [edge.source, edge.target]));
  const tab = scene.boxes.some(({ unit }) => unit.id === focused) ? focused : scene.boxes[0]?.unit.id;
  return html`
    <svg ref=${place} class="sg-diagram" style=${{ aspectRatio: `${all.width.toFixed(0)} / ${all.height.toFixed(0)}` }} role="listbox" aria-multiselectable="true" aria-label="Subgraph: supernodes and pinned nodes"
      onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerCancel=${() => { begun.current = null; setDrag(null); }}
      onPointerLeave=${() => hover(null, -1)}
      onPointerOut=${(event) => { if (indexOf(event) >= 0 && !event.relatedTarget?.closest?.("[data-box]")) hover(null, -1); }}>
      <g role="presentation" transform=${`translate(${seen.x.toFixed(2)},${seen.y.toFixed(2)}) scale(${seen.scale.toFixed(4)})`}>
        <g aria-hidden="true">${now.edges.map((edge) => html`<${Edge} key=${`${edge.source}-${edge.target}`} scene=${now} edge=${edge}
          isFaint=${isFaint(edge)} hasShare=${showsShares || (lit.size > 0 && !isFaint(edge))} />`)}</g>
        ${now.boxes.map((box, index) => html`<${Box} key=${box.unit.id} box=${box}
          marks=${{ isChosen: chosen.has(box.unit.id), isCurrent: current >= 0 && box.unit.nodes.includes(current), node: current,
            isHovered: hovered.has(box.unit.id), isFaint: hovered.size > 0 && !hovered.has(box.unit.id) && !touched.has(index) }}
          on=${{
            role: "option", tabindex: box.unit.id === tab ? 0 : -1, "data-box": index, "data-id": box.unit.id,
            "aria-selected": chosen.has(box.unit.id) ? "true" : "false", "aria-label": said(now, box, index),
            onFocus: () => focus(box.unit.id),
          }} />`)}
        ${drag?.band && html`<rect class="sg-band" ...${drag.band} />`}
      </g>
    </svg>`;
}

/** Return the camera after a zoom about a point of the window, or about its middle. */
export function zoomed(seen, factor, event, element) {
  const { left, top, width, height } = element.getBoundingClientRect();
  const x = event ? event.clientX - left : width / 2, y = event ? event.clientY - top : height / 2;
  const scale = Math.min(Math.max(seen.scale * factor, LEAST_SCALE), MOST_SCALE);
  return { scale, x: x - (x - seen.x) * (scale / seen.scale), y: y - (y - seen.y) * (scale / seen.scale) };
}

/** Return the camera that shows all, for a window as large as an element. */
export function fittingIn(scene, element) {
  const { width, height } = element.getBoundingClientRect();
  return fitting(scene, { width, height });
}

/** Move the focus to the box that an arrow key leads to; returns its id, or null. */
export function focusNeighbour(scene, id, key, element) {
  const from = scene.boxes.findIndex(({ unit }) => unit.id === id);
  const to = from < 0 ? 0 : neighbour(scene, from, key);
  if (to < 0 || !scene.boxes[to]) return null;
  focusBox(scene.boxes[to].unit.id, element);
  return scene.boxes[to].unit.id;
}

/** Move the focus to a box. */
export function focusBox(id, element) {
  [...element.querySelectorAll("[data-id]")].find((box) => box.dataset.id === id)?.focus();
}

export function toggled(chosen, id) {
  const found = new Set(chosen);
  if (!found.delete(id)) found.add(id);
  return found;
}

const touches = (box, band) => box.x + box.width / 2 >= band.x && box.x - box.width / 2 <= band.x + band.width &&
  box.y + box.height / 2 >= band.y && box.y - box.height / 2 <= band.y + band.height;
