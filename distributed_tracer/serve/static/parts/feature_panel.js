// FeaturePanel: what is known about a feature, for its page and, short, for the side of a graph.
import { href } from "../address.js";
import { get } from "../api.js";
import { html } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { counted, number, percent, tokenText, visible } from "../text.js";
import { FeatureCommunities } from "./communities.js";
import { Contexts, contextsSaid } from "./contexts.js";
import { TokenList } from "./feature_lists.js";
import { Histogram } from "./histogram.js";
import { LabelEditor } from "./label_editor.js";

const QUANTILES = [0.5, 0.9, 0.99];
const SHORT_CONTEXTS = 5, SHORT_TOKENS = 6, SHORT_PLACES = 6;
const share = (value) => percent(value).replace("+", "");

/** Hook: the facts of a feature. */
export function useFeature(layer, feature) {
  return useLoaded((signal) => get("feature", { layer, feature }, signal), [layer, feature]);
}

/** Counts of the feature's nodes and, with a profile, of the tokens at which it is active. */
export function Facts({ facts }) {
  const { nodes, profile } = facts;
  const quantiles = profile ? QUANTILES.map((wanted) => [wanted, profile.quantiles[profile.quantile_shares.indexOf(wanted)]])
    .filter(([, value]) => value !== undefined).map(([wanted, value]) => `${100 * wanted}%: ${number(value)}`) : [];
  return html`<dl class="pairs feature-facts">
    <dt>graphs</dt><dd>${nodes.num_nodes
      ? html`a node of ${nodes.num_prompts.toLocaleString("en")} of ${counted(nodes.prompts_in_store, "graph")} (${counted(nodes.num_nodes, "node")});
        activation up to ${number(nodes.max_activation)}, mean ${number(nodes.mean_activation)}; mean influence ${number(nodes.mean_influence)}`
      : visible(facts.not_a_node) || "no graph has it as a node"}</dd>
    <dt>profile</dt><dd>${profile
      ? html`active at ${profile.num_active_tokens.toLocaleString("en")} of ${counted(profile.num_tokens, "token")} (${share(profile.density)}),
        in ${profile.num_active_prompts.toLocaleString("en")} of ${counted(profile.num_prompts, "text")}`
      : facts.has_profile ? "active nowhere in the profile's texts" : "none: the server was started without --profile"}</dd>
    ${quantiles.length > 0 && html`<dt>quantiles</dt><dd>${quantiles.join(", ")}</dd>`}
    ${facts.num_damaged > 0 && html`<dt class="failed">damage</dt><dd>${counted(facts.num_damaged, "annotation")} of this store cannot be read and ${facts.num_damaged === 1 ? "is" : "are"} left out; the command verify says more</dd>`}
  </dl>`;
}

/** The histogram of the activation, which says what it counts. */
export function Activations({ facts, isShort = false }) {
  if (!facts.histogram) return html`<p class="faint">unknown: it is active nowhere that this server knows of</p>`;
  return html`<${Histogram} histogram=${facts.histogram} what=${facts.histogram.of === "profile" ? "token" : "node"} isShort=${isShort} />`;
}

/** Promoted and suppressed tokens; nothing is known of them without a profile with weights. */
export function Promoted({ facts, most = Infinity }) {
  if (!facts.promoted.length && !facts.suppressed.length)
    return html`<p class="faint">unknown: ${facts.profile ? "the profile was made without them" : "they come with a profile"}</p>`;
  return html`<h3>Raises</h3><${TokenList} tokens=${facts.promoted} most=${most} />
    <h3>Lowers</h3><${TokenList} tokens=${facts.suppressed} most=${most} />`;
}

function Places({ layer, feature, most }) {
  const found = useLoaded((signal) => get("occurrences", { layer, feature, limit: most }, signal), [layer, feature, most]);
  if (!found.value) return html`<${NotThere} error=${found.error} what="where it acts" />`;
  const { rows, num_nodes } = found.value;
  if (!rows.length) return html`<p class="faint">It is a node of no graph.</p>`;
  return html`<ul class="plain places">${rows.map((row) => html`<li>
      <a href=${href("graph", { prompt: row.prompt, node: row.key })}>${visible(row.prompt)}</a>
      ${" "}<span class="faint">at ${row.position} <span class="token-name">${tokenText(row.token)}</span>, influence ${number(row.influence)}</span></li>`)}</ul>
    ${num_nodes > rows.length && html`<p><a href=${href("feature", { layer, feature })}>all ${counted(num_nodes, "node")}</a></p>`}`;
}

/** What is known about a feature. `isShort` is for the side of another page, which may show the labels itself. */
export function FeaturePanel({ layer, feature, store, isShort = true, hasLabels = true }) {
  const loaded = useFeature(layer, feature), facts = loaded.value;
  const isThis = facts && facts.layer === layer && facts.feature === feature;
  if (!isThis) return html`<${NotThere} error=${loaded.error} what=${`feature ${layer}:${feature}`} />`;
  return html`<div class="feature-panel">
    ${hasLabels && html`<p><a href=${href("feature", { layer, feature })}>Page of feature ${layer}:${feature}</a></p>
      <h3>Labels</h3><${LabelEditor} layer=${layer} feature=${feature} store=${store} initial=${facts.labels} />
      <${FeatureCommunities} layer=${layer} feature=${feature} store=${store} />`}
    <${Facts} facts=${facts} />
    <h3>Contexts</h3><p class="faint">${contextsSaid(facts)}</p>
    <${Contexts} contexts=${facts.contexts} of=${facts.contexts_of} most=${isShort ? SHORT_CONTEXTS : Infinity} />
    <h3>Activation</h3><${Activations} facts=${facts} isShort=${isShort} />
    <${Promoted} facts=${facts} most=${isShort ? SHORT_TOKENS : Infinity} />
    <h3>Acts in</h3><${Places} layer=${layer} feature=${feature} most=${SHORT_PLACES} />
  </div>`;
}
