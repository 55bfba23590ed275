// Suggested supernodes, which a reader accepts or refuses, one by one or all.
import { get } from "../api.js";
import { html, useState } from "../lib.js";
import { KINDS } from "../parts/communities.js";
import { counted, cut, visible } from "../text.js";
import { perform } from "../undo.js";
import { choiceIn } from "./communities.js";
import { joinedKeys } from "./subgraph_scores.js";

const SUGGESTED = "Features of a suggestion have similar paths from the tokens and to the targets. It is a first guess, not a finding.";
const MINED = "Features of a community do the same in many prompts; the page of findings says how far to trust it.";

/**
 * The suggestions for a graph. `act` changes the view; `pinned` are the keys of the nodes that are shown. Communities of
 * the server's results are suggested too: those that colour the graph, or else the significant ones.
 */
export function Suggestions({ graph, view, act, store, pinned }) {
  const mined = store.results.filter(({ what }) => KINDS.includes(what)), coloured = choiceIn(view.communities);
  const [found, setFound] = useState(null); // lists of { name, members }, or null before anybody asked
  const [{ isBusy, error }, setState] = useState({ isBusy: false, error: null });
  const [words, setWords] = useState({ said: SUGGESTED, none: "" });
  const [isOfPins, setOfPins] = useState(false);
  const [similarity, setSimilarity] = useState(0.3);
  const grouped = new Set(view.groups.flatMap(({ members }) => members));
  const free = ({ members }) => members.filter((key) => !grouped.has(key) && graph.nodeOf(key) >= 0);

  const ask = () => {
    const asked = { prompt: graph.values.prompt, min_similarity: similarity, node: isOfPins ? joinedKeys(pinned) : [] };
    return look(async () => (await get("suggested_groups", asked)).groups, { said: SUGGESTED, none: "No features have the same role." });
  };
  const askFor = (result) => {
    const level = coloured?.result === result ? coloured.level : null, none = "No feature of this graph is in such a community.";
    return look(async () => (await get("communities", { prompt: graph.values.prompt, result, level })).communities, { said: MINED, none });
  };
  async function look(load, words) {
    setState({ isBusy: true, error: null });
    try {
      const groups = await load();
      setFound(groups.map(({ name, members }, number) => ({ name, members, number })));
      setWords(words);
      setState({ isBusy: false, error: null });
    } catch (failure) {
      setState({ isBusy: false, error: failure.message });
    }
  }
  function accept(some) {
    const groups = [...view.groups], taken = new Set(grouped);
    for (const { name, members } of some) {
      const left = members.filter((key) => !taken.has(key) && graph.nodeOf(key) >= 0);
      for (const key of left) taken.add(key);
      if (left.length) groups.push({ name, members: left });
    }
    act(some.length === 1 ? `accept the supernode ${visible(some[0].name)}` : `accept ${counted(some.length, "supernode")}`, { groups });
  }
  function refuse(some) {
    const gone = new Set(some.map(({ number }) => number));
    const without = (list) => list.filter(({ number }) => !gone.has(number));
    const before = found;
    perform({ label: `refuse ${counted(some.length, "suggestion")}`, run: () => setFound(without), revert: () => setFound(before) });
  }
  const left = (found ?? []).filter((one) => free(one).length > 0);
  return html`<section class="sg-suggestions" aria-label="Suggested supernodes">
    <div class="sg-row">
      <button type="button" disabled=${isBusy || (isOfPins && !pinned.length)} onClick=${ask}>${isBusy ? "Looking …" : "Suggest supernodes"}</button>
      ${mined.map(({ name, what }) => html`<button type="button" disabled=${isBusy} title="Suggest the communities that were mined" onClick=${() => askFor(Number(name))}>
        Communities (${what}${mined.length > 1 ? ` ${name}` : ""})</button>`)}
      <label><input type="checkbox" checked=${isOfPins} onChange=${(event) => setOfPins(event.target.checked)} /> of what is shown here only</label>
      <label title="0: anything goes together; 1: only what does the same">least similarity
        ${" "}<input type="number" class="sg-number" min="0" max="1" step="0.05" value=${similarity} onChange=${(event) => setSimilarity(Math.min(Math.max(Number(event.target.value) || 0, 0), 1))} /></label>
    </div>
    ${error && html`<p class="failed" role="alert">${error}</p>`}
    ${found && !left.length && html`<p class="faint" role="status">${found.length ? "No suggestion is left." : words.none}</p>`}
    ${left.length > 0 && html`
      <p class="faint">${words.said}</p>
      <div class="sg-row"><button type="button" onClick=${() => accept(left)}>Accept all ${left.length}</button>
        <button type="button" onClick=${() => refuse(left)}>Refuse all</button></div>
      <ul class="sg-list">${left.map((one) => html`<li key=${one.number}>
        <span class="sg-what"><span>${cut(visible(one.name), 120)}</span> <span class="faint">${counted(free(one).length, "feature")}${free(one).length < one.members.length ? `, ${one.members.length - free(one).length} in other supernodes` : ""}</span></span>
        <button type="button" aria-label=${`Accept ${visible(one.name)}`} onClick=${() => accept([one])}>Accept</button>
        <button type="button" aria-label=${`Refuse ${visible(one.name)}`} onClick=${() => refuse([one])}>Refuse</button></li>`)}</ul>`}
  </section>`;
}
