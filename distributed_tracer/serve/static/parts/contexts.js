// Contexts: stretches of text in which a feature is active, with the token marked and heat by activation.
import { href } from "../address.js";
import { html } from "../lib.js";
import { counted, number, tokenText, visible } from "../text.js";

/** Text stays readable on every heat: the colour covers at most this much of the background. */
const MOST_HEAT = 0.45, LEAST_HEAT = 0.1;

function heat(activation, most) {
  if (!(activation > 0) || !(most > 0)) return undefined;
  return { backgroundColor: `rgba(var(--heat), ${(LEAST_HEAT + (MOST_HEAT - LEAST_HEAT) * Math.min(1, activation / most)).toFixed(3)})` };
}

/** Return a token as it stands in text: spaces stay spaces, and what cannot be seen is shown. */
const inText = (token) => visible(token);

/** Return in words where the feature is active, as screen readers say it. */
function said(tokens, activations, at) {
  const known = tokens.flatMap((token, k) => (activations?.[k] > 0 && k !== at ? [`${tokenText(token)} ${number(activations[k])}`] : []));
  const here = activations ? ` with ${number(activations[at])}` : "";
  return `Active at ${tokenText(tokens[at])}${here}.${known.length ? ` Also at ${known.join(", ")}.` : ""}`;
}

/** Tokens in one line. `at` is the place of the marked one, `most` the activation of full heat. */
export function TokenLine({ tokens, activations = null, at, most = 0 }) {
  return html`<span class="tokens" aria-hidden="true">${tokens.map((token, k) => {
    const activation = activations?.[k], title = Number.isFinite(activation) && activation !== null ? number(activation) : undefined;
    return k === at
      ? html`<mark class="token" title=${title} style=${heat(activation, most)}>${inText(token)}</mark>`
      : html`<span class="token" title=${title} style=${heat(activation, most)}>${inText(token)}</span>`;
  })}</span><span class="unseen">${tokens.map(inText).join("")} ${said(tokens, activations, at)}</span>`;
}

function Context({ context, most }) {
  const at = context.position - context.start, activation = context.activations[at];
  const to = context.in_store ? href("graph", { prompt: context.prompt, node: context.key }) : null;
  const line = html`<${TokenLine} tokens=${context.tokens} activations=${context.activations} at=${at} most=${most} />`;
  const notes = [
    context.alike > 1 ? `${context.alike.toLocaleString("en")} alike` : "",
    context.in_store ? (context.key ? "" : "pruned from this graph") : "not in this store",
  ].filter(Boolean);
  return html`<li class="context">
    <span class="activation">${number(activation)}</span>
    <span class="line">${context.start > 0 ? "… " : ""}${to ? html`<a href=${to} title=${`graph of ${visible(context.prompt)}`}>${line}</a>` : line}
      ${notes.length ? html` <span class="faint notes">${notes.join(", ")}</span>` : ""}</span>
  </li>`;
}

/** The contexts by quantile. `most` of them are shown in all if it is given. */
export function Contexts({ contexts, of, most = Infinity }) {
  if (!contexts.length) return html`<p class="faint">${of === "profile" ? "The profile has no contexts of it." : "It is a node of no graph of this store, and there is no profile of other texts."}</p>`;
  const top = Math.max(...contexts.map((context) => context.activations[context.position - context.start]));
  const quantiles = [...new Set(contexts.map((context) => context.quantile))].sort((a, b) => a - b);
  let room = most;
  return html`<div class="contexts">${quantiles.map((quantile) => {
    const found = contexts.filter((context) => context.quantile === quantile).slice(0, Math.max(0, room));
    room -= found.length;
    if (!found.length) return "";
    const title = quantile === 0 ? "Strongest" : `Sampled from quantile ${quantile} of ${Math.max(...quantiles)}, from strong to weak`;
    return html`<section key=${quantile}>
      ${quantiles.length > 1 && most === Infinity && html`<h3>${title}</h3>`}
      <ul class="plain">${found.map((context) => html`<${Context} context=${context} most=${top} />`)}</ul>
    </section>`;
  })}</div>`;
}

/** Where contexts come from, in words. */
export function contextsSaid(facts) {
  const count = counted(facts.contexts.length, "context");
  return facts.contexts_of === "profile"
    ? `${count} from the profile's texts. Heat is the activation at each token.`
    : `${count} from this store's own graphs, in which it is a node${facts.has_profile ? ": the profile does not have it" : "; a profile of more texts would show more"}.`;
}
