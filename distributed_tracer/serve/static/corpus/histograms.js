// Histograms that filter: each counts the prompts that meet the conditions about all other columns.
import { html, useRef, useState } from "../lib.js";
import { counted, cut, number, plain } from "../text.js";
import { meaning, title } from "./columns.js";
import { bounds, setWhere, without } from "./view.js";

const [WIDTH, HEIGHT, FEW] = [200, 56, 6];

/** Return the bins that conditions leave: [first, last], numbers of bins. */
function chosen({ low, high, is_integer: isInteger }, { least, most }) {
  let first = 0, last = low.length - 1;
  if (least !== null) while (first < last && high[first] < least) first++;
  if (most !== null) while (last > first && (low[last] > most || (low[last] === most && high[last] > most && !isInteger))) last--;
  return [first, last];
}

/** Return the conditions after the bins from `first` to `last` of a column have been chosen. */
function rangeWhere(where, found, first, last) {
  const lower = first > 0 ? [`${found.name}>=${found.low[first]}`] : [];
  const upper = last < found.low.length - 1 ? [`${found.name}<=${found.high[last]}`] : [];
  return [...without(where, found.name), ...lower, ...upper];
}

function NumberBars({ found, view }) {
  const size = found.low.length;
  const now = chosen(found, bounds(view.where, found.name));
  const [drag, setDrag] = useState(null); // { from, to } while a pointer brushes
  const svg = useRef(null);
  const [first, last] = drag ? [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)] : now;
  const isChosen = first > 0 || last < size - 1;
  const most = Math.max(1, ...found.others.counts);
  const apply = (begin, end, merge = null) => setWhere(`range of ${title(found.name)}`, rangeWhere(view.where, found, begin, end), { merge });
  const binAt = (event) => {
    const box = svg.current.getBoundingClientRect();
    return Math.min(size - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * size)));
  };
  const down = (event) => {
    if (event.button) return;
    svg.current.setPointerCapture(event.pointerId);
    const at = binAt(event);
    setDrag({ from: at, to: at });
  };
  const move = (event) => drag && setDrag({ ...drag, to: binAt(event) });
  const up = () => {
    if (!drag) return;
    const isClickInside = drag.from === drag.to && now[0] === drag.from && now[1] === drag.from;
    setDrag(null);
    if (isClickInside) apply(0, size - 1);
    else apply(first, last);
  };
  const said = (bin) => `${number(found.low[bin])}${found.high[bin] === found.low[bin] ? "" : ` to ${number(found.high[bin])}`}`;
  const height = (count) => (count ? Math.max(1, (count / most) * HEIGHT) : 0);
  const bar = (counts, bin, kind) => html`
    <rect class=${kind} x=${(bin * WIDTH) / size} width=${Math.max(1, WIDTH / size - 1)} y=${HEIGHT - height(counts[bin])} height=${height(counts[bin])} />`;
  if (!size) return html`<p class="faint">no number is known</p>`;
  return html`
    <svg ref=${svg} class="bars" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true"
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => setDrag(null)}>
      ${isChosen && html`<rect class="brush" x=${(first * WIDTH) / size} width=${((last - first + 1) * WIDTH) / size} y="0" height=${HEIGHT} />`}
      ${found.low.map((_, bin) => html`<g>${bar(found.others.counts, bin, "others")}${bar(found.matching.counts, bin, "matching")}
        <rect class="whole" x=${(bin * WIDTH) / size} width=${WIDTH / size} y="0" height=${HEIGHT}><title>${said(bin)}: ${counted(found.matching.counts[bin], "prompt")}</title></rect></g>`)}
    </svg>
    <div class="sliders">
      <input type="range" min="0" max=${size - 1} step="1" value=${first} aria-label=${`${title(found.name)}: at least`} aria-valuetext=${number(found.low[first])}
        onInput=${(event) => apply(Math.min(Number(event.target.value), last), last, `least ${found.name}`)} />
      <input type="range" min="0" max=${size - 1} step="1" value=${last} aria-label=${`${title(found.name)}: at most`} aria-valuetext=${number(found.high[last])}
        onInput=${(event) => apply(first, Math.max(Number(event.target.value), first), `most ${found.name}`)} />
    </div>
    <p class="ends"><span>${number(found.low[first])}</span>${found.scale === "log" && html`<span class="faint">log scale</span>`}<span>${number(found.high[last])}</span></p>`;
}

