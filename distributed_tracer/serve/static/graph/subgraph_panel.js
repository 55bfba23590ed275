// The panel of the subgraph: pinned nodes and supernodes as a diagram, what is done with them, and saving.
import { change, useAddress } from "../address.js";
import { download } from "../download.js";
import { useKeys } from "../keys.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { say } from "../say.js";
import { counted, cut } from "../text.js";
import { perform } from "../undo.js";
import { Diagram, fittingIn, focusBox, focusNeighbour, toggled, zoomed } from "./subgraph_diagram.js";
import { AsList, Chosen } from "./subgraph_list.js";
import { png, svgText } from "./subgraph_picture.js";
import { SavingBar, savedPlaces, useSaving } from "./subgraph_saving.js";
import { sceneOf } from "./subgraph_scene.js";
import { Scores } from "./subgraph_scores.js";
import { Suggestions } from "./subgraph_suggestions.js";
import { grouped, mergedEdges, renamed, takingPart, ungrouped, unitsOf, unpinned, withMembers, withoutMember } from "./subgraph_units.js";

const LEAST_SHARE = 0.02, MOST_EDGES = 400, TAKES_PART = 0.05;
const NO_PLACES = "none"; // in the address: boxes are where the layout puts them, whatever is saved
const STEP = 10; // units of the diagram that a key moves a box

/** Return the places in the address, `KEY@x,y`, by the key of a unit. */
function placesOf(texts) {
  const found = new Map();
  for (const text of texts) {
    const match = /^([a-z]+:-?\d+:-?\d+:-?\d+)@(-?\d{1,6}),(-?\d{1,6})$/.exec(text);
    if (match) found.set(match[1], { x: Number(match[2]), y: Number(match[3]) });
  }
  return found;
}

/** Change parameters of the address as a command that can be undone. */
function changed(label, before, after, merge = null) {
  perform({ label, merge, run: () => change(after), revert: () => change(before) });
}

