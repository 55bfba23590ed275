// picture: what is seen, as SVG and as PNG, painted by the same functions as the canvases.
import { cut, visible } from "../text.js";
import { BELOW, LEFT } from "./camera.js";
import { paintNames, paintNamesOf } from "./names.js";
import { chunksOf, paintEdges, paintFocus, paintGround, paintLinked, paintMarks, paintNodes } from "./paint.js";
import { paintNodesAgain } from "./scene.js";
import { SvgPen } from "./svg_pen.js";

const NAMES = 220, MOST_EDGES = 20_000, SCALE = 2;

/** Return { svg(), png() } of a scene: a text, and a promise of a Blob at twice the size. */
export function pictureOf(scene) {
  return { svg: () => svgOf(scene), png: () => pngOf(scene) };
}

function paintAll(pen, scene, { mostEdges, begin, end }) {
  const { camera, drawn } = scene;
  paintGround(pen, scene);
  begin();
  const count = Math.min(drawn.length, mostEdges), pale = scene.linked ? Math.min(count, 500) : count;
  for (const chunk of chunksOf(pale)) paintEdges(pen, scene, chunk);
  paintNodes(pen, scene);
  paintMarks(pen, scene);
  if (scene.linked) {
    paintLinked(pen, scene);
    paintNodesAgain(pen, scene);
  }
  paintNames(pen, scene, NAMES);
  paintFocus(pen, { ...scene, graph: scene.graph, camera, hovered: -1, cursor: -1 });
  paintNamesOf(pen, scene, [scene.graph.nodeOf(scene.view.node)]);
  end();
}

const titleOf = ({ graph }) => cut(visible(graph.text ?? graph.prompt), 300);

function svgOf(scene) {
  const { camera } = scene, pen = new SvgPen(camera.width + LEFT, camera.height + BELOW, scene.layers.focus.pen);
  paintAll(pen, scene, {
    mostEdges: MOST_EDGES,
    begin: () => {
      pen.save();
      pen.group(LEFT, 0);
      pen.beginPath();
      pen.rect(0, 0, camera.width, camera.height);
      pen.clip();
    },
    end: () => pen.restore(),
  });
  return pen.text(scene.colours.back, titleOf(scene));
}

function pngOf(scene) {
  const { camera } = scene, canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  canvas.width = Math.round((camera.width + LEFT) * SCALE);
  canvas.height = Math.round((camera.height + BELOW) * SCALE);
  pen.scale(SCALE, SCALE);
  pen.fillStyle = scene.colours.back;
  pen.fillRect(0, 0, camera.width + LEFT, camera.height + BELOW);
  paintAll(pen, scene, {
    mostEdges: Infinity,
    begin: () => {
      pen.save();
      pen.translate(LEFT, 0);
      pen.beginPath();
      pen.rect(0, 0, camera.width, camera.height);
      pen.clip();
    },
    end: () => pen.restore(),
  });
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("the browser made no picture"))), "image/png");
  });
}
