// The divider between the drawing and the panels: dragged, or moved with keys; its place is kept for the next visit.
import { html, useEffect, useRef, useState } from "../lib.js";

const KEY = "width of panels", STEP = 20, LEAST = 260, LEAST_DRAWING = 420; // pixels

/** Return the largest width of the panels that leaves the drawing enough. */
const largest = () => Math.max(innerWidth - LEAST_DRAWING, LEAST);
const within = (width) => Math.round(Math.min(Math.max(width, LEAST), largest()));

function kept() {
  try { return Number(localStorage.getItem(KEY)) || null; } catch { return null; }
}

function keep(width) {
  try {
    if (width === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(width));
  } catch { /* the usual width next time, then */ }
}

/**
 * Hook: { style, divider }: the style of the element that holds drawing and panels, and the properties of `Divider`.
 * The width is null until a reader has chosen one; the style sheet then says how wide the panels are.
 */
export function useDivider() {
  const [width, setWidth] = useState(kept), [, again] = useState(0);
  useEffect(() => {
    const resized = () => again((count) => count + 1); // a narrower window leaves less to the panels
    addEventListener("resize", resized);
    return () => removeEventListener("resize", resized);
  }, []);
  const set = (wanted, { isDone = true } = {}) => {
    const found = wanted === null ? null : within(wanted);
    setWidth(found);
    if (isDone) keep(found);
  };
  return { style: width === null ? undefined : { "--panels": `${within(width)}px` }, divider: { width, set } };
}

/** The divider as a separator that keys and pointers move; a double click, or Delete, gives the usual width back. */
export function Divider({ width, set }) {
  const element = useRef(null), drag = useRef(null), [now, setNow] = useState(width);
  const actual = () => element.current.parentElement.querySelector(".panels").getBoundingClientRect().width;
  useEffect(() => { setNow(Math.round(actual())); }, [width, innerWidth]);
  const down = (event) => {
    if (event.button) return;
    event.preventDefault();
    element.current.focus();
    element.current.setPointerCapture(event.pointerId);
    drag.current = { x: event.clientX, width: actual() };
  };
  const moved = (event, isDone) => {
    if (!drag.current) return;
    const by = drag.current.x - event.clientX;
    if (by || width !== null) set(drag.current.width + by, { isDone });
    if (isDone) drag.current = null;
  };
  const keyed = (event) => {
    const wanted = {
      ArrowLeft: () => actual() + STEP, ArrowRight: () => actual() - STEP, Home: () => LEAST, End: largest, Delete: () => null,
    }[event.key];
    if (!wanted || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    set(wanted());
  };
  return html`<div ref=${element} class="divider" role="separator" tabindex="0" aria-orientation="vertical" aria-label="Width of the panels"
    aria-valuenow=${now} aria-valuemin=${LEAST} aria-valuemax=${largest()} aria-valuetext=${`${now} pixels`} title="Drag, or use the arrow keys, to change the width of the panels; double-click for the usual one"
    onPointerDown=${down} onPointerMove=${(event) => moved(event, false)} onPointerUp=${(event) => moved(event, true)}
    onPointerCancel=${() => { drag.current = null; }} onDblClick=${() => set(null)} onKeyDown=${keyed}></div>`;
}
