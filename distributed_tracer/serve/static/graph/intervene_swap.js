// Choosing what a supernode is swapped for: a saved group of another prompt, at a position of this one.
import { get } from "../api.js";
import { html, useState } from "../lib.js";
import { visible } from "../text.js";

/** `choose(instead)` gets { name, members, prompt, position }. */
export function SwapChoice({ graph, row, chosen, choose }) {
  const [prompt, setPrompt] = useState(chosen?.prompt ?? "");
  const [groups, setGroups] = useState(null);
  const [problem, setProblem] = useState("");
  const positions = row.members.map((key) => graph.position[graph.nodeOf(key)]);
  const usual = chosen?.position ?? Math.max(...positions);
  const look = async (event) => {
    event.preventDefault();
    try {
      const found = await get("groups", { prompt });
      setGroups(found.groups.map(({ name, members }) => ({ name, members: members.filter((key) => key.startsWith("feature:")) })));
      setProblem(found.groups.length ? "" : "Nobody has saved groups for that prompt: group its features on its page first.");
    } catch (error) {
      setGroups(null);
      setProblem(error.message);
    }
  };
  return html`<form class="iv-swap" onSubmit=${look}>
    ${chosen && html`<span>for <b>${visible(chosen.name)}</b> of ${visible(chosen.prompt)}, at
      ${" "}<select aria-label="Position" value=${usual} onChange=${(event) => choose({ ...chosen, position: Number(event.target.value) })}>
        ${graph.tokens.map((_, position) => html`<option value=${position}>${position} ${graph.token(position)}</option>`)}</select></span>`}
    <label>${chosen ? "or of prompt" : "of prompt"} <input value=${prompt} size="14" required onInput=${(event) => setPrompt(event.target.value)} /></label>
    <button>Show its groups</button>
    ${groups && groups.length > 0 && html`<select aria-label="Group" value="" onChange=${(event) => {
      const group = groups[Number(event.target.value)];
      // Its name must differ from those of the supernodes here.
      if (group) choose({ name: `${group.name} of ${prompt}`.slice(0, 900), members: group.members, prompt, position: usual });
    }}><option value="">choose …</option>${groups.map(({ name, members }, number) => html`
      <option value=${number} disabled=${!members.length}>${visible(name)} (${members.length})</option>`)}</select>`}
    ${problem && html`<span class="failed" role="alert">${problem}</span>`}
  </form>`;
}
