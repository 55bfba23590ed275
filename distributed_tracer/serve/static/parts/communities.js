// Communities of features in the results that the server shows: which a feature has, with links to their rows.
import { href } from "../address.js";
import { get } from "../api.js";
import { html } from "../lib.js";
import { useLoaded } from "../load.js";
import { counted, cut, visible } from "../text.js";

export const KINDS = ["roles", "pathways"];
const LONGEST = 80;

/** Return whether a result of the server may have communities. */
export const hasCommunities = (store) => store.results.some(({ what }) => KINDS.includes(what));

/** The address of a community's row among the findings. */
export const rowOf = (result, community) =>
  href("findings", { result, table: "communities", where: `community=${community}`, sort: "community" });

/** The communities of a feature, the coarsest first; nothing if the server shows none. */
export function FeatureCommunities({ layer, feature, store }) {
  return hasCommunities(store) && html`<${Listed} key=${`${layer}:${feature}`} layer=${layer} feature=${feature} />`;
}

function Listed({ layer, feature }) {
  const { value, error } = useLoaded((signal) => get("feature_communities", { layer, feature }, signal), [layer, feature]);
  if (error) return html`<p class="failed" role="alert">communities: ${error.message}</p>`;
  if (!value) return null;
  if (!value.communities.length) return html`<p class="faint">in no community that was mined</p>`;
  return html`<h3>Communities</h3><ul class="plain communities" aria-label="Communities">${value.communities.map((one) => html`<li>
    <a href=${rowOf(one.result, one.community)}>${cut(visible(one.name), LONGEST)}</a>
    <span class="faint"> level ${one.level}, ${counted(one.size, "feature")}, ${one.verdict}</span></li>`)}</ul>`;
}
