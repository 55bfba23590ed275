// Histogram: counts in bins as bars, and the same in numbers.
import { html } from "../lib.js";
import { counted, number } from "../text.js";

const WIDTH = 320, HEIGHT = 90;

/** `histogram` has `counts` and `edges`, one more; bars have the width of their bins. `what` names what is counted. */
export function Histogram({ histogram, what, isShort = false }) {
  const { counts, edges } = histogram, total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return "";
  const low = edges[0], span = edges[edges.length - 1] - low || 1, most = Math.max(...counts);
  const x = (value) => (WIDTH * (value - low)) / span;
  const said = `Histogram of the activation of ${counted(total, what)}, from ${number(low)} to ${number(low + span)}; at most ${counted(most, what)} in a bin`;
  return html`<figure class="histogram">
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${said}>
      ${counts.map((count, k) => count > 0 && html`
        <rect x=${x(edges[k])} width=${Math.max(1, x(edges[k + 1]) - x(edges[k]) - 1)}
          y=${HEIGHT - Math.max(2, (HEIGHT * count) / most)} height=${Math.max(2, (HEIGHT * count) / most)}>
          <title>${`${number(edges[k])} to ${number(edges[k + 1])}: ${counted(count, what)}`}</title></rect>`)}
    </svg>
    <figcaption><span>${number(low)}</span><span>activation of ${counted(total, what)}; the highest bar has ${count(most)}</span><span>${number(low + span)}</span></figcaption>
    ${!isShort && html`<details><summary>Numbers</summary>
      <table><thead><tr><th class="number">from</th><th class="number">to</th><th class="number">${what}s</th></tr></thead>
        <tbody>${counts.map((value, k) => html`<tr><td class="number">${number(edges[k])}</td><td class="number">${number(edges[k + 1])}</td><td class="number">${number(value)}</td></tr>`)}</tbody></table>
    </details>`}
  </figure>`;
}

const count = (value) => value.toLocaleString("en");
