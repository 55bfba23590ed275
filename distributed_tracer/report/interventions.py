"""Supernodes set to other values, as text: what becomes of each, and what the model says next."""

from __future__ import annotations

from typing import Any

from ..store.table import Table, printable


def interventions_text(summary: dict[str, Any]) -> str:
    """A summary of `InterventionGraph.apply` as tables; nothing in names or tokens can steer the terminal.

    `before` and `after` are shares of a supernode's measure (see `Reading`); of next tokens, probabilities.
    """
    supernodes, tokens = summary["supernodes"], summary["next_tokens"]
    blocks = [printable(f"prompt  {summary['prompt']}")]
    if supernodes:
        columns = {
            "": list(range(1, len(supernodes) + 1)),
            "supernode": [supernode["name"] for supernode in supernodes],
            "features": [len(supernode["features"]) for supernode in supernodes],
            "layers": [_span([feature[0] for feature in supernode["features"]]) for supernode in supernodes],
            "set": [_setting(supernode) for supernode in supernodes],
            "before": [_percent(supernode["before"]) for supernode in supernodes],
            "after": [_percent(supernode["after"]) for supernode in supernodes],
        }
        blocks.append(Table(columns).format(len(supernodes)))
    shown = {name: [f"{token[name]:.4f}" for token in tokens] for name in ("before", "after")}
    blocks.append(Table({"next token": [repr(token["token"]) for token in tokens], **shown}).format(len(tokens)))
    if "generated" in summary:
        texts = summary["generated"]
        blocks.append("\n".join(printable(f"{name}  {texts[name]!r}") for name in texts))
    return "\n\n".join(blocks)


def _span(numbers: list[int]) -> str | None:
    if not numbers:
        return None
    return str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)}-{max(numbers)}"


def _setting(supernode: dict[str, Any]) -> str | None:
    setting: str | None = supernode["set"]
    return setting if supernode["replaces"] is None else f"{setting} for {supernode['replaces']}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"
