// The diagram as a picture that stands alone, for papers and slides.
import { bounds } from "./subgraph_scene.js";

const SEEN = ["fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order"];
const MARKS = ["sg-chosen", "sg-current", "sg-hovered", "sg-faint", "sg-dot-current"];
const NOT_IN_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** Return the diagram as the text of an SVG file: all of it, in the colours of the page, without marks of what is chosen. */
export function svgText(element, scene) {
  const marked = [...element.querySelectorAll(MARKS.map((name) => `.${name}`).join())].map((one) => [one, one.getAttribute("class")]);
  for (const [one] of marked) one.classList.remove(...MARKS);
  try {
    return standing(element, scene);
  } finally {
    for (const [one, before] of marked) one.setAttribute("class", before);
  }
}

function standing(element, scene) {
  const { x, y, width, height } = bounds(scene, 20);
  const copy = element.cloneNode(true), originals = element.querySelectorAll("*"), copies = copy.querySelectorAll("*");
  const gone = [];
  copies.forEach((one, k) => {
    const style = getComputedStyle(originals[k]);
    if (!["g", "title"].includes(one.localName))
      for (const name of SEEN) if (style.getPropertyValue(name)) one.setAttribute(name, style.getPropertyValue(name));
    if (one.localName === "path" || one.localName === "rect") one.setAttribute("stroke-width", style.strokeWidth);
    if (one.classList.contains("sg-band")) gone.push(one);
    for (const name of ["class", "role", "tabindex", "aria-selected", "aria-label", "aria-hidden", "data-box", "data-id", "data-node"]) one.removeAttribute(name);
  });
  for (const one of gone) one.remove();
  for (const { name } of [...copy.attributes]) copy.removeAttribute(name);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", [x, y, width, height].map((one) => one.toFixed(1)).join(" "));
  copy.setAttribute("width", width.toFixed(0));
  copy.setAttribute("height", height.toFixed(0));
  copy.firstElementChild.removeAttribute("transform");
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const look = { x, y, width, height, fill: getComputedStyle(document.body).backgroundColor };
  for (const [name, value] of Object.entries(look)) back.setAttribute(name, String(value));
  copy.prepend(back);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy).replace(NOT_IN_XML, "·")}\n`;
}

/** Return the text of an SVG file as a PNG with `scale` pixels for each of its units. */
export async function png(text, scale = 3) {
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    const fits = Math.min(scale, 16_000 / Math.max(image.width, image.height, 1));
    canvas.width = Math.ceil(image.width * fits);
    canvas.height = Math.ceil(image.height * fits);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => { canvas.toBlob(done, "image/png"); });
  } finally {
    URL.revokeObjectURL(address);
  }
}
