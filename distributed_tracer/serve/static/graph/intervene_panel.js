// Interventions: supernodes and pinned features of this graph set to other values, with the model of the server.
import { change, useAddress } from "../address.js";
import { get, post } from "../api.js";
import { authorOf, keepAuthor } from "../author.js";
import { when } from "../edits.js";
import { useKeys } from "../keys.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { useLoaded } from "../load.js";
import { say } from "../say.js";
import { counted, visible } from "../text.js";
import { perform } from "../undo.js";
import { Result } from "./intervene_result.js";
import { WHATS, bodyOf, paramsOf, rowsOf, settingText, settingsOf, withSetting } from "./intervene_settings.js";
import { SwapChoice } from "./intervene_swap.js";

const WAIT = 1500; // milliseconds between questions whether the model is there

const pause = (signal) => new Promise((done) => {
  const timer = setTimeout(done, WAIT);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

export default function IntervenePanel({ graph, view, store, select }) {
  const { params } = useAddress();
  const rows = useMemo(() => rowsOf(graph, view), [graph, view.groups, view.pins]);
  const settings = useMemo(() => settingsOf(params), [params.getAll("set").join("\n")]);
  const [options, setOptions] = useState({ generate: 10, temperature: 0, seed: 0, freeze_attention: true });
  const [run, setRun] = useState({ result: null, state: "", error: null, made: "" });
  const control = useRef(null);
  useEffect(() => () => control.current?.abort(), []);
  const isSet = rows.some(({ name }) => settings.has(name));
  const made = JSON.stringify([rows, [...settings], options]);

  const set = (name, changes, label) => {
    const before = paramsOf(settings), after = paramsOf(withSetting(settings, name, changes));
    perform({ label, run: () => change(after), revert: () => change(before), merge: "number" in changes ? `set ${name}` : null });
  };
  const go = async () => {
    if (!rows.length || run.state) return;
    control.current?.abort();
    const { signal } = (control.current = new AbortController());
    setRun({ ...run, state: "The model runs …", error: null });
    try {
      for (;;) {
        const result = await post("interventions", bodyOf(rows, settings, options), { prompt: graph.prompt });
        if (signal.aborted) return;
        if (result.state === "ready") {
          setRun({ result, state: "", error: null, made });
          const [first] = result.next_tokens;
          say(`the likeliest next token is now ${visible(first.token)}, with ${first.after.toFixed(3)}`);
          return;
        }
        setRun((now) => ({ ...now, state: "The model is being loaded, which happens once …" }));
        await pause(signal);
        if (signal.aborted) return;
      }
    } catch (error) {
      if (!signal.aborted) setRun({ result: null, state: "", error: error.message, made: "" });
    }
  };
  useKeys("intervention", [{ keys: ["x"], label: "run the intervention", run: () => { go(); } }]);
  return html`<div class="iv-panel">
    <p class="faint">Sets supernodes and pinned features of this graph in the model itself, everything else free to react.</p>
    ${rows.length ? html`<${Settings} graph=${graph} rows=${rows} settings=${settings} set=${set} select=${select} />`
      : html`<p>Pin features or save groups first (panel Subgraph): they are what can be set.</p>`}
    ${rows.length > 0 && html`<${Options} options=${options} setOptions=${setOptions} />
      <p class="commands"><button type="button" class="iv-run" disabled=${Boolean(run.state)} onClick=${go}>${isSet ? "Run" : "Run without a change"} <kbd>x</kbd></button>
        <span role="status">${run.state}${!run.state && run.result && run.made !== made ? "The settings have changed since." : ""}</span></p>`}
    ${run.error && html`<p class="failed" role="alert">${run.error}</p>`}
    ${run.result && html`<${Result} graph=${graph} result=${run.result} />`}
    <${Kept} graph=${graph} store=${store} result=${run.result} settings=${settings} show=${(result) => setRun({ result, state: "", error: null, made: "" })} />
  </div>`;
}

function Settings({ graph, rows, settings, set, select }) {
  return html`<table class="iv-settings"><caption class="unseen">What is set</caption><tbody>${rows.map((row) => {
    const { name, members } = row, setting = settings.get(name) ?? { what: "" };
    return html`<tr><th scope="row"><button type="button" class="sg-link" onClick=${() => select(members[0])}>${visible(name)}</button>
        ${" "}<span class="faint">${counted(members.length, "feature")}</span></th>
      <td><select aria-label=${`what happens to ${visible(name)}`} value=${setting.what}
          onChange=${(event) => set(name, { what: event.target.value }, `set ${visible(name)}`)}>
          ${WHATS.map(([what, text]) => html`<option value=${what}>${text}</option>`)}</select>
        ${(setting.what === "times" || setting.what === "value") && html`
          <input type="number" step="any" required class="sg-number" aria-label=${`number for ${visible(name)}`} value=${setting.number}
            onChange=${(event) => { if (event.target.value !== "" && event.target.checkValidity()) set(name, { number: Number(event.target.value) }, `set ${visible(name)}`); }} />`}
        ${setting.what === "instead" && html`<${SwapChoice} graph=${graph} row=${row} chosen=${setting.instead}
          choose=${(instead) => set(name, { instead }, `swap ${visible(name)}`)} />`}</td></tr>`;
  })}</tbody></table>`;
}

function Options({ options, setOptions }) {
  const number = (name, label, most, step = 1) => html`<label>${label} <input type="number" class="sg-number" min="0" max=${most} step=${step} value=${options[name]}
    onChange=${(event) => { if (event.target.value !== "" && event.target.checkValidity()) setOptions({ ...options, [name]: Number(event.target.value) }); }} /></label>`;
  return html`<fieldset class="iv-options"><legend>Options</legend>
    ${number("generate", "generate tokens", 200)} ${number("temperature", "temperature", 10, 0.1)}
    ${options.temperature > 0 && number("seed", "seed", 2 ** 31)}
    <label><input type="checkbox" checked=${options.freeze_attention} onChange=${(event) => setOptions({ ...options, freeze_attention: event.target.checked })} /> keep attention patterns</label>
  </fieldset>`;
}

/** Results that were kept beside the graph. */
function Kept({ graph, store, result, settings, show }) {
  const prompt = graph.prompt, [again, setAgain] = useState(0), [error, setError] = useState("");
  const usual = [...settings].map(([name, setting]) => `${visible(name)} ${settingText(setting)}`).join(", ").slice(0, 200) || "unchanged";
  const [name, setName] = useState(""), [author, setAuthor] = useState(() => authorOf(store));
  const kept = useLoaded((signal) => get("kept_results", { prompt }, signal), [prompt, again]);
  const write = async (body) => {
    const reply = await post("kept_results", { ...body, author: authorOf(store) }, { prompt });
    setAgain((count) => count + 1);
    return reply.written;
  };
  const change_ = async (label, body, back) => {
    setError("");
    let written = null;
    try {
      await perform({ label, run: async () => { written = await write(body(written)); }, revert: async () => { written = await write(back(written)); } });
    } catch (failure) {
      setError(failure.message);
    }
  };
  const content = (of) => ({ name: of.name, result: of.result });
  const keep = () => {
    const made = { name: name || usual, result: { ...result, kind: "intervention" } };
    change_("keep a result", (last) => ({ ...made, parents: last ? [last] : [] }), (last) => ({ name: null, parents: [last] }));
  };
  const remove = (one) => change_("remove a kept result", (last) => ({ name: null, parents: [last ?? one.ref] }), (last) => ({ ...content(one), parents: [last] }));
  const list = (kept.value?.results ?? []).filter((one) => one.result.next_tokens && one.result.supernodes && one.result.sources);
  return html`<section class="iv-kept"><h2>Kept results</h2>
    ${result && !store.read_only && html`<p class="commands"><label>Name <input value=${name} maxlength="500" placeholder=${usual} onInput=${(event) => setName(event.target.value)} /></label>
      <label>as <input class="sg-author" value=${author} maxlength="200" placeholder="your name"
        onInput=${(event) => { setAuthor(event.target.value); keepAuthor(event.target.value); }} /></label>
      <button type="button" onClick=${keep}>Keep this result</button></p>`}
    ${(error || kept.error) && html`<p class="failed" role="alert">${error || kept.error.message}</p>`}
    ${list.length ? html`<ul class="rows">${list.map((one) => html`<li key=${one.ref}>
        <button type="button" class="sg-link" onClick=${() => show(one.result)}>${visible(one.name)}</button>
        ${" "}<span class="faint">${visible(one.author || "unknown")}, ${visible(when(one.created))}</span>
        ${!store.read_only && html` <button type="button" onClick=${() => remove(one)} aria-label=${`remove ${visible(one.name)}`}>Remove</button>`}</li>`)}</ul>`
      : html`<p class="faint">None is kept for this prompt.</p>`}
  </section>`;
}
