// Undo and redo. Every command of a page is done through `perform`, with what takes it back.
import { html, useEffect, useState } from "./lib.js";
import { say } from "./say.js";
import { visible } from "./text.js";

let done = [], undone = [];
let page = 0; // counts the pages, so that a step that began on another one changes nothing here
let trouble = ""; // why the last step failed
let turn = Promise.resolve(); // steps wait for one another
const listeners = new Set();
const changed = () => { for (const listener of listeners) listener(); };
const without = (list, command) => list.filter((one) => one !== command);
const MOST = 500;

/**
 * Do a command and keep it. `run` and `revert` may be asynchronous; a command whose `run` fails is not kept.
 * Commands of the same `merge` name that follow one another, such as the steps of a slider, are undone together.
 */
export async function perform({ label, run, revert, merge = null }) {
  await run();
  const last = done[done.length - 1];
  if (merge && last?.merge === merge && !undone.length) last.run = run;
  else done = [...done, { label, run, revert, merge }].slice(-MOST);
  undone = [];
  trouble = "";
  changed();
}

/** Take the last command back; returns whether there was one and it was taken back. Never fails: the page says why. */
export const undo = () => next(async () => {
  const command = done[done.length - 1], at = page;
  if (!command || !(await worked(command, "revert", "undone"))) return false;
  if (page !== at) return true;
  // What was done meanwhile begins another history: the command is not done again after it.
  if (done[done.length - 1] === command) undone = [...undone, command];
  done = without(done, command);
  return true;
});

/** Do the last command again that was taken back; returns whether there was one and it was done. Never fails. */
export const redo = () => next(async () => {
  const command = undone[undone.length - 1], at = page;
  if (!command || !(await worked(command, "run", "done again"))) return false;
  if (page !== at) return true;
  undone = without(undone, command);
  done = [...done, command];
  return true;
});

function next(step) {
  const result = turn.then(step).finally(changed);
  turn = result.catch(() => {});
  return result;
}

/**
 * Do a step of a command, "run" or "revert"; returns whether it worked. If it failed, the command stays, to be tried
 * again, unless the server refused the step: it would do so again, and commands before this one could not be undone.
 */
async function worked(command, step, said) {
  try {
    await command[step]();
  } catch (error) {
    const isRefused = error.status >= 400 && error.status < 500;
    if (isRefused) [done, undone] = [without(done, command), without(undone, command)];
    trouble = `not ${said}: ${command.label}: ${error.message}${isRefused ? "" : " (you can try again)"}`;
    return false;
  }
  trouble = "";
  say(`${said}: ${command.label}`);
  return true;
}

/** Forget all commands: those of another page mean nothing here. */
export function forget() {
  done = [];
  undone = [];
  trouble = "";
  page++;
  changed();
}

/** Hook: the labels of the next commands to undo and to redo, or null, and why the last step failed, or "". */
export function useUndo() {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((count) => count + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return { undo: done[done.length - 1]?.label ?? null, redo: undone[undone.length - 1]?.label ?? null, trouble };
}

/** Why the last undo or redo failed, below the header of every page, until another step works or it is dismissed. */
export function UndoTrouble() {
  const { trouble: said } = useUndo();
  const dismiss = () => { trouble = ""; changed(); };
  return said && html`<aside class="troubles" aria-label="Trouble of undo">
    <div><p class="failed" role="alert">${visible(said)}</p></div><button type="button" onClick=${dismiss}>Dismiss</button></aside>`;
}
