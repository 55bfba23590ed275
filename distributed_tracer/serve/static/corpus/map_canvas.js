// The drawing of the map: points and marks on two canvases, and what pointers do with them.
import { go, href } from "../address.js";
import { get } from "../api.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { cut, number, plain, tokenText, visible } from "../text.js";
import { title } from "./columns.js";
import { cameraOf, mapColours, paintMarks, paintPoints, pointAt, radiusOf } from "./map_paint.js";
import { extended, rectangle, regionOf, verticesOf } from "./region.js";

const HEIGHT = 380, HOVER_DELAY = 60, CLICK_REACH = 4;

/** Hook: a number that changes with the colours of the theme. */
export function useTheme() {
  const [count, again] = useState(0);
  useEffect(() => {
    const themed = () => again((before) => before + 1), scheme = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("theme", themed);
    scheme.addEventListener("change", themed);
    return () => {
      removeEventListener("theme", themed);
      scheme.removeEventListener("change", themed);
    };
  }, []);
  return count;
}

/** Hook: the width of an element. */
function useWidth(box) {
  const [width, set] = useState(0);
  useEffect(() => {
    const measure = () => set(Math.round(box.current.clientWidth)), observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  return width;
}

/** Return the pen of a canvas, sized for the screen. */
function penOf(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

/** What is said beside a point. */
function Said({ found, place, width, column }) {
  if (!found?.row) return "";
  const { row } = found, isRight = place[0] > width / 2;
  const style = { top: `${Math.max(4, place[1] - 20)}px`, ...(isRight ? { right: `${width - place[0] + 14}px` } : { left: `${place[0] + 14}px` }) };
  return html`
    <div class="said" style=${style}>
      <strong>${row.id === "" ? "(empty id)" : cut(visible(row.id), 60)}</strong>
      <span>${row.text === null ? "" : cut(visible(row.text), 160)}</span>
      ${row.answer !== null && html`<span class="faint">answer: ${cut(tokenText(row.answer), 40)}</span>`}
      ${column && row.values.length > 0 && html`<span class="faint">${title(column)}: ${row.values[0] === null ? "missing" : typeof row.values[0] === "number" ? number(row.values[0]) : cut(plain(row.values[0]), 60)}</span>`}
    </div>`;
}

/**
 * The canvas. `places` has `id` and the coordinates, `shown` what points show, `choose(condition)` filters by a region,
 * `current` is the id of the table's current row, and `isZoomed` says whether the region fills the canvas.
 */
export function MapCanvas({ places, shown, tool, view, column, choose, current, isZoomed }) {
  const box = useRef(null), points = useRef(null), marks = useRef(null), timer = useRef(null), begun = useRef(null);
  const width = useWidth(box), theme = useTheme();
  const [path, draw] = useState(null); // in pixels, while a pointer draws
  const [pointed, point] = useState(null); // { number, found }
  const [row, setRow] = useState(null); // the point of the table's row
  const { arrays, values } = places;
  const region = view.where.join("\n");
  const camera = useMemo(() => {
    const vertices = isZoomed ? verticesOf(view.where) : null;
    return width ? cameraOf(vertices ? { x: vertices.map(([x]) => x), y: vertices.map(([, y]) => y) } : arrays, width, HEIGHT) : null;
  }, [arrays, width, isZoomed && region]);
  const at = (number) => (number === null || number === undefined || !camera ? null : [camera.toX(arrays.x[number]), camera.toY(arrays.y[number])]);

  useEffect(() => {
    if (!camera || !shown) return;
    paintPoints(penOf(points.current, width, HEIGHT), arrays, shown.arrays, camera, shown.values.legend, mapColours());
    points.current.dataset.painted = String(shown.values.matching);
  }, [camera, shown, theme]);
  useEffect(() => {
    if (!camera) return;
    const vertices = path ?? verticesOf(view.where)?.map(([x, y]) => [camera.toX(x), camera.toY(y)]);
    paintMarks(penOf(marks.current, width, HEIGHT), camera, mapColours(), {
      path: vertices, isClosed: !path || tool === "rectangle", hovered: at(pointed?.number), current: at(row), radius: radiusOf(arrays.x.length),
    });
  }, [camera, path, pointed, row, region, theme]);
  useEffect(() => {
    if (!current) { setRow(null); return undefined; }
    const control = new AbortController();
    get("map/point", { map: values.id, prompt: current }, control.signal).then((found) => setRow(found.point), () => {});
    return () => control.abort();
  }, [current, values.id]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const where = (event) => {
    const { left, top } = box.current.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const ask = (number) => get("map/point", { map: values.id, point: number, column });
  const hover = (place) => {
    const number = pointAt(arrays, shown?.arrays.state ?? [], camera, place);
    if (number === (pointed?.number ?? -1)) return;
    clearTimeout(timer.current);
    point(number < 0 ? null : { number, found: null });
    if (number >= 0)
      timer.current = setTimeout(() => ask(number).then((found) => point((now) => (now?.number === number ? { number, found } : now)), () => {}), HOVER_DELAY);
  };
  const down = (event) => {
    if (event.button || !camera) return;
    marks.current.setPointerCapture(event.pointerId);
    begun.current = where(event);
    draw([begun.current]);
    point(null);
  };
  const move = (event) => {
    if (!camera) return;
    const place = where(event);
    if (!path) hover(place);
    else draw(tool === "rectangle" ? rectangle(begun.current, place) : extended(path, place));
  };
  const up = async (event) => {
    if (!path) return;
    const end = where(event), isClick = Math.hypot(end[0] - begun.current[0], end[1] - begun.current[1]) < CLICK_REACH && path.length < 5;
    const drawn = tool === "rectangle" ? rectangle(begun.current, end) : path;
    draw(null);
    if (!isClick) {
      const condition = regionOf(values.id, drawn, camera);
      if (condition) choose(condition);
      return;
    }
    const number = pointAt(arrays, shown?.arrays.state ?? [], camera, end);
    if (number < 0) return;
    const { prompt } = await ask(number);
    if (event.ctrlKey || event.metaKey) open(href("graph", { prompt }), "_blank", "noopener");
    else go("graph", { prompt });
  };
  return html`
    <div ref=${box} class="surface-of-map" style=${{ height: `${HEIGHT}px` }}>
      <canvas ref=${points} style=${{ width: `${width}px`, height: `${HEIGHT}px` }} role="img"
        aria-label=${`Map of ${arrays.x.length.toLocaleString("en")} prompts by how alike their graphs are. The table below has the same prompts.`}></canvas>
      <canvas ref=${marks} class="marks" style=${{ width: `${width}px`, height: `${HEIGHT}px` }} aria-hidden="true" onPointerDown=${down} onPointerMove=${move}
        onPointerUp=${up} onPointerCancel=${() => draw(null)} onPointerLeave=${() => { clearTimeout(timer.current); point(null); }}></canvas>
      ${pointed && at(pointed.number) && html`<${Said} found=${pointed.found} place=${at(pointed.number)} width=${width} column=${column} />`}
    </div>`;
}
