// Communities as colours of the features of a graph: the choice above the drawing, the looks of nodes, and the legend.
import { get } from "../api.js";
import { FEATURE } from "../graph_data.js";
import { html, useMemo } from "../lib.js";
import { useLoaded } from "../load.js";
import { hasCommunities, rowOf } from "../parts/communities.js";
import { counted, cut, visible } from "../text.js";

export const NUM_COLOURS = 6, NUM_FORMS = 3, NUM_LOOKS = NUM_COLOURS * NUM_FORMS;
const FORMS = ["●", "▲", "▼"], LONGEST = 60;
const nothing = Promise.resolve(null);

/** Return the value of the choice for a result and a level; null stands for the finest significant communities. */
const choiceOf = (result, level) => (level === null ? `${result}` : `${result}:${level}`);

/** Return { result, level } of a choice, or null for one that cannot be read. */
export function choiceIn(text) {
  const match = /^(\d{1,6})(?::(\d{1,6}))?$/.exec(text ?? "");
  return match && { result: Number(match[1]), level: match[2] === undefined ? null : Number(match[2]) };
}

/**
 * Hook: { results, chosen, found, error } of the communities in a graph. `results` are those that can be chosen; `found`
 * are the communities that are, the most influential in this graph first, each with the numbers of its `nodes`.
 */
export function useCommunities(graph, view, store) {
  const isThere = hasCommunities(store), chosen = choiceIn(view.communities);
  const levels = useLoaded((signal) => (isThere ? get("community_levels", {}, signal) : nothing), [isThere]);
  const loaded = useLoaded(async (signal) => {
    if (!chosen || !isThere) return null;
    const { communities } = await get("communities", { prompt: graph.values.prompt, ...chosen }, signal);
    return communities.map((one) => ({ ...one, nodes: one.members.map((key) => graph.nodeOf(key)).filter((node) => node >= 0) }));
  }, [graph, view.communities, isThere]);
  const found = chosen && !loaded.error && !loaded.isLoading ? loaded.value : null;
  return { results: levels.value?.results ?? [], chosen: isThere ? chosen : null, found, error: levels.error ?? (chosen && loaded.error) };
}

/** Return the look of every node: the place of its community, -1 for features without one and -2 for other nodes. */
export function looksOf(graph, found) {
  const looks = Int16Array.from(graph.kind, (kind) => (kind === FEATURE ? -1 : -2));
  found.forEach(({ nodes }, place) => nodes.forEach((node) => { looks[node] = place % NUM_LOOKS; }));
  return looks;
}

/** The choice of colours, where there are communities. */
export function ColourChoice({ communities, view, act }) {
  const { results } = communities;
  if (!results.length) return null;
  const options = results.flatMap(({ result, what, levels }) => [
    [choiceOf(result, null), `${what}${results.length > 1 ? ` (result ${result})` : ""}: significant ones`],
    ...levels.map((one) => [choiceOf(result, one.level), `${what}: level ${one.level}, all ${one.communities.toLocaleString("en")}`]),
  ]);
  return html`<label class="colours" title="Colours of features. Those of communities take the place of direct effects on targets">Colour by${" "}
    <select value=${view.communities ?? ""} onChange=${(event) => act("colours", { communities: event.target.value || null })}>
      <option value="">kind of node</option>
      ${options.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></label>`;
}

const markOf = (place) => {
  const look = place % NUM_LOOKS;
  return html`<span class=${`community-mark community-${look % NUM_COLOURS}`} aria-hidden="true">${FORMS[Math.floor(look / NUM_COLOURS)]}</span>`;
};

/** The communities in the graph with their colours; their names lead to their rows among the findings. */
export function CommunityLegend({ graph, communities }) {
  const { chosen, found, error } = communities;
  const without = useMemo(() => found && looksOf(graph, found).reduce((count, look) => count + (look === -1), 0), [graph, found]);
  if (error) return html`<p class="legend failed" role="alert">communities: ${error.message}</p>`;
  if (!chosen) return null;
  if (!found) return html`<p class="legend faint" role="status">Loading communities …</p>`;
  return html`<div class="legend community-legend" role="group" aria-label="Communities in this graph" tabindex="0">
    ${!found.length && html`<span class="faint">No feature of this graph is in such a community.</span>`}
    ${found.map((one, place) => html`<span key=${one.community}>${markOf(place)} <a href=${rowOf(chosen.result, one.community)}>${cut(visible(one.name), LONGEST)}</a>
      <span class="faint"> ${one.nodes.length.toLocaleString("en")}${one.verdict === "significant" ? "" : `, ${one.verdict}`}</span></span>`)}
    ${without > 0 && html`<span><span class="community-mark community-none" aria-hidden="true">${FORMS[0]}</span> ${counted(without, "feature")} without one</span>`}
    ${found.length > NUM_LOOKS && html`<span class="faint">Colours and forms repeat after the ${NUM_LOOKS} most influential of ${found.length.toLocaleString("en")}.</span>`}
  </div>`;
}
