// What the pages show, for a first visit.
import { href } from "../address.js";
import { html } from "../lib.js";
import { counted, visible } from "../text.js";

const WORDS = [
  ["attribution graph", `For one prompt: everything that a model's answer was made of, and how much each part added to
    each other part, computed with attention patterns and norm scales held constant.`],
  ["feature", `A unit of a transcoder, which stands in for an MLP of the model: sparse, and often readable. 12:3045 is
    feature 3045 of layer 12. It is a node at each position where it is active. ●`],
  ["token, target", `Tokens of the prompt are where influence begins (below, ■); targets are the answers that are
    explained (above, ■).`],
  ["error, dark matter", `What an MLP did that its features do not explain: a node per layer and position, whose cause is
    not resolved. ◆ Influence that comes from errors is dark matter: the graph cannot say what it is.`],
  ["edge, share", `The direct effect of one node on another, with its sign. Its share is the effect divided by the sum of
    the sizes of all effects on that node.`],
  ["influence", `How much of the answers' explanation flows through a node, along all paths.`],
  ["replacement, completeness", `Replacement: the share of influence that comes from tokens rather than from errors.
    Completeness: the share of effects, weighted by influence, that do not come from errors.`],
];

export default function About({ store }) {
  return html`
    <h1>What these pages show</h1>
    <p>${visible(store.name)} holds the attribution graphs of ${counted(store.num_prompts, "prompt")}, with
      ${" "}${counted(store.num_edges, "edge")}${store.model ? html`, of the model ${visible(store.model)}` : ""}.
      ${" "}<a href=${href("")}>Choose a prompt</a> to see its graph, a feature in the graph to see where else it acts.</p>
    <dl class="words">${WORDS.map(([word, said]) => html`<dt>${word}</dt><dd>${said}</dd>`)}</dl>
    <p>Nothing is loaded from other hosts, and nothing is sent anywhere.
      ${" "}The <a href="api/v1/openapi.json">API</a> gives programs what the pages show.</p>`;
}
