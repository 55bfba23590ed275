// Painting of the map: points, the region that is drawn or chosen, and a ring around one point.
const MARGIN = 16, CATEGORIES = 8, FULL_CIRCLE = 2 * Math.PI;
const [OUTSIDE, MATCHING] = [1, 2];

/**
 * Return how the map's own units are placed in a canvas that shows some places, given by coordinates in each axis. Both
 * axes have one scale, as distances mean something.
 */
export function cameraOf({ x, y }, width, height) {
  let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let point = 0; point < x.length; point++) {
    [left, right] = [Math.min(left, x[point]), Math.max(right, x[point])];
    [bottom, top] = [Math.min(bottom, y[point]), Math.max(top, y[point])];
  }
  const scale = Math.min((width - 2 * MARGIN) / Math.max(right - left, 1e-6), (height - 2 * MARGIN) / Math.max(top - bottom, 1e-6));
  const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
  return {
    width, height,
    toX: (value) => width / 2 + (value - middleX) * scale, toY: (value) => height / 2 - (value - middleY) * scale,
    fromX: (pixel) => middleX + (pixel - width / 2) / scale, fromY: (pixel) => middleY - (pixel - height / 2) / scale,
  };
}

/** Return the theme's colours. */
export function mapColours() {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    back: of("back"), text: of("text"), faint: of("faint"), line: of("line"), plain: of("feature"), select: of("select"),
    categories: Array.from({ length: CATEGORIES }, (_, number) => of(`map-${number}`)),
    ramp: ["low", "middle", "high"].map((name) => of(`map-${name}`)),
  };
}

const channels = (hex) => [1, 3, 5].map((place) => Number.parseInt(hex.slice(place, place + 2), 16));

/** Return the colour at a share from 0 to 1 of the ramp of numbers. */
export function rampColour(ramp, share) {
  const place = Math.min(0.999, Math.max(0, share)) * (ramp.length - 1), first = Math.floor(place);
  const [from, to] = [channels(ramp[first]), channels(ramp[first + 1])];
  return `rgb(${from.map((value, n) => Math.round(value + (to[n] - value) * (place - first))).join(" ")})`;
}

/** Return the colour of each category of a legend, those of other values and of missing ones included. */
export function categoryColours(legend, colours) {
  if (!legend) return [colours.plain];
  if (legend.low) return [...legend.low.map((_, bin) => rampColour(colours.ramp, bin / Math.max(1, legend.low.length - 1))), colours.faint, colours.faint];
  return [...legend.values.map((_, place) => colours.categories[place] ?? colours.faint), colours.faint, colours.faint];
}

export const radiusOf = (count) => (count <= 300 ? 4 : count <= 3000 ? 3 : 2);

/** Paint all points: first those that do not match, faint, then those that do. */
export function paintPoints(pen, { x, y }, { state, category }, camera, legend, colours) {
  pen.clearRect(0, 0, camera.width, camera.height);
  const radius = radiusOf(x.length), byColour = categoryColours(legend, colours), groups = new Map();
  for (let point = 0; point < x.length; point++) {
    const isMatching = state[point] === MATCHING;
    const colour = isMatching ? byColour[category ? category[point] : 0] : state[point] === OUTSIDE ? "outside" : "hidden";
    if (!groups.has(colour)) groups.set(colour, []);
    groups.get(colour).push(point);
  }
  const draw = (points, size) => {
    pen.beginPath();
    for (const point of points) {
      const [px, py] = [camera.toX(x[point]), camera.toY(y[point])];
      if (x.length > 8000) pen.rect(px - size, py - size, 2 * size, 2 * size);
      else {
        pen.moveTo(px + size, py);
        pen.arc(px, py, size, 0, FULL_CIRCLE);
      }
    }
    pen.fill();
  };
  for (const [name, alpha] of [["hidden", 0.22], ["outside", 0.5]]) {
    pen.globalAlpha = alpha;
    pen.fillStyle = colours.faint;
    draw(groups.get(name) ?? [], 0.7 * radius);
    groups.delete(name);
  }
  pen.globalAlpha = 0.7; // so that points that lie on each other show
  // what has no value of its own lies below what has
  const order = [...groups].sort(([one], [other]) => Number(other === colours.faint) - Number(one === colours.faint));
  for (const [colour, points] of order) {
    pen.fillStyle = colour;
    draw(points, radius);
  }
  pen.globalAlpha = 1;
}

/** Paint what lies over the points: the region, in pixels, a ring around the pointed one, and one around the table's row. */
export function paintMarks(pen, camera, colours, { path, isClosed, hovered, current, radius }) {
  pen.clearRect(0, 0, camera.width, camera.height);
  if (path?.length > 1) {
    pen.beginPath();
    path.forEach(([px, py], number) => (number ? pen.lineTo(px, py) : pen.moveTo(px, py)));
    if (isClosed) pen.closePath();
    pen.globalAlpha = 0.12;
    pen.fillStyle = colours.select;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.strokeStyle = colours.select;
    pen.stroke();
  }
  for (const [place, colour, extra] of [[current, colours.text, 5], [hovered, colours.select, 3]])
    if (place) {
      pen.beginPath();
      pen.arc(place[0], place[1], radius + extra, 0, FULL_CIRCLE);
      pen.lineWidth = 2;
      pen.strokeStyle = colour;
      pen.stroke();
    }
}

/** Return the point within reach that is nearest to a place in pixels, those that match before others; -1 for none. */
export function pointAt({ x, y }, state, camera, [px, py], reach = 10) {
  let best = -1, least = Infinity;
  for (let point = 0; point < x.length; point++) {
    const distance = (camera.toX(x[point]) - px) ** 2 + (camera.toY(y[point]) - py) ** 2;
    if (distance > reach * reach) continue;
    const rank = distance + (state[point] === MATCHING ? 0 : reach * reach);
    if (rank < least) [best, least] = [point, rank];
  }
  return best;
}
