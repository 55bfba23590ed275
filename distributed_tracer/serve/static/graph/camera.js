// Camera: from units of the layout to pixels of the plot, which lies right of the names of layers and above the tokens.
export const LEFT = 74, BELOW = 78;
const ABOVE = 40, BESIDE = 30;
const LEAST = 0.02, MOST = 12, LEAST_STRETCH = 0.6, MOST_STRETCH = 6;
const within = (value, least, most) => Math.min(Math.max(value, least), most);

/** Whether two places are the same; null is the whole. */
export const isSamePlace = (one, other) =>
  one === other || (one !== null && other !== null && Object.keys(one).every((name) => one[name] === other[name]));

export class Camera {
  /** `width` and `height` are those of the plot in pixels. `stretch` makes the layout higher than wide. */
  constructor(width, height) {
    Object.assign(this, { width, height, x: 0, y: 0, scale: 1, stretch: 1, isFitted: true });
  }

  get tall() { return this.scale * this.stretch; }

  toX(x) { return (x - this.x) * this.scale; }

  toY(y) { return (y - this.y) * this.tall; }

  fromX(x) { return x / this.scale + this.x; }

  fromY(y) { return y / this.tall + this.y; }

  /** Show all of a layout. */
  fit({ width, height }) {
    const high = Math.max(this.height - ABOVE, 1);
    this.scale = within(Math.min(this.width / (width + BESIDE), high / height / LEAST_STRETCH), LEAST, 2);
    this.stretch = within(high / height / this.scale, LEAST_STRETCH, MOST_STRETCH);
    this.x = width / 2 - this.width / 2 / this.scale;
    this.y = height / 2 - (high / 2 + ABOVE) / this.tall;
    this.isFitted = true;
  }

  /** Show what an address asks for: what is in the middle, at which scale and stretch. */
  goTo({ x, y, scale, stretch }) {
    this.scale = within(scale, LEAST, MOST);
    this.stretch = within(stretch, LEAST_STRETCH, MOST_STRETCH);
    this.x = x - this.width / 2 / this.scale;
    this.y = y - this.height / 2 / this.tall;
    this.isFitted = false;
  }

  /** What `goTo` takes, rounded as addresses have it: a hundredth of a unit is less than a pixel at every scale. */
  get place() {
    const rounded = (value, digits) => Number(value.toFixed(digits));
    return {
      x: rounded(this.fromX(this.width / 2), 2), y: rounded(this.fromY(this.height / 2), 2),
      scale: rounded(this.scale, 4), stretch: rounded(this.stretch, 4),
    };
  }

  move(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.tall;
    this.isFitted = false;
  }

  /** Zoom; what is at (x, y) in the plot stays there. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = within(this.scale * factor, LEAST, MOST);
    this.x += x * (1 / this.scale - 1 / scale);
    this.y += (y * (1 / this.scale - 1 / scale)) / this.stretch;
    this.scale = scale;
    this.isFitted = false;
  }

  /** Move so that a place of the layout is seen; returns whether that was needed. */
  bringIntoView(x, y) {
    const [across, down] = [this.toX(x), this.toY(y)];
    const isBeside = across < 16 || across > this.width - 16, isOutside = down < 16 || down > this.height - 16;
    if (isBeside) this.x += (across - this.width / 2) / this.scale;
    if (isOutside) this.y += (down - this.height / 2) / this.tall;
    return isBeside || isOutside;
  }

  /** The CSS transform that shows a bitmap drawn with another camera as this one would. */
  transformOf(other) {
    const wide = this.scale / other.scale, high = this.tall / other.tall;
    return `matrix(${wide}, 0, 0, ${high}, ${(other.x - this.x) * this.scale}, ${(other.y - this.y) * this.tall})`;
  }

  copy() { return Object.assign(new Camera(this.width, this.height), this); }
}
