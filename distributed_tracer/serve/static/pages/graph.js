// The graph page: one prompt's graph, drawn, with panels about what is selected in it.
import { go } from "../address.js";
import { get, getArrays } from "../api.js";
import { usePolled } from "../corpus/poll.js";
import { viewOf, way } from "../corpus/view.js";
import { isSamePlace } from "../graph/camera.js";
import { GraphData } from "../graph_data.js";
import { useGraphKeys } from "../graph/graph_keys.js";
import { toggled, useView } from "../graph/commands.js";
import { ColourChoice, CommunityLegend, looksOf, useCommunities } from "../graph/communities.js";
import { Controls } from "../graph/controls.js";
import { Divider, useDivider } from "../graph/divider.js";
import { Drawing } from "../graph/drawing.js";
import { NodeList } from "../graph/node_list.js";
import { Panels } from "../graph/panel_tabs.js";
import { pictureOf } from "../graph/picture.js";
import { Search } from "../graph/search.js";
import { Notes, Strip } from "../graph/strip.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../lib.js";
import { useLabelChanges } from "../parts/label_editor.js";
import { NotThere, useLoaded } from "../load.js";
import { number } from "../text.js";
import { say } from "../say.js";

const WAIT = 700; // milliseconds until the server is asked again while it reads the store

/**
 * Hook: the prompts before and after this one, null until they are known, in the order and with the filter of the table
 * of prompts that the address carries: `way` has both.
 */
function useNeighbours(prompt, params) {
  const from = way(viewOf(params)), asked = JSON.stringify([prompt, from]);
  const { value, error } = usePolled(
    async (signal) => (prompt ? { asked, ...(await get("graph_neighbours", { prompt, ...from }, signal)) } : null),
    (found) => (found?.waiting_for ? WAIT : null), [asked],
  );
  if (value?.asked === asked && !value.waiting_for) return { ...value, way: from };
  return { way: from, error: error?.message };
}

export default function GraphPage({ store, params }) {
  const prompt = params.get("prompt");
  const graph = useLoaded(async (signal) => {
    if (!prompt) throw new Error("The address names no prompt: choose one on the page of prompts.");
    return new GraphData(await getArrays("graph", { prompt }, signal));
  }, [prompt]);
  const neighbours = useNeighbours(prompt, params);
  if (graph.error || !graph.value || graph.isLoading)
    return html`<div class="not-there"><h1>${graph.error ? "This graph cannot be shown" : "Graph"}</h1><${NotThere} error=${graph.error} what="the graph" /></div>`;
  return html`<${GraphView} key=${prompt} graph=${graph.value} neighbours=${neighbours} store=${store} params=${params} />`;
}

function GraphView({ graph, neighbours, store, params }) {
  const { view, act, gone, latest } = useView(graph, params), scene = useRef(null);
  const select = useCallback((key) => {
    act(key ? "select" : "clear the selection", { node: key });
    say(key ? `${graph.name(graph.nodeOf(key))}, influence ${number(graph.influence[graph.nodeOf(key)])}` : "nothing is selected");
  }, [graph]);
  const pin = useCallback((key) => {
    const { pins } = latest();
    act(pins.includes(key) ? "unpin" : "pin", { pins: toggled(pins, key) });
    say(`${pins.includes(key) ? "unpinned" : "pinned"} ${graph.name(graph.nodeOf(key))}`);
  }, [graph]);
  const unfold = useCallback((range) => act("unfold", { open: [...new Set([...latest().open, range])] }), [graph]);
  const camera = useCallback((place) => {
    if (!isSamePlace(place, latest().camera)) act("move", { camera: place }, { merge: "camera" });
  }, [graph]);
  const hover = useCallback((key) => scene.current?.point("hovered", key ? graph.nodeOf(key) : -1), [graph]);
  const on = { select: (node) => select(node < 0 ? null : graph.keyOf(node)), pin: (node) => pin(graph.keyOf(node)), unfold, camera };
  const attempt = (changes) => scene.current?.show({ ...latest(), ...changes }, { isTried: true });
  useGraphKeys({ graph, view, latest, act, scene, select, pin, unfold, neighbours, goTo: (id) => go("graph", { prompt: id, ...neighbours.way }) });
  useEffect(() => { for (const line of gone) say(line); }, [gone]);
  const [, again] = useState(0);
  useLabelChanges(({ layer, feature, labels }) => {
    graph.setLabels(layer, feature, labels.map(({ text, source }) => [text, source]));
    scene.current?.repaint();
    again((count) => count + 1);
  });
  const communities = useCommunities(graph, view, store), { found } = communities;
  const looks = useMemo(() => found && looksOf(graph, found), [graph, found]);
  useEffect(() => scene.current?.colourBy(looks), [looks]);
  const picture = useCallback(() => pictureOf(scene.current), [graph]);
  // A program that drives a browser asks the page's element for the picture, as panels ask the page.
  const root = useRef(null);
  useEffect(() => { root.current.picture = picture; }, [picture]);
  const { style, divider } = useDivider();
  return html`<div class="graph-page" ref=${root}>
    <${Strip} graph=${graph} neighbours=${neighbours}><${Search} graph=${graph} view=${view} select=${select} hover=${hover} /><//>
    <${Notes} lines=${[...gone, ...graph.notes]} />
    <div class="graph-main" style=${style}>
      <section class="graph-left" aria-label="Drawing">
        <${Controls} graph=${graph} view=${view} act=${act} attempt=${attempt}><${ColourChoice} communities=${communities} view=${view} act=${act} /><//>
        <${Drawing} graph=${graph} view=${view} holder=${scene} on=${on}><${Zoom} act=${act} latest=${latest} scene=${scene} isUnfolded=${view.open.length > 0} /><//>
        <${Legend} />
        <${CommunityLegend} graph=${graph} communities=${communities} />
        <${NodeList} graph=${graph} view=${view} select=${select} />
      </section>
      <${Divider} ...${divider} />
      <${Panels} graph=${graph} view=${view} act=${act} store=${store} select=${select} hover=${hover} picture=${picture} scene=${scene} />
    </div></div>`;
}

function Zoom({ act, latest, scene, isUnfolded }) {
  const zoom = (factor) => () => scene.current.nudge(latest(), (camera) => camera.zoom(factor));
  return html`<div class="zoom" role="group" aria-label="Size">
    ${isUnfolded && html`<button type="button" title="Fold what was unfolded (f)" onClick=${() => act("fold", { open: [] })}>Fold</button>`}
    <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick=${zoom(1.25)}>+</button>
    <button type="button" aria-label="Zoom out" title="Zoom out (-)" onClick=${zoom(0.8)}>−</button>
    <button type="button" title="Show all (0)" onClick=${() => act("show all", { camera: null })}>Fit</button></div>`;
}

function Legend() {
  const mark = (kind, text) => html`<span><span class=${`mark kind-${kind}`} aria-hidden="true"></span> ${text}</span>`;
  return html`<p class="legend">${mark(0, "feature")}${mark(1, "error")}${mark(2, "token")}${mark(3, "target")}
    <span><span class="stroke positive" aria-hidden="true"></span> raises</span>
    <span><span class="stroke negative" aria-hidden="true"></span> lowers</span>
    <span class="faint">size: influence · drag to move, wheel to zoom, ctrl-click to pin</span></p>`;
}
