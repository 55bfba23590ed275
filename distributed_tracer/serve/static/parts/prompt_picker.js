// PromptPicker: choose a prompt by part of its id or its text.
import { get } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { counted, cut, visible } from "../text.js";

const SHOWN = 12, WAIT = 150;

/** `onChoose` gets the id; `to(id)` is the address of a choice, so that it is a link as any other. */
export function PromptPicker({ name, prompt, to, onChoose, field = null }) {
  const [typed, type] = useState("");
  const [text, ask] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => ask(typed), WAIT); // not a question for each letter
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => { type(""); ask(""); }, [prompt]);
  const found = useLoaded(
    (signal) => (text.trim() ? get("prompt_search", { text, limit: SHOWN }, signal) : Promise.resolve(null)), [text]);
  const prompts = text.trim() ? found.value?.prompts ?? [] : [];
  const choose = (event, id) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onChoose(id);
  };
  return html`<div class="picker">
    <form role="search" aria-label=${`Choose prompt ${name}`} onSubmit=${(event) => { event.preventDefault(); if (prompts.length) onChoose(prompts[0].prompt); }}>
      <label>${prompt ? `Another prompt for ${name}` : `Prompt ${name}`} <input ref=${field} type="search" value=${typed} placeholder="part of an id or a text"
        onInput=${(event) => type(event.target.value)} /></label></form>
    ${text.trim() && (found.error ? html`<${NotThere} error=${found.error} />` : html`
      <p class="faint" role="status">${found.value ? `${counted(found.value.num_found, "prompt")}${found.value.num_found > prompts.length ? `, the first ${prompts.length}` : ""}` : "Looking …"}</p>
      <ul class="plain">${prompts.map((one) => html`<li key=${one.prompt}>
        <a href=${to(one.prompt)} onClick=${(event) => choose(event, one.prompt)}>${visible(one.prompt)}</a>
        ${" "}<span class="faint hostile">${cut(visible(one.text ?? ""), 90)}</span></li>`)}</ul>`)}
  </div>`;
}
