// Share: the link to what is seen, pictures of it, and the graph as files for other tools.
import { address, get } from "../api.js";
import { download } from "../download.js";
import { html, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { say } from "../say.js";
import { visible } from "../text.js";

/** Return a name for files: letters, digits, points, dashes. */
const fileName = (prompt) => prompt.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[.-]+|[.-]+$/g, "").slice(0, 80) || "graph";

export default function SharePanel({ graph, picture }) {
  const [done, setDone] = useState("");
  const tell = (text) => { setDone(text); say(text); };
  const attempt = (run) => async () => {
    try { await run(); } catch (error) { tell(`This failed: ${error.message}`); }
  };
  const copy = attempt(async () => {
    await navigator.clipboard.writeText(location.href);
    tell("The link is copied. It shows exactly this, to those who reach this server and know its token.");
  });
  const png = attempt(async () => { download(await picture().png(), `${fileName(graph.prompt)}.png`); tell("The picture is saved."); });
  const svg = attempt(async () => {
    download(new Blob([picture().svg()], { type: "image/svg+xml" }), `${fileName(graph.prompt)}.svg`);
    tell("The picture is saved.");
  });
  return html`
    <section class="share-panel" aria-label="Share">
      <h2>What is seen</h2>
      <p class="buttons">
        <button type="button" onClick=${copy}>Copy link</button>
        <button type="button" onClick=${png}>Picture (PNG)</button>
        <button type="button" onClick=${svg}>Picture (SVG)</button>
      </p>
      <label class="link">Link <input readonly value=${location.href} onFocus=${(event) => event.target.select()} /></label>
      <p class="faint" role="status">${done}</p>
      <h2>The whole graph as a file</h2>
      <${Formats} prompt=${graph.prompt} />
      <h2>For programs and agents</h2>
      <p><a href=${address("summary", { prompt: graph.prompt, format: "text" })} target="_blank">A brief in words</a>
        ${" "}within 4,000 characters; <code>/api/v1/summary</code> takes other budgets, and <code>node</code> for some nodes.</p>
    </section>`;
}

function Formats({ prompt }) {
  const { value, error } = useLoaded((signal) => get("export_formats", {}, signal), []);
  if (!value) return html`<${NotThere} error=${error} what="the formats" />`;
  return html`<ul class="formats">${value.formats.map(({ name, ending, said, missing }) => html`
    <li>${missing ? html`<span class="faint">${name}</span>`
        : html`<a class="button" href=${address("export", { prompt, format: name })} download>${name} <span class="faint">${ending}</span></a>`}
      <span class="faint">${missing ? visible(missing) : said}</span></li>`)}</ul>`;
}
