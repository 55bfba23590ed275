// The result of an intervention: next tokens before and after, generated text, the supernodes' states, and a picture.
import { download } from "../download.js";
import { html, useMemo, useRef } from "../lib.js";
import { tokenText, visible } from "../text.js";
import { sceneOf } from "./subgraph_scene.js";
import { png, svgText } from "./subgraph_picture.js";
import { mergedEdges, unitsOf } from "./subgraph_units.js";

const LEAST_SHARE = 0.03, WEAK = 0.25; // of its reference activation: drawn as off

const shareText = (share) => (share === null || share === undefined ? "unknown" : `${Math.round(100 * share)}%`);
const probability = (p) => (p >= 0.0005 ? p.toFixed(3) : p.toExponential(0));

/** Next tokens as pairs of bars. The table has the numbers. */
function NextTokens({ tokens }) {
  return html`<table class="iv-tokens"><caption>Next token</caption>
    <thead><tr><th scope="col">token</th><th scope="col" class="number">before</th><th scope="col" class="number">after</th><th scope="col"><span class="unseen">bars</span></th></tr></thead>
    <tbody>${tokens.map(({ token, before, after }) => html`<tr>
      <th scope="row" class="hostile">${tokenText(token)}</th><td class="number">${probability(before)}</td><td class="number">${probability(after)}</td>
      <td><svg class="iv-bars" viewBox="0 0 100 18" preserveAspectRatio="none" aria-hidden="true">
        <rect class="iv-before" x="0" y="1" height="7" width=${Math.max(100 * before, 0.4)} />
        <rect class="iv-after" x="0" y="10" height="7" width=${Math.max(100 * after, 0.4)} /></svg></td></tr>`)}</tbody></table>`;
}

function States({ supernodes }) {
  if (!supernodes.length) return null;
  return html`<table class="iv-states"><caption>Supernodes: activation as a share of that in this graph</caption>
    <thead><tr><th scope="col">supernode</th><th scope="col">set</th><th scope="col" class="number">before</th><th scope="col" class="number">after</th></tr></thead>
    <tbody>${supernodes.map((one) => html`<tr>
      <th scope="row">${visible(one.name)}</th><td>${one.set ? `${one.set}${one.replaces ? ` for ${visible(one.replaces)}` : ""}` : ""}</td>
      <td class="number">${shareText(one.before)}</td><td class="number">${shareText(one.after)}</td></tr>`)}</tbody></table>`;
}

/** The intervention graph: the diagram of the supernodes, each with what is left of it; lines weaken with their source. */
function Diagram({ graph, result, holder }) {
  const { scene, states } = useMemo(() => {
    const own = result.supernodes.filter(({ replaces }) => !replaces);
    const groups = own.map(({ name }) => ({ name, members: result.sources[name] ?? [] }));
    const targets = Array.from(graph.kind.keys()).filter((node) => graph.kind[node] === 3).slice(0, 3).map((node) => graph.keyOf(node));
    const units = unitsOf(graph, groups, targets);
    const edges = mergedEdges(graph, units).filter(({ share }) => Math.abs(share) >= LEAST_SHARE).slice(0, 60);
    const found = sceneOf(graph, units, edges, new Map());
    const swapped = new Map(result.supernodes.filter(({ replaces }) => replaces).map((one) => [one.replaces, one]));
    return { scene: found, states: found.boxes.map(({ unit }) => (unit.group < 0 ? null : { ...own[unit.group], by: swapped.get(own[unit.group].name) })) };
  }, [graph, result]);
  if (!scene.boxes.some(({ unit }) => unit.group >= 0)) return null;
  const xs = scene.boxes.flatMap(({ x, width }) => [x - width / 2, x + width / 2]), ys = scene.boxes.flatMap(({ y, height }) => [y - height / 2 - 16, y + height / 2]);
  const [left, top] = [Math.min(...xs) - 10, Math.min(...ys) - 10], [wide, tall] = [Math.max(...xs) - left + 10, Math.max(...ys) - top + 10];
  holder.current = { scene };
  return html`<svg class="iv-diagram" role="img" aria-label="Intervention graph; the table has its numbers" viewBox=${`${left} ${top} ${wide} ${tall}`}
      ref=${(element) => { if (holder.current) holder.current.element = element; }}><g>
    ${scene.edges.map((edge) => {
      const after = states[edge.source]?.after, left = after === null || after === undefined ? 1 : Math.min(Math.max(after, 0), 1);
      return html`<g class=${`sg-edge sg-${edge.share < 0 ? "negative" : "positive"}`} opacity=${(0.15 + 0.85 * left).toFixed(2)}>
        <path class="sg-line" d=${edge.line} stroke-width=${edge.width.toFixed(2)} /><path class="sg-head" d=${edge.head} /></g>`;
    })}
    ${scene.boxes.map((box, number) => html`<${StateBox} box=${box} state=${states[number]} />`)}
  </g></svg>`;
}

function StateBox({ box, state }) {
  const { x, y, width, height, title, kind } = box, left = x - width / 2, top = y - height / 2;
  const isWeak = state?.after !== null && state?.after !== undefined && state.after <= WEAK;
  const mark = state?.by ? `${visible(state.by.name)} ${shareText(state.by.after)}` : state?.set ?? "";
  return html`<g class=${`sg-box sg-kind-${kind}${isWeak ? " iv-weak" : ""}${state?.set || state?.by ? " iv-set" : ""}`}>
    <rect class="sg-frame" x=${left} y=${top} width=${width} height=${height} rx="8" />
    ${title.map((line, k) => html`<text class="sg-title" x=${x} y=${top + 19 + 17 * k}>${line}</text>`)}
    <text class="sg-place" x=${x} y=${top + 16 + 17 * title.length}>${state ? `${shareText(state.before)} → ${shareText(state.after)}` : box.place}</text>
    ${mark && html`<text class="iv-mark" x=${left} y=${top - 5}>${mark}</text>`}
  </g>`;
}

export function Result({ graph, result }) {
  const holder = useRef(null), { generated } = result;
  const save = async (kind) => {
    const { element, scene } = holder.current, text = svgText(element, scene);
    download(kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await png(text), `intervention.${kind}`);
  };
  return html`<div class="iv-result">
    <${NextTokens} tokens=${result.next_tokens} />
    ${generated && html`<dl class="iv-texts"><dt>goes on before</dt><dd class="hostile">${visible(generated.before)}</dd>
      <dt>goes on after</dt><dd class="hostile">${visible(generated.after)}</dd></dl>`}
    <${Diagram} graph=${graph} result=${result} holder=${holder} />
    ${result.supernodes.length > 0 && html`<p class="commands"><button type="button" onClick=${() => save("svg")}>Picture as SVG</button>
      <button type="button" onClick=${() => save("png")}>as PNG</button></p>`}
    <${States} supernodes=${result.supernodes} />
  </div>`;
}
