// Undo and redo. Every command of a page is done through `perform`, with what takes it back.
import { useEffect, useState } from "./lib.js";
import { say } from "./say.js";

let done = [], undone = [];
const listeners = new Set();
const changed = () => { for (const listener of listeners) listener(); };
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
  changed();
}

/** Take the last command back; returns whether there was one. */
export async function undo() {
  const command = done[done.length - 1];
  if (!command) return false;
  await command.revert();
  done = done.slice(0, -1);
  undone = [...undone, command];
  say(`undone: ${command.label}`);
  changed();
  return true;
}

/** Do the last command again that was taken back; returns whether there was one. */
export async function redo() {
  const command = undone[undone.length - 1];
  if (!command) return false;
  await command.run();
  undone = undone.slice(0, -1);
  done = [...done, command];
  say(`done again: ${command.label}`);
  changed();
  return true;
}

/** Forget all commands: those of another page mean nothing here. */
export function forget() {
  done = [];
  undone = [];
  changed();
}

/** Hook: the labels of the next commands to undo and to redo, or null. */
export function useUndo() {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((count) => count + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return { undo: done[done.length - 1]?.label ?? null, redo: undone[undone.length - 1]?.label ?? null };
}
