// A region of the map: a polygon that a pointer draws, as a condition of the address, and back.
export const REGION = "map.region";
const MOST = 90; // vertices, so that an address stays short
const LEAST_STEP = 4; // pixels between two vertices of a lasso

/** Return the path with a new place, if that is far enough from the last one. */
export function extended(path, place) {
  const last = path[path.length - 1];
  return Math.hypot(place[0] - last[0], place[1] - last[1]) < LEAST_STEP ? path : [...path, place];
}

export const rectangle = ([left, top], [right, bottom]) => [[left, top], [right, top], [right, bottom], [left, bottom]];

/** Return the condition of a polygon of places in pixels; null if it encloses nothing. */
export function regionOf(id, path, camera) {
  const step = Math.ceil(path.length / MOST), kept = path.filter((_, number) => number % step === 0);
  if (kept.length < 3 || area(kept) < LEAST_STEP * LEAST_STEP) return null;
  const text = (value) => String(Number(value.toPrecision(5)));
  return `${REGION}=${id}:${kept.map(([x, y]) => `${text(camera.fromX(x))},${text(camera.fromY(y))}`).join(" ")}`;
}

/** Return the vertices of the region among conditions, in the map's own units; null if there is none. */
export function verticesOf(where) {
  const own = where.findLast((condition) => condition.startsWith(`${REGION}=`));
  if (!own) return null;
  const vertices = own.slice(own.indexOf(":") + 1).split(" ").map((pair) => pair.split(",").map(Number));
  return vertices.every((pair) => pair.length === 2 && pair.every(Number.isFinite)) ? vertices : null;
}

function area(path) {
  let sum = 0;
  path.forEach(([x, y], number) => {
    const [nextX, nextY] = path[(number + 1) % path.length];
    sum += x * nextY - nextX * y;
  });
  return Math.abs(sum) / 2;
}
