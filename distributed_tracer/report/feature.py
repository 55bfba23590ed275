"""Report of one feature for people: its labels, its contexts, what it promotes, where it acts, and its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..graph.labels import Label, labels_text
from ..table import Table
from ..text import counted, printable, short

BEFORE, AFTER = 60, 24
"""Largest number of characters of a context before and after the token at which the feature is active."""
_ACTIVE, _ALSO = ("[[", "]]"), ("[", "]")
"""Marks around the token of a context, and around others at which the feature is active, too."""
_BOLD, _UNDERLINED, _END = "\x1b[1;7m", "\x1b[4m", "\x1b[0m"
_TEXT = 60
_SHARES = (0.5, 0.9, 0.99)
"""Shares of the quantiles that are printed."""


def feature_text(summary: Mapping[str, Any], colour: bool = False) -> str:
    """Return the result of `feature_summary` as text; text from outside is escaped.

    `[[ ]]` marks the token of a context at which the feature is active, and `[ ]` others at which it is active, too;
    with `colour`, a terminal also shows the first inverted and the others underlined.
    """
    blocks = [
        "\n".join(map(printable, _facts(summary))),
        _contexts(summary, colour),
        "\n".join(map(printable, _tokens(summary))),
        _acts_in(summary),
        _neighbours(summary, "driven_by", "what drives it"),
        _neighbours(summary, "drives", "what it drives"),
        _features(summary["together"], "features in the same graphs", ("prompts", "share", "lift")),
        _features(summary["neighbours"], "features with similar decoders", ("cosine",)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _facts(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines at the top."""
    nodes, profile = summary["nodes"], summary["profile"]
    labels = [f"{short(label['text'], 200)} ({label['source'][:_TEXT]})" for label in summary["labels"]]
    lines = [f"feature   {summary['layer']}:{summary['feature']} in {summary['store']}"]
    lines += [f"{'' if place else 'labels':<10}{label}" for place, label in enumerate(labels or ["none"])]
    if nodes["num_nodes"]:
        lines.append(
            f"graphs    a node of {nodes['num_prompts']:,} of {counted(nodes['prompts_in_store'], 'graph')}, "
            f"{counted(nodes['num_nodes'], 'node')}; activation up to {nodes['max_activation']:.3g}, mean "
            f"{nodes['mean_activation']:.3g}; mean influence {nodes['mean_influence']:.3g}"
        )
    else:
        lines.append(f"graphs    {summary['not_a_node'] or 'none has it as a node'}")
    if profile:
        lines.append(
            f"profile   active at {profile['num_active_tokens']:,} of {counted(profile['num_tokens'], 'token')} "
            f"({profile['density']:.2%}), in {profile['num_active_prompts']:,} of "
            f"{counted(profile['num_prompts'], 'prompt')}; activation up to {profile['max_activation']:.3g}, mean "
            f"{profile['mean_activation']:.3g}"
        )
        shares = zip(profile["quantile_shares"], profile["quantiles"], strict=True)
        if quantiles := ", ".join(f"{share:.0%} {value:.3g}" for share, value in shares if share in _SHARES):
            lines.append(f"          quantiles of the activation: {quantiles}")
    return lines


def _contexts(summary: Mapping[str, Any], colour: bool) -> str:
    where = "the profile's texts" if summary["profile"] else "this store's graphs"
    if not summary["contexts"]:
        return f"contexts  none in {where}"
    lines = [f"contexts from {where}, the strongest first: activation, text with the active token in [[ ]]"]
    shown_before = 0
    for context in summary["contexts"]:
        notes = [f"{context['alike']:,} alike"] if context["alike"] > 1 else []
        notes += [f"weaker: quantile {context['quantile']}"] if context["quantile"] > shown_before else []
        shown_before = max(shown_before, context["quantile"])
        note = f"  ({'; '.join(notes)})" if notes else ""
        lines.append(f"{_peak(context):>8.3g}  {context_text(context, colour)}{note}")
    return "\n".join(lines)


