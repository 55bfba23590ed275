// The map of prompts: near each other where their graphs are alike, coloured by a column, with regions that filter.
import { getArraysOnceThere } from "../api.js";
import { html, useRef, useState } from "../lib.js";
import { NotThere } from "../load.js";
import { counted, cut, number, percent, plain } from "../text.js";
import { title } from "./columns.js";
import { MapCanvas, useTheme } from "./map_canvas.js";
import { categoryColours, mapColours } from "./map_paint.js";
import { usePolled } from "./poll.js";
import { REGION } from "./region.js";
import { act, setWhere, without } from "./view.js";

const WAIT = 500, COLOURED = 8;
const share = (value) => percent(value).replace("+", "");

/** What the picture can say, and what it cannot. */
function Facts({ facts, count }) {
  const axes = facts.share_of_axes, both = axes[0] === null ? null : axes[0] + axes[1];
  const unread = facts.num_prompts - facts.num_chosen, others = count + facts.num_without_influence + facts.num_without_edges - facts.num_spanning;
  return html`
    <div class="facts-of-map">
      <p>Each point is a prompt. Distances are those between graphs: between the square roots of the shares of influence that edges between features pass on.
        ${" "}${both === null ? "All graphs are equal." : html`These two dimensions hold <strong>${share(both)}</strong> of the variance (${axes.map(share).join(" and ")});
        if all ${(facts.num_spanning - 1).toLocaleString("en")} dimensions held the same, two would hold ${share(Math.min(1, 2 / (facts.num_spanning - 1)))}.`}</p>
      ${facts.num_neighbours > 0 && both !== null && html`<p>Of the ${facts.num_neighbours === 1 ? "most similar graph" : `${facts.num_neighbours} most similar graphs`} of a prompt,
        ${" "}${share(facts.neighbours_kept)} ${facts.num_neighbours === 1 ? "is the nearest point" : "are among as many nearest points"}, on average. Points that are far apart have
        unlike graphs; points that are near may still differ in other dimensions.</p>`}
      ${others > 0 && html`<p>A sample of ${counted(facts.num_spanning, "prompt")} spans the plane; the others are placed in it.</p>`}
      ${unread > 0 && html`<p>${counted(unread, "prompt")} of ${facts.num_prompts.toLocaleString("en")} ${unread === 1 ? "has" : "have"} no point: the others are a sample, by a hash of ids.</p>`}
      ${facts.num_without_edges > 0 && html`<p>${counted(facts.num_without_edges, "prompt")} without edges between features ${facts.num_without_edges === 1 ? "has" : "have"} no point.</p>`}
      ${facts.num_without_influence > 0 && html`<p>${counted(facts.num_without_influence, "prompt")} whose influence is not known ${facts.num_without_influence === 1 ? "has" : "have"} no point.</p>`}
    </div>`;
}

function Swatch({ colour }) {
  return html`<svg class="swatch" width="10" height="10" aria-hidden="true"><circle cx="5" cy="5" r="4.5" fill=${colour} /></svg>`;
}

function Legend({ shown, view }) {
  const legend = shown?.values.legend;
  if (!legend) return "";
  const colours = categoryColours(legend, mapColours());
  if (legend.low) {
    if (!legend.low.length) return html`<p class="faint">no number is known</p>`;
    return html`<div class="ramp"><svg viewBox=${`0 0 ${legend.low.length} 1`} preserveAspectRatio="none" aria-hidden="true">
      ${legend.low.map((_, bin) => html`<rect x=${bin} width="1.02" height="1" fill=${colours[bin]} />`)}</svg>
      <p class="ends"><span>${number(legend.low[0])}</span>${legend.scale === "log" && html`<span>log scale</span>`}<span>${number(legend.high[legend.high.length - 1])}</span></p></div>`;
  }
  const only = (place) => setWhere(`${title(legend.name)}: ${plain(legend.values[place])}`, view.where.includes(legend.conditions[place])
    ? view.where.filter((one) => one !== legend.conditions[place]) : [...without(view.where, legend.name), legend.conditions[place]]);
  return html`<ul class="legend">${legend.values.slice(0, COLOURED).map((value, place) => html`<li>
      <button type="button" disabled=${!legend.conditions[place]} aria-pressed=${view.where.includes(legend.conditions[place])} onClick=${() => only(place)}>
        <${Swatch} colour=${colours[place]} /> ${value === "" ? "(empty)" : cut(plain(value), 30)}</button></li>`)}
    ${shown.arrays.category.some((one) => one >= Math.min(COLOURED, legend.values.length)) && html`<li class="faint"><${Swatch} colour=${mapColours().faint} />
      ${legend.num_distinct > Math.min(COLOURED, legend.values.length) ? "other values, or none" : "none"}</li>`}</ul>`;
}

