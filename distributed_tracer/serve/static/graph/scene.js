// Scene: the canvases of one graph and when each is painted. From below: the ground (bands and names of axes), edges,
// nodes, and the focus (selected edges, rings, names of what is pointed at).
//
// Painting many edges takes long. So while something moves, the edges' canvas is moved as a bitmap, or has the strongest
// edges only. When the view settles, all edges are painted on a canvas that is not seen, some in each frame, the weakest
// first, and then shown.
import { BELOW, Camera, LEFT } from "./camera.js";
import { edgesByTarget } from "./edge_order.js";
import { effectsOf } from "./effects.js";
import { hitTest } from "./hit.js";
import { layOut } from "./layout.js";
import { Layer, pixelRatio } from "./layer.js";
import { paintNames, paintNamesOf } from "./names.js";
import { chunksOf, paintEdges, paintFocus, paintGround, paintLinked, paintMarks, paintNodes, readColours } from "./paint.js";
import { chooseEdges, chooseNodes } from "./shown.js";

const SETTLED = 140, DRAFT = 1000, AT_ONCE = 3000; // milliseconds, edges, edges
const MOST_LINKED = 2000, NAMES = 220, NAMES_MOVING = 60, SLOW = 10; // edges, names, names, milliseconds
const QUICK = 22, MOST_CHUNKS = 64; // milliseconds of a frame, chunks
const LAYERS = ["ground", "edges", "nodes", "focus"];

export class Scene {
  /** `canvases` are elements by the name of their layer; `onCamera` is called when a reader has moved the camera. */
  constructor(canvases, graph, { onCamera, onFrame = () => {} }) {
    this.graph = graph;
    this.layers = Object.fromEntries(LAYERS.map((name) => [name, new Layer(canvases[name])]));
    Object.assign(this, { onCamera, onFrame, hovered: -1, cursor: -1, view: null, frame: 0, settling: 0, hit: null });
    Object.assign(this, { communities: null, job: null, back: null, chunksAtOnce: 2, isMoving: false, dirty: new Set() });
    this.camera = new Camera(1, 1);
    this.colours = readColours();
  }

  /** Take the size of the place that the scene is in. */
  resize(width, height) {
    Object.assign(this.camera, { width: Math.max(width - LEFT, 1), height: Math.max(height - BELOW, 1) });
    this.layers.ground.resize(width, height);
    for (const name of LAYERS.slice(1)) this.layers[name].resize(this.camera.width, this.camera.height);
    if (this.view && this.camera.isFitted) this.camera.fit(this.layout);
    this.repaint();
  }

  /** Show a view. A view that is only tried, as while a slider moves, is painted with the strongest edges first. */
  show(view, { isTried = false } = {}) {
    const before = this.view;
    this.view = view;
    const isOther = (...names) => !before || names.some((name) => before[name] !== view[name]);
    if (isOther("share", "minDensity", "maxDensity", "hidden", "pins", "groups", "node", "open")) this.choose();
    if (isOther("share", "minDensity", "maxDensity", "hidden", "pins", "groups", "node", "open", "edges", "targetA", "targetB")) {
      this.drawn = chooseEdges(this.graph, this.shown, view.edges, edgesByTarget(this.graph, view));
      this.dirty.add("edges");
    }
    if (isOther("targetA", "targetB")) this.effects = effectsOf(this.graph, view);
    this.marks = this.marksOf(view);
    this.linked = this.linkedTo(this.graph.nodeOf(view.node));
    if (before?.camera !== view.camera || !before) this.applyCamera(view);
    const node = this.graph.nodeOf(view.node);
    if (node >= 0 && before?.node !== view.node && this.camera.bringIntoView(this.layout.x[node], this.layout.y[node]))
      this.dirty.add("edges");
    if (before?.node !== view.node) this.cursor = -1;
    this.layers.edges.canvas.style.opacity = node >= 0 ? "0.22" : "1";
    for (const name of LAYERS) if (name !== "edges") this.dirty.add(name);
    if (isTried) this.move();
    this.wake();
  }

