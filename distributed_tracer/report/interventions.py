"""Report of interventions as text: the state of each supernode, and the next tokens before and after."""

from __future__ import annotations

from typing import Any

from ..graph.labels import Label, Labels, labels_text
from ..table import Table
from ..text import counted, printable

SHOWN_SUPERNODES = 24
"""Number of groups that a report lists and a picture shows: a graph of a real model has hundreds of suggested groups.
"""


def shown_supernodes(summary: dict[str, Any], limit: int = SHOWN_SUPERNODES) -> list[int]:
    """Return indices into `summary["supernodes"]` of those to show: those set or swapped, then the first others."""
    supernodes = summary["supernodes"]
    replaced = {supernode["replaces"] for supernode in supernodes} - {None}
    is_set = [
        bool(supernode["set"] or supernode["replaces"] or supernode["name"] in replaced) for supernode in supernodes
    ]
    order = sorted(range(len(supernodes)), key=lambda place: (not is_set[place], place))
    return sorted(order[: max(limit, sum(is_set))])


def with_labels(summary: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """Return a summary of `InterventionGraph.apply` in which each supernode has the labels of its features: a list of
    objects with layer, feature, text and source."""
    supernodes = []
    for supernode in summary["supernodes"]:
        sites = dict.fromkeys((layer, feature) for layer, _, feature in supernode["features"])
        found = [
            {"layer": layer, "feature": feature, **label._asdict()}
            for layer, feature in sites
            for label in labels.get(layer, feature)
        ]
        supernodes.append({**supernode, "labels": found})
    return {**summary, "supernodes": supernodes}


def interventions_text(summary: dict[str, Any], limit: int = SHOWN_SUPERNODES) -> str:
    """Return a summary of `InterventionGraph.apply` as tables. Control characters in names and tokens are escaped.

    The table lists the supernodes that were set, then the first others, `limit` in all; a line gives the number of the
    rest. For supernodes, `before` and `after` are shares of the reference activation (see `SupernodeState`); for next
    tokens they are probabilities. If supernodes have labels (`with_labels`), a column has those of their features.
    """
    places, tokens = shown_supernodes(summary, limit), summary["next_tokens"]
    supernodes = [summary["supernodes"][place] for place in places]
    blocks = [printable(f"prompt  {summary['prompt']}")]
    if supernodes:
        columns = {
            "": [place + 1 for place in places],
            "supernode": [supernode["name"] for supernode in supernodes],
            "features": [len(supernode["features"]) for supernode in supernodes],
            "layers": [_span([feature[0] for feature in supernode["features"]]) for supernode in supernodes],
            "set": [_setting(supernode) for supernode in supernodes],
            "before": [_percent(supernode["before"]) for supernode in supernodes],
            "after": [_percent(supernode["after"]) for supernode in supernodes],
            **_labels(supernodes),
        }
        left_out = len(summary["supernodes"]) - len(supernodes)
        more = f"\n... {counted(left_out, 'more supernode')}, not set" if left_out else ""
        silent = [printable(supernode["name"]) for supernode in supernodes if _is_without_effect(supernode)]
        more += f"\nnot active in this prompt, so that a multiple leaves it at 0: {', '.join(silent)}" if silent else ""
        blocks.append(Table(columns).format(len(supernodes)) + more)
    shown = {name: [f"{token[name]:.4f}" for token in tokens] for name in ("before", "after")}
    blocks.append(Table({"next token": [repr(token["token"]) for token in tokens], **shown}).format(len(tokens)))
    if "generated" in summary:
        texts = summary["generated"]
        blocks.append("\n".join(printable(f"{name}  {texts[name]!r}") for name in texts))
    return "\n\n".join(blocks)


def _labels(supernodes: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return a column with the labels of each supernode's features, if any has some."""
    found = [supernode.get("labels", ()) for supernode in supernodes]
    texts = [labels_text([Label(label["text"], label["source"]) for label in labels]) for labels in found]
    return {"labels": texts} if any(texts) else {}


def _is_without_effect(supernode: dict[str, Any]) -> bool:
    """Whether a supernode was set to a multiple of zero activation."""
    return bool(supernode["features"] and (supernode["set"] or "").startswith("×") and not supernode["before"])


def _span(numbers: list[int]) -> str | None:
    if not numbers:
        return None
    return str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)}-{max(numbers)}"


def _setting(supernode: dict[str, Any]) -> str | None:
    setting: str | None = supernode["set"]
    return setting if supernode["replaces"] is None else f"{setting} for {supernode['replaces']}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"
