// SvgPen: the part of a canvas context that the drawing uses, which writes SVG instead. Texts stay texts, escaped.
import { visible } from "../text.js";

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
const escaped = (text) => visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);
const short = (value) => Number(value.toFixed(2));
const ANCHORS = { left: "start", center: "middle", right: "end" };

export class SvgPen {
  /** `measure` is a canvas context, which knows how wide texts are. */
  constructor(width, height, measure) {
    Object.assign(this, { width, height, measure, parts: [], path: [], stack: [], open: 0, clips: 0, moves: [] });
    Object.assign(this, { fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, globalAlpha: 1, font: "12px sans-serif" });
    Object.assign(this, { textAlign: "left", textBaseline: "alphabetic" });
  }

  beginPath() { this.path = []; }

  moveTo(x, y) { this.path.push(`M${short(x)} ${short(y)}`); }

  lineTo(x, y) { this.path.push(`L${short(x)} ${short(y)}`); }

  closePath() { this.path.push("Z"); }

  rect(x, y, width, height) { this.path.push(`M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}Z`); }

  /** Only whole circles are drawn. */
  arc(x, y, r) {
    this.path.push(`M${short(x + r)} ${short(y)}a${short(r)} ${short(r)} 0 1 0 ${short(-2 * r)} 0` +
      `a${short(r)} ${short(r)} 0 1 0 ${short(2 * r)} 0Z`);
  }

  fill() { this.add(`<path d="${this.path.join("")}" fill="${escaped(this.fillStyle)}"${this.alpha}/>`, this.path.length); }

  stroke() {
    const width = short(this.lineWidth), colour = escaped(this.strokeStyle);
    this.add(`<path d="${this.path.join("")}" fill="none" stroke="${colour}" stroke-width="${width}"${this.alpha}/>`,
      this.path.length);
  }

  fillRect(x, y, width, height) {
    this.beginPath();
    this.rect(x, y, width, height);
    this.fill();
    this.beginPath();
  }

  fillText(text, x, y) {
    const size = Number.parseFloat(this.font), down = this.textBaseline === "middle" ? 0.35 * size : 0;
    const transform = this.moves.length ? ` transform="${this.moves.join(" ")}"` : "";
    this.add(`<text x="${short(x)}" y="${short(y + down)}" font-size="${size}" fill="${escaped(this.fillStyle)}" ` +
      `text-anchor="${ANCHORS[this.textAlign]}"${transform}>${escaped(text)}</text>`);
  }

  measureText(text) {
    this.measure.font = this.font;
    return this.measure.measureText(text);
  }

  save() { this.stack.push([this.open, this.moves]); }

  restore() {
    const [open, moves] = this.stack.pop();
    while (this.open > open) { this.parts.push("</g>"); this.open--; }
    this.moves = moves;
  }

  translate(x, y) { this.moves = [...this.moves, `translate(${short(x)} ${short(y)})`]; }

  rotate(angle) { this.moves = [...this.moves, `rotate(${short((angle * 180) / Math.PI)})`]; }

  /** Cut what follows, until `restore`, to the path. */
  clip() {
    const name = `clip${this.clips++}`;
    this.parts.push(`<clipPath id="${name}"><path d="${this.path.join("")}"/></clipPath><g clip-path="url(#${name})">`);
    this.open++;
  }

  /** Put what follows, until `restore`, in a group that is moved. */
  group(x, y) {
    this.parts.push(`<g transform="translate(${short(x)} ${short(y)})">`);
    this.open++;
  }

  get alpha() { return this.globalAlpha < 1 ? ` opacity="${short(this.globalAlpha)}"` : ""; }

  add(part, wanted = 1) { if (wanted) this.parts.push(part); }

  /** The whole picture on a background. */
  text(background, title) {
    const { width, height } = this;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="system-ui, sans-serif"><title>${escaped(title)}</title>` +
      `<rect width="${width}" height="${height}" fill="${escaped(background)}"/>${this.parts.join("")}</svg>\n`;
  }
}
