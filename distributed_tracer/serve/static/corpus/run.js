// How far a run is, live, and which prompts failed.
import { get } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { NotThere } from "../load.js";
import { tellStore } from "../store_state.js";
import { counted, number, visible } from "../text.js";
import { usePolled } from "./poll.js";

const [WHILE_RUNNING, OTHERWISE] = [5_000, 30_000];
const MOST = 100;

/** Return a time in words: "40 s", "12 min", "3.5 h". */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${number(Math.round(seconds / 360) / 10)} h`;
}

function words({ state, run, rate, seconds_left: left }) {
  const end = run.end;
  if (state === "complete") return "The latest run is complete.";
  if (state === "running") return rate ? `${number(Number(rate.toPrecision(2)))} prompts a second, about ${duration(left)} left` : "running; its speed is not known yet";
  if (state === "silent") return "Nothing was written for long, and nothing says that the run ended. If it is gone, the same command goes on from here.";
  return `The run ${state === "finished" ? "finished" : state === "stopped" ? "was stopped" : "failed"} at ${end.time}${end.reason ? `: ${visible(end.reason)}` : ""}. The same command goes on from here.`;
}

/** The progress of the latest run, nothing if it is complete. `changed` is called when prompts have been added. */
export function RunProgress({ changed }) {
  const { value, error } = usePolled(
    (signal) => get("progress", {}, signal),
    (found) => (found?.state === "running" ? WHILE_RUNNING : OTHERWISE),
    [],
  );
  useEffect(() => { if (value) changed(value); }, [value?.num_stored, value?.num_failed]);
  useEffect(() => { if (value) tellStore(); }, [value?.num_stored]);
  if (error) return html`<p class="failed" role="alert">How far the run is, is not known: ${error.message}</p>`;
  if (!value?.run || value.state === "complete") return "";
  const { run } = value;
  return html`
    <section class="run" aria-label="Progress of the run">
      <progress max=${Math.max(1, run.num_prompts)} value=${run.num_done + run.num_failed} aria-label="prompts done or failed"></progress>
      <span>${run.num_done.toLocaleString("en")} of ${counted(run.num_prompts, "prompt")} done${run.num_failed ? html`, <span class="failed">${run.num_failed.toLocaleString("en")} failed</span>` : ""},
        ${" "}${run.num_left.toLocaleString("en")} left</span>
      <span class="faint">${words(value)}</span>
    </section>`;
}

/** The prompts that failed, with reasons; they are asked for when the list is opened. */
export function Failures({ count, version }) {
  const [isOpen, open] = useState(false);
  const [first, from] = useState(0);
  const { value, error } = usePolled(
    (signal) => (isOpen ? get("failures", { offset: first, limit: MOST }, signal) : Promise.resolve(null)), () => null, [isOpen, first, version],
  );
  if (!count) return "";
  return html`
    <details class="failures" onToggle=${(event) => open(event.target.open)}>
      <summary class="failed">${counted(count, "prompt")} failed</summary>
      ${!value ? html`<${NotThere} error=${error} what="the failed prompts" />` : html`
        ${value.problems.map((problem) => html`<p class="failed">${visible(problem)}</p>`)}
        <div class="scroll" tabindex="0" role="region" aria-label="Failed prompts"><table>
          <thead><tr><th scope="col">id</th><th scope="col">phase</th><th scope="col">reason</th><th scope="col" class="number">attempts</th><th scope="col">time</th></tr></thead>
          <tbody>${value.failures.map((one) => html`<tr key=${one.prompt_id}><th scope="row">${visible(one.prompt_id)}</th><td>${visible(one.phase)}</td>
            <td class="hostile">${visible(one.reason)}</td><td class="number">${one.attempts}</td><td>${visible(one.time)}</td></tr>`)}</tbody></table></div>
        ${value.total > MOST && html`<p>
          <button type="button" disabled=${!first} onClick=${() => from(Math.max(0, first - MOST))}>Previous</button>
          ${" "}${(first + 1).toLocaleString("en")} to ${Math.min(value.total, first + MOST).toLocaleString("en")} of ${value.total.toLocaleString("en")}
          ${" "}<button type="button" disabled=${first + MOST >= value.total} onClick=${() => from(first + MOST)}>Next</button></p>`}`}
    </details>`;
}
