// Search box, conditions that are typed, and a chip for each condition.
import { html, useEffect, useRef, useState } from "../lib.js";
import { cut, number, visible } from "../text.js";
import { title } from "./columns.js";
import { REGION } from "./region.js";
import { act, parsed, setWhere } from "./view.js";

const DELAY = 250;

/** The search box. `input` is a ref, for the key that leads here. */
export function SearchBox({ view, input }) {
  const [text, set] = useState(view.search);
  const timer = useRef(null);
  useEffect(() => { set(view.search); }, [view.search]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const search = (value) => act(value ? "search" : "clear the search", { search: value, offset: null, set: null }, { merge: "search" });
  const typed = (event) => {
    const { value } = event.target;
    set(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => search(value), DELAY);
  };
  return html`
    <label class="search"><span class="unseen">Search in ids, texts and answers</span>
      <input ref=${input} type="search" placeholder="Search in ids, texts and answers" value=${text} onInput=${typed}
        onKeyDown=${(event) => { if (event.key === "Escape") input.current.blur(); }} />
    </label>`;
}

/** The field for conditions as the command line has them. */
export function ConditionField({ view, columns }) {
  const [text, set] = useState("");
  const add = (event) => {
    event.preventDefault();
    const condition = text.trim();
    if (!condition) return;
    if (!view.where.includes(condition)) setWhere(`condition ${condition}`, [...view.where, condition]);
    set("");
  };
  return html`
    <form class="condition" onSubmit=${add}>
      <label><span class="unseen">Condition, such as replacement>=0.8</span>
        <input list="column-names" placeholder="replacement>=0.8" value=${text} maxlength="2000" onInput=${(event) => set(event.target.value)} /></label>
      <datalist id="column-names">${columns.map((column) => html`<option value=${column.name} />`)}</datalist>
      <button disabled=${!text.trim()}>Add condition</button>
    </form>`;
}

/** Return the chips of conditions: a lower and an upper bound of one column are one chip. */
export function chipsOf(where) {
  const chips = [], ranges = new Map();
  for (const condition of where) {
    const found = parsed(condition);
    if (found && found.sign !== "=") {
      const chip = ranges.get(found.key);
      if (chip && !chip[found.sign]) {
        chip[found.sign] = found.value;
        chip.conditions.push(condition);
        continue;
      }
      const range = { key: found.key, [found.sign]: found.value, conditions: [condition] };
      ranges.set(found.key, range);
      chips.push(range);
    } else chips.push({ key: found?.key, value: found?.value, conditions: [condition] });
  }
  return chips;
}

const short = (value) => (/^-?[\d.]+(e[+-]?\d+)?$/i.test(value) ? number(Number(value)) : cut(visible(value), 40));

/** Return a chip in words. */
export function chipText(chip) {
  const [least, most] = [chip[">="], chip["<="]];
  if (chip.key === REGION) return "a region of the map";
  if (chip.key === undefined) return cut(visible(chip.conditions[0]), 60);
  if (least !== undefined && most !== undefined) return `${title(chip.key)}: ${short(least)} to ${short(most)}`;
  if (least !== undefined) return `${title(chip.key)} ≥ ${short(least)}`;
  if (most !== undefined) return `${title(chip.key)} ≤ ${short(most)}`;
  return `${title(chip.key)}: ${chip.value === "null" ? "missing" : chip.value === "" ? "empty" : cut(visible(chip.value), 40)}`;
}

export function Chips({ view }) {
  const chips = chipsOf(view.where);
  if (!chips.length && !view.search) return "";
  const remove = (chip) => setWhere(`remove ${chipText(chip)}`, view.where.filter((one) => !chip.conditions.includes(one)));
  return html`
    <ul class="chips" aria-label="Conditions">
      ${view.search && html`<li><button type="button" title="remove the search" onClick=${() => act("clear the search", { search: null, offset: null, set: null })}>
        contains: ${cut(visible(view.search), 40)} <span aria-hidden="true">×</span><span class="unseen">, remove</span></button></li>`}
      ${chips.map((chip) => html`<li><button type="button" title=${`remove ${chip.key === REGION ? chipText(chip) : visible(chip.conditions.join(" and "))}`} onClick=${() => remove(chip)}>
        ${chipText(chip)} <span aria-hidden="true">×</span><span class="unseen">, remove</span></button></li>`)}
      ${chips.length + Boolean(view.search) > 1 && html`<li><button type="button" class="all"
        onClick=${() => act("remove all conditions", { where: [], search: null, offset: null, set: null })}>Remove all</button></li>`}
    </ul>`;
}