  /** Colour features by communities, as `looksOf` has them; null for the colours of kinds. */
  colourBy(communities) {
    if (this.communities === communities) return;
    this.communities = communities;
    for (const name of ["nodes", "focus"]) this.dirty.add(name);
    if (this.view) this.wake();
  }

  choose() {
    Object.assign(this, chooseNodes(this.graph, this.view));
    this.layout = layOut(this.graph, this.shown, this.view);
    this.hit = null;
    if (this.hovered >= 0 && !this.shown[this.hovered]) this.hovered = -1;
    if (this.camera.isFitted) this.camera.fit(this.layout);
  }

  applyCamera({ camera }) {
    if (camera) this.camera.goTo(camera);
    else this.camera.fit(this.layout);
    this.dirty.add("edges");
  }

  marksOf({ pins, groups }) {
    const marks = new Map(), of = (key) => {
      const node = this.graph.nodeOf(key);
      if (node >= 0 && !marks.has(node)) marks.set(node, { isPinned: false, groups: [] });
      return marks.get(node);
    };
    for (const key of pins) if (of(key)) of(key).isPinned = true;
    groups.forEach(({ members }, number) => members.forEach((key) => of(key)?.groups.push(number)));
    return marks;
  }

  /** Return the strongest edges of a node that are shown, and which nodes they join; null for no node. */
  linkedTo(node) {
    if (node < 0) return null;
    const { graph, shown } = this, nodes = new Uint8Array(graph.count), edges = [];
    nodes[node] = 1;
    for (const edge of [...graph.inputs(node), ...graph.outputs(node)]) {
      const [one, other] = [graph.source[edge], graph.target[edge]];
      if (shown[one] && shown[other]) { nodes[one] = nodes[other] = 1; edges.push(edge); }
    }
    edges.sort((a, b) => Math.abs(graph.share(b)) - Math.abs(graph.share(a)));
    return { nodes, edges: edges.slice(0, MOST_LINKED) };
  }

  /** Paint everything anew, as after a change of colours. */
  repaint() {
    this.colours = readColours();
    for (const name of LAYERS) this.dirty.add(name);
    if (this.view) this.wake();
  }

  /** Move the camera by a command. A view that is not shown yet comes first: shown later, it would undo the move. */
  nudge(view, move) {
    if (this.view !== view) this.show(view);
    move(this.camera);
    this.moved();
  }

  /** Note that the camera moved: what is painted follows as a bitmap, or is painted anew where that is quick. */
  moved() {
    for (const name of ["ground", "focus", "nodes"]) this.dirty.add(name);
    this.layers.edges.follow(this.camera);
    this.job = null;
    this.move();
    this.wake();
  }

