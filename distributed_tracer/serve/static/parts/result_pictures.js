// Pictures of a table of a result. They are images: nothing in them can run, whatever the result has in its texts.
import { address, get } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { NotThere, useLoaded } from "../load.js";
import { visible } from "../text.js";

const asksForDark = matchMedia("(prefers-color-scheme: dark)");

function shownTheme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "dark" || (chosen !== "light" && asksForDark.matches) ? "dark" : "light";
}

/** Hook: the colours that are shown now, "light" or "dark". */
export function useShownTheme() {
  const [theme, set] = useState(shownTheme);
  useEffect(() => {
    const again = () => set(shownTheme());
    addEventListener("theme", again);
    asksForDark.addEventListener("change", again);
    return () => { removeEventListener("theme", again); asksForDark.removeEventListener("change", again); };
  }, []);
  return theme;
}

export function ResultPictures({ result, table }) {
  const theme = useShownTheme();
  const { value, error } = useLoaded((signal) => get("result_pictures", { result, table }, signal), [result, table]);
  if (error) return html`<${NotThere} error=${error} />`;
  if (value && !value.pictures.length) return null;
  return html`
    <details class="pictures" open><summary>Pictures</summary>
      ${value ? html`<div>${value.pictures.map(({ caption, width, height }, picture) => html`
        <figure class=${width > 600 ? "wide" : ""}>
          <img src=${address("result_picture", { result, table, picture, theme })} width=${width} height=${height} alt=${visible(caption)} />
          <figcaption aria-hidden="true">${visible(caption)}</figcaption>
        </figure>`)}</div>` : html`<${NotThere} what="pictures" />`}
    </details>`;
}
