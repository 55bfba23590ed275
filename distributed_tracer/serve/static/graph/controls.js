// Controls above the drawing: influence, edges and densities as sliders, and the targets that are compared.
import { html, useEffect, useRef, useState } from "../lib.js";
import { number } from "../text.js";
import { targetsOf } from "./effects.js";

const SETTLED = 200; // milliseconds after which a moved slider is a command
const STEPS = 1000;

/** Edges are many: the slider is finer for few of them. */
export const edgesOf = (step, total) => Math.round((step / STEPS) ** 3 * total);
const stepOf = (edges, total) => Math.round(STEPS * Math.cbrt(edges / Math.max(total, 1)));
const densityOf = (step) => (step / STEPS) ** 3;
const share = (value) => `${number(100 * value)}%`;

/**
 * A slider whose steps are tried on the drawing alone, and become one command when it rests: neither the lists beside
 * the drawing nor the address follow each frame.
 */
function Slider({ label, step, said, onTry, onSet, title }) {
  const [tried, setTried] = useState(null), timer = useRef(0), latest = useRef(null);
  const set = () => {
    clearTimeout(timer.current);
    if (latest.current === null) return;
    onSet(latest.current);
    latest.current = null;
    setTried(null);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  const moved = (event) => {
    latest.current = Number(event.target.value);
    setTried(latest.current);
    onTry(latest.current);
    clearTimeout(timer.current);
    timer.current = setTimeout(set, SETTLED);
  };
  const now = tried ?? step;
  return html`<label class="slider" title=${title}><span>${label}</span>
    <input type="range" min="0" max=${STEPS} step="1" value=${now} aria-valuetext=${said(now)} onInput=${moved} onChange=${set} />
    <output>${said(now)}</output></label>`;
}

export function Controls({ graph, view, act, attempt, children }) {
  const total = graph.source.length, inner = graph.inner.length;
  const slider = (label, name, title, toStep, toValue, said) => html`<${Slider} label=${label} title=${title} said=${said} step=${toStep(view[name])}
    onTry=${(step) => attempt({ [name]: toValue(step) })} onSet=${(step) => act(label.toLowerCase(), { [name]: toValue(step) }, { merge: name })} />`;
  const isBounded = graph.density.some((value) => Number.isFinite(value));
  return html`<div class="controls">
    ${slider("Influence", "share", "Features and errors that together have this share of all influence. Keys: [ and ]",
      (value) => Math.round(STEPS * value), (step) => step / STEPS,
      (step) => { const value = Math.abs(step - STEPS * view.share) < 0.5 ? view.share : step / STEPS;
        return `${(100 * value).toFixed(1)}% · ${graph.numCovering(value).toLocaleString("en")} of ${inner.toLocaleString("en")}`; })}
    ${slider("Edges", "edges", view.targetA ? `The edges between the nodes shown that pass on most influence to ${view.targetB ? "A − B" : "A"}. Keys: { and }`
      : "The edges between the nodes shown that pass on most influence. Keys: { and }",
      (value) => stepOf(value, total), (step) => edgesOf(step, total),
      (step) => `${(step === stepOf(view.edges, total) ? view.edges : edgesOf(step, total)).toLocaleString("en")} of ${total.toLocaleString("en")}`)}
    ${isBounded && html`<details class="more-controls"><summary>Density${view.minDensity > 0 || view.maxDensity < 1
      ? ` ${share(view.minDensity)} to ${share(view.maxDensity)}` : ""}</summary><div>
      ${slider("At least", "minDensity", "Features that are nodes in at least this share of the store's prompts",
        (value) => Math.round(STEPS * Math.cbrt(value)), densityOf, (step) => share(densityOf(step)))}
      ${slider("At most", "maxDensity", "Features that are nodes in at most this share of the store's prompts",
        (value) => Math.round(STEPS * Math.cbrt(value)), densityOf, (step) => share(densityOf(step)))}</div></details>`}
    <${Targets} graph=${graph} view=${view} act=${act} />${children}</div>`;
}

/** The choice of A and B among the targets, where there are several. */
function Targets({ graph, view, act }) {
  const targets = targetsOf(graph);
  if (!targets.length) return null;
  const choice = (name, label) => html`<label>${label} <select value=${view[name] ?? ""}
    onChange=${(event) => act(`target ${label}`, { [name]: event.target.value || null })}>
    <option value="">${name === "targetA" ? "all" : "none"}</option>
    ${targets.map((node) => html`<option value=${graph.keyOf(node)}>${graph.shortName(node)}</option>`)}</select></label>`;
  return html`<span class="targets" role="group" aria-label="Colours by direct effect on a target" title="Colour nodes by their direct effect on target A, or on A − B, and show the edges that pass on most influence to it">
    ${choice("targetA", "A")}${targets.length > 1 && view.targetA ? choice("targetB", "− B") : ""}</span>`;
}