export default function SubgraphPanel({ graph, view, act, store, select, hover, scene: drawing }) {
  const { params } = useAddress();
  const panel = useRef(null), svg = useRef(null), pointer = useRef(false), held = useRef(null), pointed = useRef(null);
  const [chosen, setChosen] = useState(new Set());
  const [focused, focus] = useState(null);
  // Keys may follow one another before the panel is drawn again: they read what is chosen and focused as it is now.
  const latest = useRef(chosen);
  const choose = (some) => setChosen((latest.current = some));
  const onBox = () => (svg.current?.contains(document.activeElement) ? document.activeElement.dataset.id ?? null : null);
  const [camera, setCamera] = useState(null);
  const [over, setOver] = useState(null); // the box under the pointer
  const [hovered, setHovered] = useState(-1); // the node under the pointer in the drawing of the graph
  const [isRenaming, setRenaming] = useState(false);
  // Where boxes were moved to: what the address says, or else what is saved.
  const texts = params.getAll("sg"), own = texts.length ? placesOf(texts) : null;
  const saving = useSaving({ graph, view, act, places: own,
    forgetPlaces: () => changed("go back to the saved places", { sg: texts }, { sg: null }) });
  const places = own ?? savedPlaces(saving.saved), placesText = JSON.stringify([...places]);

  const least = Math.min(Math.max(Number(params.get("sgleast") ?? LEAST_SHARE) || 0, 0), 1);
  const showsShares = params.get("sgshares") === "1";
  const units = useMemo(() => unitsOf(graph, view.groups, view.pins), [graph, view.groups, view.pins]);
  const merged = useMemo(() => mergedEdges(graph, units), [graph, units]);
  const strong = useMemo(() => merged.filter(({ share }) => Math.abs(share) >= least && share !== 0).slice(0, MOST_EDGES), [merged, least]);
  const scene = useMemo(() => sceneOf(graph, units, strong, places), [graph, units, strong, placesText]);
  const keys = useMemo(() => units.flatMap(({ nodes }) => nodes.map((node) => graph.keyOf(node))), [graph, units]);
  const chosenUnits = units.filter(({ id }) => chosen.has(id));
  const lit = useMemo(() => new Set(over ? [over] : units.filter(({ nodes }) => nodes.includes(hovered)).map(({ id }) => id)), [over, hovered, units]);

  // Commands on units. What they change is chosen by id, which a unit keeps as long as its first member stays.
  const nameOf = (some) => (some.length === 1 ? cut(some[0].name, 60) : counted(some.length, "box").replace("boxs", "boxes"));
  const act2 = (label, changes, after) => { act(label, changes); choose(new Set(after)); say(label); };
  const commands = {
    group(some) {
      if (some.length < 2 && !(some.length === 1 && some[0].group < 0)) return false;
      const changes = grouped(graph, view, some), into = some.find(({ group }) => group >= 0);
      const made = unitsOf(graph, changes.groups, changes.pins).find(({ nodes, group }) => group >= 0 && some.every((one) => one.nodes.every((node) => nodes.includes(node))));
      act2(into ? `add to the supernode ${cut(into.name, 60)}` : `group ${nameOf(some)}`, changes, made ? [made.id] : []);
      if (!into) setRenaming(true);
      return true;
    },
    ungroup(some) {
      const groups = some.filter(({ group }) => group >= 0);
      if (!groups.length) return false;
      act2(`ungroup ${nameOf(groups)}`, ungrouped(view, groups), groups.flatMap(({ nodes }) => nodes.map((node) => graph.keyOf(node))));
      return true;
    },
    unpin(some) {
      if (!some.length) return false;
      act2(`unpin ${nameOf(some)}`, unpinned(view, some), []);
      return true;
    },
    rename: (unit, name) => act(`rename the supernode ${cut(unit.name, 60)}`, renamed(view, unit.group, name)),
    add: (unit, more) => act(`add to the supernode ${cut(unit.name, 60)}`, withMembers(view, unit.group, more)),
    remove: (unit, key) => act(`remove from the supernode ${cut(unit.name, 60)}`, withoutMember(view, unit.group, key)),
    move(moved) {
      const after = new Map([...places, ...moved]);
      const written = (all) => ({ sg: [...all].filter(([id]) => graph.nodeOf(id) >= 0).map(([id, { x, y }]) => `${id}@${x},${y}`) });
      changed(`move ${moved.length === 1 ? "a box" : `${moved.length} boxes`}`, { sg: texts }, written(after), `sg ${moved.map(([id]) => id).join()}`);
    },
    takePart() {
      const more = takingPart(graph, view.groups, view.pins, TAKES_PART);
      if (more.length) act(`pin ${more.length} tokens and targets`, { pins: [...view.pins, ...more] });
      else say("no other token or target takes part");
    },
  };
  const rename = () => {
    const some = subjects(), unit = some.length === 1 ? some[0] : units.find(({ id }) => id === onBox());
    if (!unit || unit.group < 0) return false;
    choose(new Set([unit.id]));
    setRenaming(true);
    return true;
  };

  // Keys count while the focus or the pointer is in the panel; elsewhere they are the graph's.
  const isHere = () => pointer.current || Boolean(panel.current?.contains(document.activeElement));
  const subjects = () => {
    const some = units.filter(({ id }) => latest.current.has(id));
    return some.length ? some : units.filter(({ id }) => id === onBox());
  };
  const here = (run) => (event) => (isHere() && units.length ? run(event) !== false : false);
  const inDiagram = (run) => here((event) => (svg.current?.contains(document.activeElement) ? run(event) : false));
  const nudge = (event) => {
    const ids = new Set(subjects().map(({ id }) => id));
    const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    commands.move(scene.boxes.filter(({ unit }) => ids.has(unit.id)).map(({ unit, x, y }) => [unit.id, { x: Math.round(x + dx), y: Math.round(y + dy) }]));
  };
  useKeys("subgraph", [
    { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], label: "to the next box", run: inDiagram((event) => { focusNeighbour(scene, onBox(), event.key, svg.current); }) },
    { keys: ["shift+ArrowLeft", "shift+ArrowRight", "shift+ArrowUp", "shift+ArrowDown"], label: "move the chosen boxes", run: inDiagram(nudge) },
    { keys: [" "], label: "choose the box, or not", run: inDiagram(() => choose(toggled(latest.current, onBox()))) },
    { keys: ["Enter"], label: "show the box in the graph", run: inDiagram(() => { const unit = units.find(({ id }) => id === onBox()); if (unit) pick(unit, -1); }) },
    { keys: ["ctrl+a"], label: "choose all boxes", run: inDiagram(() => choose(new Set(units.map(({ id }) => id)))) },
    { keys: ["Escape"], label: "choose nothing", run: here(() => (latest.current.size ? choose(new Set()) : false)) },
    { keys: ["g"], label: "group what is chosen; hold it and click to choose", run: here(() => { held.current ??= []; }) },
    { keys: ["u"], label: "ungroup", run: here(() => commands.ungroup(subjects())) },
    { keys: ["F2"], label: "rename the supernode", run: here(rename) },
    { keys: ["Delete", "Backspace"], label: "unpin", run: here(() => commands.unpin(subjects())) },
    { keys: ["+", "="], label: "larger", run: here(() => zoom(1.25)) },
    { keys: ["-"], label: "smaller", run: here(() => zoom(0.8)) },
    { keys: ["0"], label: "show all of the subgraph", run: here(() => setCamera(null)) },
  ]);
  const released = useRef(null);
  released.current = (event) => {
    if (event.type === "keyup" && event.key !== "g") return;
    const clicked = held.current;
    held.current = null;
    if (clicked && event.type === "keyup") commands.group(clicked.length ? units.filter(({ id }) => clicked.includes(id)) : subjects());
  };
  useEffect(() => {
    const listener = (event) => released.current(event);
    addEventListener("keyup", listener);
    addEventListener("blur", listener);
    return () => { removeEventListener("keyup", listener); removeEventListener("blur", listener); };
  }, []);

  useEffect(() => { // the scene may come after the panel
    const linked = drawing?.current;
    if (!linked) return undefined;
    linked.onHover = setHovered;
    return () => { linked.onHover = null; };
  });

  const zoom = (factor) => setCamera(zoomed(camera ?? fittingIn(scene, svg.current), factor, null, svg.current));
  const pick = (unit, node) => {
    choose(new Set([unit.id]));
    if (node >= 0 || unit.group < 0) select(graph.keyOf(node >= 0 ? node : unit.nodes[0]));
  };
  const hold = (unit) => {
    held.current = toggledList(held.current ?? [], unit.id);
    choose(new Set(held.current));
  };
  const point = (unit, node) => {
    const id = unit?.id ?? null;
    if (id !== over) setOver(id);
    const key = unit ? graph.keyOf(node >= 0 ? node : unit.nodes[0]) : null;
    if (key !== pointed.current) hover((pointed.current = key));
  };
  const file = `subgraph-${String(graph.values.prompt).replace(/[^\w.-]+/g, "_").slice(0, 60)}`;
  const saveSvg = () => download(new Blob([svgText(svg.current, scene)], { type: "image/svg+xml" }), `${file}.svg`);
  const savePng = async () => download(await png(svgText(svg.current, scene)), `${file}.png`);
  const renaming = { isWanted: isRenaming, done: () => setRenaming(false), leave: () => focusBox([...latest.current][0] ?? focused, svg.current) };

  return html`
    <div ref=${panel} class="sg" onPointerEnter=${() => { pointer.current = true; }} onPointerLeave=${() => { pointer.current = false; }}>
      ${!units.length && html`<p class="faint">Nothing is pinned. Pin nodes in the graph to see them here with the edges between them, or let supernodes be suggested.</p>`}
      ${units.length > 0 && html`
        <div class="sg-row" role="toolbar" aria-label="Subgraph">
          <button type="button" disabled=${chosenUnits.length < 2} title="g" onClick=${() => commands.group(chosenUnits)}>Group</button>
          <button type="button" disabled=${!chosenUnits.some(({ group }) => group >= 0)} title="u" onClick=${() => commands.ungroup(chosenUnits)}>Ungroup</button>
          <button type="button" disabled=${!(chosenUnits.length === 1 && chosenUnits[0].group >= 0)} title="F2" onClick=${rename}>Rename</button>
          <button type="button" disabled=${!chosenUnits.length} title="Delete" onClick=${() => commands.unpin(chosenUnits)}>Unpin</button>
          <button type="button" title="pin the tokens and targets with a share of at least 5% in what is shown" onClick=${commands.takePart}>Add tokens and targets</button>
          <span class="sg-gap"></span>
          <button type="button" aria-label="Larger" title="+" onClick=${() => zoom(1.25)}>+</button>
          <button type="button" aria-label="Smaller" title="-" onClick=${() => zoom(0.8)}>−</button>
          <button type="button" disabled=${!camera} title="0" onClick=${() => setCamera(null)}>Fit</button>
          <button type="button" disabled=${!places.size} onClick=${() => changed("lay out again", { sg: texts }, { sg: saving.saved && savedPlaces(saving.saved).size ? NO_PLACES : null })}>Lay out again</button>
          <button type="button" onClick=${() => (document.fullscreenElement ? document.exitFullscreen() : panel.current.requestFullscreen())}>Full screen</button>
        </div>
        <${Diagram} graph=${graph} scene=${scene} chosen=${chosen} current=${view.node ? graph.nodeOf(view.node) : -1} hovered=${lit}
          focused=${focused} showsShares=${showsShares} camera=${camera} setCamera=${setCamera} isHolding=${() => held.current !== null}
          choose=${choose} focus=${focus} pick=${pick} hold=${hold} move=${commands.move} hover=${point} place=${svg} />
        <div class="sg-row sg-shown">
          <label>Edges from a share of <input type="range" min="0" max="0.3" step="0.005" value=${least} aria-valuetext=${`${(100 * least).toFixed(1)}%`}
            onInput=${(event) => changed("choose the least share of edges", { sgleast: params.get("sgleast") }, { sgleast: event.target.value }, "sgleast")} /> ${(100 * least).toFixed(1)}%</label>
          <span class="faint">${strong.length} of ${counted(merged.length, "edge")}</span>
          <label><input type="checkbox" checked=${showsShares} onChange=${(event) => changed("show shares", { sgshares: params.get("sgshares") }, { sgshares: event.target.checked ? "1" : null })} /> shares</label>
          <span class="sg-gap"></span>
          <button type="button" onClick=${saveSvg}>SVG</button>
          <button type="button" onClick=${savePng}>PNG</button>
        </div>
        <p class="faint sg-help">Shift-click or draw a rectangle to choose several boxes; drag to move them; Ctrl and wheel to zoom; Alt and drag to pan.</p>
        <${Chosen} graph=${graph} view=${view} units=${chosenUnits} renaming=${renaming} commands=${commands} select=${select} hover=${hover} />`}
      <${SavingBar} saving=${saving} store=${store} />
      <${Scores} graph=${graph} keys=${keys} />
      <${Suggestions} graph=${graph} view=${view} act=${act} store=${store} pinned=${keys} />
      ${units.length > 0 && html`<${AsList} scene=${scene} choose=${choose} />`}
    </div>`;
}

function toggledList(list, id) {
  return list.includes(id) ? list.filter((one) => one !== id) : [...list, id];
}
