// Edits of annotations through undo, and what is said now. Nothing is deleted on the server: removing and undoing are
// edits too, and each names what it takes the place of, so that nobody else's words go with it.
import { get, post } from "./api.js";
import { useEffect, useState } from "./lib.js";
import { perform } from "./undo.js";

/**
 * Do an edit of notes or views (`kind`) as a command. `before` are the records that it replaces; `said` is what it says,
 * null to remove them. `after(answer)` is called with the server's answer to each step. `also` is another command
 * { run, revert }, which is done and taken back with it.
 */
export function edit(kind, { subject, before, said, author, label, after, also = null }) {
  const old = before.map(({ ref }) => ref), nothing = kind === "notes" ? { text: null } : { name: null };
  let now = old, made = null; // what the next step takes the place of; what is brought back when it is done again
  const send = async (changes, parents) => {
    const answer = await post(kind, { ...subject, author, parents, ...changes });
    after(answer);
    return answer.ref;
  };
  return perform({
    label,
    run: async () => {
      now = [await send(said === null ? nothing : made ? { restores: made } : said, now)];
      if (said !== null) made ??= now[0];
      also?.run();
    },
    revert: async () => {
      const back = [];
      for (const ref of old) back.push(await send({ restores: ref }, back.length ? [] : now));
      now = old.length ? back : [await send(nothing, now)];
      also?.revert();
    },
  });
}

/** Hook: [{ value, error }, again, take] of what the server says about a subject; `take` sets an answer that came. */
export function useSaid(kind, subject) {
  const [state, set] = useState({ value: null, error: null });
  const [round, again] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    get(kind, subject, control.signal).then(
      (value) => set({ value, error: null }),
      (error) => { if (!control.signal.aborted) set({ value: null, error }); });
    return () => control.abort();
  }, [kind, JSON.stringify(subject), round]);
  return [state, () => again((count) => count + 1), (value) => set({ value, error: null })];
}

/** Return the time of an annotation as people read it: day and minute, UTC. */
export const when = (created) => String(created).slice(0, 16).replace("T", " ");
