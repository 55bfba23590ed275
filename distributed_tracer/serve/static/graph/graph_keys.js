// Keys of the graph page. Arrows and Enter mean the drawing only where no control has the focus.
import { useKeys } from "../keys.js";
import { say } from "../say.js";
import { beside, firstNode, strongest } from "./walk.js";

const PAN = 60; // pixels
const SHARE_STEP = 0.02, EDGES_STEP = 1.25, ZOOM_STEP = 1.25;

const isAtControl = ({ target }) =>
  target instanceof Element && target.closest("button, a, input, select, summary, [role=tabpanel], [role=region], dialog") !== null;
/** Return a command that leaves the key to a control that has the focus. */
const unlessControl = (run) => (event) => (isAtControl(event) ? false : run(event));

export function useGraphKeys({ graph, latest, act, scene, select, pin, neighbours, goTo }) {
  const shown = () => scene.current;
  const selected = () => graph.nodeOf(latest().node);
  const here = () => (shown().cursor >= 0 ? shown().cursor : selected());
  const walk = (next) => unlessControl(() => {
    const from = here(), to = from < 0 ? firstNode(shown()) : next(shown(), from);
    if (to < 0) return say("no node there");
    shown().point("cursor", to);
    say(graph.name(to));
  });
  const jump = (ends) => () => {
    const from = here(), to = from < 0 ? firstNode(shown()) : strongest(shown(), from, ends);
    if (to >= 0) select(graph.keyOf(to));
    else say(`no ${ends} are shown`);
  };
  const pan = (dx, dy) => unlessControl(() => shown().nudge(latest(), (camera) => camera.move(dx * PAN, dy * PAN)));
  const zoom = (factor) => () => shown().nudge(latest(), (camera) => camera.zoom(factor));
  const share = (step) => () => {
    const now = Math.min(Math.max(latest().share + step, 0), 1);
    act("influence", { share: now }, { merge: "share" });
    say(`${graph.numCovering(now)} of ${graph.inner.length} features and errors`);
  };
  const edges = (factor) => () => {
    const { edges: now } = latest(), most = graph.source.length;
    const next = Math.min(factor > 1 ? Math.max(Math.round(now * factor), now + 1) : Math.floor(now * factor), most);
    act("edges", { edges: next }, { merge: "edges" });
    say(`${next} edges`);
  };
  const neighbour = (name) => () => {
    if (neighbours[name]) goTo(neighbours[name]);
    else say(`there is no ${name} prompt`);
  };
  const ofNode = (run) => () => (here() >= 0 ? run(graph.keyOf(here())) : say("no node is selected"));
  useKeys("graph", [
    { keys: ["ArrowLeft"], label: "the node to the left, in the same layer", run: walk((now, node) => beside(now, node, -1)) },
    { keys: ["ArrowRight"], label: "the node to the right", run: walk((now, node) => beside(now, node, 1)) },
    { keys: ["ArrowUp"], label: "along the strongest output", run: walk((now, node) => strongest(now, node, "outputs")) },
    { keys: ["ArrowDown"], label: "along the strongest input", run: walk((now, node) => strongest(now, node, "inputs")) },
    { keys: ["Enter"], label: "select the node where the arrows led", run: unlessControl(ofNode(select)) },
    { keys: ["Escape"], label: "clear the selection", run: () => {
      if (shown().cursor >= 0) shown().point("cursor", -1);
      else if (latest().node) select(null);
      else return false;
      return true;
    } },
    { keys: ["i"], label: "select the strongest input", run: jump("inputs") },
    { keys: ["o"], label: "select the strongest output", run: jump("outputs") },
    { keys: ["p"], label: "pin or unpin the node", run: ofNode(pin) },
    { keys: ["h"], label: "hide the node", run: ofNode((key) => act("hide node", { hidden: [...new Set([...latest().hidden, key])], node: null,
      pins: latest().pins.filter((one) => one !== key) })) },
    { keys: ["["], label: "less influence", run: share(-SHARE_STEP) },
    { keys: ["]"], label: "more influence", run: share(SHARE_STEP) },
    { keys: ["{"], label: "fewer edges", run: edges(1 / EDGES_STEP) },
    { keys: ["}"], label: "more edges", run: edges(EDGES_STEP) },
    { keys: ["+", "="], label: "zoom in", run: zoom(ZOOM_STEP) },
    { keys: ["-"], label: "zoom out", run: zoom(1 / ZOOM_STEP) },
    { keys: ["0"], label: "show all", run: () => act("show all", { camera: null }) },
    { keys: ["shift+ArrowLeft"], label: "move the drawing to the right", run: pan(1, 0) },
    { keys: ["shift+ArrowRight"], label: "move it to the left", run: pan(-1, 0) },
    { keys: ["shift+ArrowUp"], label: "move it down", run: pan(0, 1) },
    { keys: ["shift+ArrowDown"], label: "move it up", run: pan(0, -1) },
    { keys: ["f"], label: "unfold all positions and layers, or fold them", run: () => {
      const isOpen = latest().open.length > 0, all = [`0-${graph.tokens.length - 1}`, `L0-${graph.num_layers}`];
      act(isOpen ? "fold" : "unfold", { open: isOpen ? [] : all });
    } },
    { keys: [","], label: "the previous prompt", run: neighbour("previous") },
    { keys: ["."], label: "the next prompt", run: neighbour("next") },
  ]);
}
