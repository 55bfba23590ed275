// FeatureSlot: what the panel of a node says about its feature: its labels, to edit, and on demand everything else.
import { html, useEffect, useState } from "../lib.js";
import { FeatureCommunities } from "./communities.js";
import { FeaturePanel } from "./feature_panel.js";
import { LabelEditor } from "./label_editor.js";

const WAIT = 200;
let isOpen = false; // stays as it is from node to node

/** Hook: a value once it has not changed for a moment, as the arrow keys pass over many nodes. */
function useSettled(value) {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), WAIT);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

export function FeatureSlot({ layer, feature, store }) {
  const [shown, show] = useState(isOpen), site = `${layer}:${feature}`, settled = useSettled(site) === site;
  const toggle = (event) => { isOpen = event.target.open; show(isOpen); };
  return html`<div class="feature-slot">
    <${LabelEditor} key=${site} layer=${layer} feature=${feature} store=${store} />
    ${settled && html`<${FeatureCommunities} layer=${layer} feature=${feature} store=${store} />`}
    <details open=${shown} onToggle=${toggle}><summary>Contexts, tokens, other prompts</summary>
      ${shown && (settled ? html`<${FeaturePanel} key=${site} layer=${layer} feature=${feature} store=${store} hasLabels=${false} />`
        : html`<p class="waiting" role="status">Loading feature ${site} …</p>`)}
    </details>
  </div>`;
}
