// Pointers: mouse, pen and fingers over the drawing. One moves it, two zoom it, a short touch selects.
import { LEFT } from "./camera.js";

const STILL = 5; // pixels that a click may move

/**
 * Listen on an element. `on` has `select(node, event)`, `pin(node)`, `unfold(range)` and `hover(node, x, y)`.
 * Returns a function that ends it.
 */
export function listen(element, scene, on) {
  const down = new Map(); // places by pointer
  let hasMoved = false;
  const place = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const middle = () => {
    const [one, other = one] = [...down.values()];
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, wide: Math.hypot(one.x - other.x, one.y - other.y) };
  };
  const handlers = {
    pointerdown: (event) => {
      if (event.button) return;
      if (!down.size) hasMoved = false;
      down.set(event.pointerId, place(event));
      element.setPointerCapture(event.pointerId);
    },
    pointermove: (event) => {
      const { x, y } = place(event);
      if (!down.has(event.pointerId)) {
        const isOver = x > LEFT && y < scene.camera.height;
        const node = isOver ? scene.nodeAt(x - LEFT, y) : -1;
        element.style.cursor = node >= 0 || scene.foldAt(x, y) ? "pointer" : "grab";
        on.hover(node, x, y);
        return;
      }
      const before = middle(), start = down.get(event.pointerId);
      if (!hasMoved && down.size === 1 && Math.hypot(x - start.x, y - start.y) < STILL) return;
      down.set(event.pointerId, { x, y });
      const now = middle();
      hasMoved = true;
      on.hover(-1, x, y);
      scene.camera.move(now.x - before.x, now.y - before.y);
      if (down.size > 1 && before.wide > 0) scene.camera.zoom(now.wide / before.wide, now.x - LEFT, now.y);
      scene.moved();
    },
    pointerup: (event) => {
      const isClick = down.delete(event.pointerId) && !hasMoved && !down.size;
      if (!isClick) return;
      const { x, y } = place(event), isOver = x > LEFT && y < scene.camera.height;
      const node = isOver ? scene.nodeAt(x - LEFT, y) : -1, fold = node < 0 ? scene.foldAt(x, y) : null;
      if (fold) on.unfold(fold);
      else if (node >= 0 && (event.ctrlKey || event.metaKey)) on.pin(node);
      else if (isOver) on.select(node, event);
    },
    pointercancel: (event) => { down.delete(event.pointerId); },
    pointerleave: () => on.hover(-1, 0, 0),
    wheel: (event) => {
      event.preventDefault();
      const { x, y } = place(event), step = event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.0015;
      scene.camera.zoom(Math.exp(-event.deltaY * step), x - LEFT, y);
      scene.moved();
    },
  };
  for (const [name, handler] of Object.entries(handlers)) element.addEventListener(name, handler, { passive: false });
  return () => { for (const [name, handler] of Object.entries(handlers)) element.removeEventListener(name, handler); };
}