def context_text(context: Mapping[str, Any], colour: bool = False) -> str:
    """Return the tokens of a context in one line, with marks around those at which the feature is active."""
    at = context["position"] - context["start"]
    tokens = [printable(token) for token in context["tokens"]]
    marked = []
    for place, (token, activation) in enumerate(zip(tokens, context["activations"], strict=True)):
        if place == at:
            marked.append(_mark(token, *_ACTIVE, _BOLD if colour else ""))
        elif not math.isnan(activation) and activation > 0:
            marked.append(_mark(token, *_ALSO, _UNDERLINED if colour else ""))
        else:
            marked.append(token)
    first, last = _fitting(tokens, at)
    return f"{'…' if first else ''}{''.join(marked[first:last])}{'…' if last < len(tokens) else ''}"


def _mark(token: str, begin: str, end: str, style: str) -> str:
    return f"{begin}{style}{token}{_END}{end}" if style else f"{begin}{token}{end}"


def _fitting(tokens: Sequence[str], at: int) -> tuple[int, int]:
    """Return which tokens around `at` fit into a line: the first, and the one after the last."""
    first = last = at
    room = BEFORE
    while first > 0 and len(tokens[first - 1]) <= room:
        first, room = first - 1, room - len(tokens[first - 1])
    last, room = at + 1, AFTER
    while last < len(tokens) and len(tokens[last]) <= room:
        last, room = last + 1, room - len(tokens[last])
    return first, last


def _peak(context: Mapping[str, Any]) -> float:
    return float(context["activations"][context["position"] - context["start"]])


def _tokens(summary: Mapping[str, Any]) -> list[str]:
    """Return a line each of promoted and suppressed tokens, with their logits per unit of activation."""
    lines = []
    for name, title in (("promoted", "promotes"), ("suppressed", "lowers")):
        if found := [f"{short(token['token'])} {token['weight']:+.3g}" for token in summary[name]]:
            lines.append(f"{title:<10}{', '.join(found)}")
    return lines


def _acts_in(summary: Mapping[str, Any]) -> str:
    rows = summary["acts_in"]
    if not rows:
        return ""
    columns: dict[str, list[Any]] = {
        "influence": [row["influence"] for row in rows],
        "at": [", ".join(map(short, dict.fromkeys(row["tokens"]))) for row in rows],
        "prompt": [row["prompt"] for row in rows],
        "targets": [", ".join(map(short, row["targets"])) for row in rows],
    }
    return f"where it acts in this store, by influence\n{Table(columns).format(len(rows))}"


def _neighbours(summary: Mapping[str, Any], key: str, title: str) -> str:
    """Return a table of what is at the other end of the feature's edges."""
    rows = summary[key]
    if not rows:
        return ""
    columns: dict[str, list[Any]] = {
        "mean weight": [row["mean_weight"] for row in rows],
        "share": [f"{row['share']:.1%}" for row in rows],
        "graphs": [row["prompts"] for row in rows],
        key.replace("_", " "): [_end(row) for row in rows],
        **_label_column(rows),
    }
    over = counted(summary["prompts_averaged"], "graph")
    return f"{title}, over {over}: mean weight where there is an edge, share of all |weights|\n" + Table(
        columns
    ).format(len(rows))


def _end(row: Mapping[str, Any]) -> str:
    named: dict[str, Callable[[], str]] = {
        "feature": lambda: str(row["name"]),
        "error": lambda: f"error of layer {row['layer']}",
    }
    return named.get(row["kind"], lambda: f"{row['kind']} {short(row['name'])}")()


def _features(rows: Sequence[Mapping[str, Any]], title: str, names: Sequence[str]) -> str:
    if not rows:
        return ""
    columns: dict[str, list[Any]] = {
        "feature": [f"{row['layer']}:{row['feature']}" for row in rows],
        **{name: [row[name] for row in rows] for name in names},
        **_label_column(rows),
    }
    return f"{title}\n{Table(columns).format(len(rows))}"


def _label_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return a column of labels, if any row has some."""
    texts = [labels_text([Label(**label) for label in row["labels"]], _TEXT) for row in rows]
    return {"labels": texts} if any(texts) else {}