  move() {
    this.isMoving = true;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(), SETTLED);
  }

  settle() {
    this.isMoving = false;
    for (const name of ["edges", "nodes", "focus"]) this.dirty.add(name);
    this.onCamera(this.camera.isFitted ? null : this.camera.place);
    this.wake();
  }

  wake() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    const { camera, layers, dirty } = this, began = performance.now();
    if (dirty.has("ground")) layers.ground.paint(camera, (pen) => paintGround(pen, this));
    if (dirty.has("edges")) this.beginEdges();
    else if (this.job) this.paintSomeEdges(began);
    if (dirty.has("nodes")) this.paintNodes();
    if (dirty.has("focus") && (this.hasFocus || layers.focus.isFilled)) {
      layers.focus.paint(camera, (pen) => this.paintFocus(pen));
      layers.focus.isFilled = this.hasFocus;
    }
    dirty.clear();
    this.onFrame(performance.now() - began);
    if (this.job) this.wake();
  }

  get hasFocus() { return this.linked !== null || this.hovered >= 0 || this.cursor >= 0; }

  paintNodes() {
    const { nodes } = this.layers;
    // Nodes are moved as a bitmap only where painting them takes longer than a frame allows.
    if (this.isMoving && nodes.camera && nodes.milliseconds > SLOW && !this.dirty.has("edges")) nodes.follow(this.camera);
    else
      nodes.paint(this.camera, (pen) => {
        paintNodes(pen, this);
        paintMarks(pen, this);
        if (!this.linked) this.paintNames(pen);
      });
  }

  beginEdges() {
    const { edges } = this.layers, count = this.drawn.length, isAll = !this.isMoving && count <= AT_ONCE;
    edges.begin(this.camera);
    for (const chunk of chunksOf(isAll ? count : Math.min(DRAFT, count))) paintEdges(edges.pen, this, chunk);
    this.job = isAll || this.isMoving ? null : this.newJob();
  }

  /** Return the painting of all edges on a canvas of its own. */
  newJob() {
    const { canvas } = this.layers.edges;
    this.back ??= new Layer(document.createElement("canvas"));
    this.back.resize(canvas.width / pixelRatio(), canvas.height / pixelRatio());
    this.back.begin(this.camera);
    return { chunks: chunksOf(this.drawn.length), next: 0, before: 0 };
  }

  /** Paint some chunks: more in each frame while frames come quickly. */
  paintSomeEdges(now) {
    const { job } = this;
    if (job.before)
      this.chunksAtOnce = Math.min(Math.max(this.chunksAtOnce * (now - job.before < QUICK ? 1.3 : 0.7), 1), MOST_CHUNKS);
    job.before = now;
    const end = Math.min(job.next + Math.ceil(this.chunksAtOnce), job.chunks.length);
    for (; job.next < end; job.next++) paintEdges(this.back.pen, this, job.chunks[job.next]);
    if (job.next < job.chunks.length) return;
    const { edges } = this.layers;
    edges.begin(this.camera).setTransform(1, 0, 0, 1, 0, 0);
    edges.pen.drawImage(this.back.canvas, 0, 0);
    this.job = null;
  }

  paintNames(pen) {
    paintNames(pen, this, this.isMoving ? NAMES_MOVING : NAMES);
  }

  paintFocus(pen) {
    if (this.linked) {
      paintLinked(pen, this);
      paintNodesAgain(pen, this);
      this.paintNames(pen); // over the edges that are drawn here
    }
    paintFocus(pen, this);
    paintNamesOf(pen, this, [this.graph.nodeOf(this.view.node), this.hovered, this.cursor]);
  }

  /** The node at a place of the plot, or -1. */
  nodeAt(x, y) {
    this.hit ??= hitTest(this.graph, this.shown, this.layout);
    return this.hit(this.camera, x, y);
  }

  /** The folded range at a place of the whole scene: "3-17" for positions, "L4-9" for layers, or null. */
  foldAt(x, y) {
    const across = this.camera.fromX(x - LEFT), down = this.camera.fromY(y);
    const is = ({ isFolded, from, to }, at) => isFolded && from <= at && at <= to;
    const column = x > LEFT && this.layout.columns.find((one) => is(one, across));
    const band = y < this.camera.height && this.layout.bands.find((one) => is(one, down));
    if (column) return `${column.first}-${column.last}`;
    return band ? `L${band.first}-${band.last}` : null;
  }

  /** Mark the node under the mouse, or that of the keys. */
  point(name, node) {
    if (this[name] === node) return;
    this[name] = node;
    if (name === "hovered") this.onHover?.(node); // panels that are linked with the drawing
    this.dirty.add("focus");
    if (name === "cursor") {
      this.dirty.add("ground");
      if (node >= 0 && this.camera.bringIntoView(this.layout.x[node], this.layout.y[node])) this.moved();
    }
    this.wake();
  }

  close() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settling);
    this.frame = -1; // nothing wakes it any more
  }
}

/** The nodes at the ends of the selected edges, over these edges. */
export function paintNodesAgain(pen, scene) {
  const shown = scene.linked.nodes.map((is, node) => is & scene.shown[node]);
  paintNodes(pen, { ...scene, graph: scene.graph, shown });
}
