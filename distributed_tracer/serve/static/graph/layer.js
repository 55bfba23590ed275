// Layer: one canvas over the plot, which can be moved and scaled as a bitmap until it is painted anew.

/** Pixels of the screen for one of the page. More than two cost time, and nobody sees them. */
export const pixelRatio = () => Math.min(window.devicePixelRatio || 1, 2);

export class Layer {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.camera = null; // the camera of what is on the canvas
    this.milliseconds = 0; // what painting took the last time
  }

  resize(width, height) {
    const ratio = pixelRatio();
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.camera = null;
  }

  /** Clear the canvas, and return the pen for painting with a camera. */
  begin(camera) {
    const ratio = pixelRatio();
    this.canvas.style.transform = "none";
    this.pen.setTransform(1, 0, 0, 1, 0, 0);
    this.pen.globalAlpha = 1;
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.camera = camera.copy();
    return this.pen;
  }

  /** Paint all of it, and note the time. */
  paint(camera, painting) {
    const began = performance.now();
    painting(this.begin(camera));
    this.milliseconds = performance.now() - began;
  }

  /** Show what is painted as another camera would. */
  follow(camera) {
    if (this.camera) this.canvas.style.transform = camera.transformOf(this.camera);
  }
}