function Open({ view, columns, current, numStored }) {
  const [tool, use] = useState("rectangle");
  const [isZoomed, zoom] = useState(false);
  const [asked, anew] = useState(0);
  const made = useRef(0); // the latest "make it anew" that the server was asked
  const places = usePolled(
    (signal) => getArraysOnceThere("map", asked && asked !== made.current ? { anew: true } : {}, signal).then((found) => { made.current = asked; return found; }),
    (found) => (found?.waiting ? WAIT : null), [asked, numStored],
  );
  const known = columns.filter((column) => column.kind !== "other" && column.name !== "part");
  const usual = known.find((column) => column.source === "metadata" && column.kind === "text")?.name ?? "replacement";
  const column = view.colour === "" || view.colour === null ? usual : view.colour === "none" ? "" : view.colour;
  const facts = places.value?.values, id = facts?.id;
  const shown = usePolled(
    (signal) => (id ? getArraysOnceThere("map/points", { map: id, where: view.where, search: view.search, column }, signal) : Promise.resolve(null)),
    (found) => (found?.waiting ? WAIT : null), [JSON.stringify([id, view.where, view.search, column])],
  );
  const last = useRef(null); // stays until points with other conditions have come
  if (shown.value && !shown.value.waiting) last.current = shown.value;
  const theme = useTheme();
  if (places.error) return html`<p class="failed" role="alert">${places.error.message}</p>`;
  if (!places.value) return html`<${NotThere} what="the map" />`;
  const { waiting } = places.value;
  if (waiting) return html`<p class="waiting" role="status">The map is being made: ${waiting.done.toLocaleString("en")} of ${waiting.total ? waiting.total.toLocaleString("en") : "…"} graphs read
    ${" "}<progress max=${Math.max(1, waiting.total)} value=${waiting.done} aria-label="graphs read"></progress></p>`;
  const hasRegion = view.where.some((condition) => condition.startsWith(`${REGION}=`));
  return html`
    <div class="map-and-facts">
      <${MapCanvas} places=${places.value} shown=${last.current?.values.id === id ? last.current : null} tool=${tool} view=${view} column=${column} current=${current} isZoomed=${isZoomed && hasRegion}
        choose=${(condition) => setWhere("region of the map", [...without(view.where, REGION), condition])} />
      <div class="beside">
        <div class="tools-of-map">
          <label>Colour <select value=${column || "none"} onChange=${(event) => act("colour the map", { colour: event.target.value }, { merge: "colour of the map" })}>
            <option value="none">one colour</option>${known.map((one) => html`<option value=${one.name}>${cut(title(one.name), 40)}</option>`)}</select></label>
          <fieldset><legend class="unseen">What a drag draws</legend>${["rectangle", "lasso"].map((name) => html`
            <label><input type="radio" name="tool of the map" checked=${tool === name} onChange=${() => use(name)} /> ${name}</label>`)}</fieldset>
          ${hasRegion && html`<button type="button" aria-pressed=${isZoomed} onClick=${() => zoom(!isZoomed)}>${isZoomed ? "Show all" : "Zoom to the region"}</button>
            <button type="button" onClick=${() => setWhere("clear the region of the map", without(view.where, REGION))}>Clear the region</button>`}
        </div>
        ${shown.error && html`<p class="failed" role="alert">${shown.error.message}</p>`}
        <${Legend} key=${theme} shown=${last.current} view=${view} />
        ${facts.num_new > 0 && html`<p>${counted(facts.num_new, "prompt")} came later. <button type="button" onClick=${() => anew(asked + 1)}>Make the map anew</button></p>`}
        <${Facts} facts=${facts} count=${places.value.arrays.x.length} />
      </div>
    </div>`;
}

/** The map, which the server makes once this is opened. `current` is the id of the table's current row, or null. */
export function PromptMap({ view, columns, current, numStored }) {
  const toggle = (event) => {
    if (event.target.open !== view.hasMap) act(event.target.open ? "open the map" : "close the map", { map: event.target.open ? "open" : null });
  };
  return html`
    <details class="prompt-map" open=${view.hasMap} onToggle=${toggle}>
      <summary>Map of like graphs</summary>
      ${view.hasMap && html`<${Open} view=${view} columns=${columns} current=${current} numStored=${numStored} />`}
    </details>`;
}