function ValueBars({ found, view }) {
  const [isOpen, open] = useState(false);
  const most = Math.max(1, ...found.others.counts);
  const rows = found.values.map((value, place) => ({
    text: value === "" ? "(empty)" : cut(plain(value), 40), condition: found.conditions[place],
    others: found.others.counts[place], matching: found.matching.counts[place],
  }));
  if (found.all.missing) rows.push({ text: "(missing)", condition: `${found.name}=null`, others: found.others.missing, matching: found.matching.missing });
  const toggle = ({ condition, text }) => setWhere(
    `${title(found.name)}: ${text}`,
    view.where.includes(condition) ? view.where.filter((one) => one !== condition) : [...without(view.where, found.name), condition],
  );
  const isFew = rows.length <= FEW + 1 || isOpen;
  return html`
    <ul class="values">${(isFew ? rows : rows.slice(0, FEW)).map((row) => html`<li>
      <button type="button" disabled=${!row.condition} aria-pressed=${view.where.includes(row.condition)} onClick=${() => toggle(row)}>
        <span class="bar others" style=${{ width: `${(100 * Math.min(1, row.others / most)).toFixed(2)}%` }}></span>
        <span class="bar matching" style=${{ width: `${(100 * Math.min(1, row.matching / most)).toFixed(2)}%` }}></span>
        <span class="text">${row.text}</span><span class="count">${row.matching.toLocaleString("en")}</span></button></li>`)}
    </ul>
    <p class="ends">
      ${found.all.rest > 0 && html`<span class="faint">${counted(found.matching.rest, "prompt")} with other values</span>`}
      ${rows.length > FEW + 1 && html`<button type="button" class="more" aria-expanded=${isOpen} onClick=${() => open(!isOpen)}>${isOpen ? "fewer" : `${rows.length - FEW} more`}</button>`}
    </p>`;
}

/** All histograms. `found` is the answer of the API's /histograms. */
export function Histograms({ found, names, view, columns, choose }) {
  const [isOpen, open] = useState(() => window.innerHeight > 500);
  const byName = new Map((found?.columns ?? []).map((one) => [one.name, one]));
  const rest = columns.filter((column) => !names.includes(column.name));
  return html`
    <details class="histograms" open=${isOpen} onToggle=${(event) => open(event.target.open)}>
      <summary>Distributions</summary>
      <div class="cards">
        ${names.map((name) => {
          const own = byName.get(name);
          return html`<section key=${name} class="card" aria-label=${`Distribution of ${title(name)}`}>
            <h2 title=${meaning(name)}>${title(name)}<button type="button" class="close" title="hide this distribution" aria-label=${`hide the distribution of ${title(name)}`}
              onClick=${() => choose(names.filter((one) => one !== name))}>×</button></h2>
            ${!own ? html`<p class="waiting">…</p>` : own.values ? html`<${ValueBars} found=${own} view=${view} />` : html`<${NumberBars} found=${own} view=${view} />`}
          </section>`;
        })}
        ${rest.length > 0 && html`<label class="add"><span class="unseen">Add a distribution</span>
          <select value="" onChange=${(event) => { if (event.target.value) choose([...names, event.target.value]); event.target.value = ""; }}>
            <option value="">Add a distribution …</option>${rest.map((column) => html`<option value=${column.name}>${title(column.name)}</option>`)}</select></label>`}
      </div>
    </details>`;
}
