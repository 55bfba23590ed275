"""Brief: a summary of a graph or of a subgraph that fits a budget, for programs and language-model agents.

A brief always says what was asked, the answer, the scores, and what it leaves out and how much influence that is. Then
it adds rows, the most important first and one section after another, as long as all of it fits: answers, tokens,
routes, supernodes that were saved, features, edges, errors. The same graph and the same budget give the same brief.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

from .. import plain_values
from ..errors import ConfigError
from ..graph.context import GraphContext, NodeKey
from ..graph.graph import Graph
from ..names import unknown
from .brief_facts import MOST, Facts, facts_of
from .brief_names import rounded
from .brief_words import as_text, reading, score_words

Unit = Literal["characters", "tokens"]
"""What a budget counts. The tokenizer of the reader is not known, so that tokens are estimated."""
LEAST = {"characters": 1500, "tokens": 800}
"""Smallest budgets: what a brief always says fits, whatever the prompt is."""
DEFAULT = 4000
"""Budget in characters if none is given."""
_EXPLAINED = {"characters": 2500, "tokens": 1200}
"""Smallest budgets of briefs that also say how to read them."""
_TEXT_SHARE = 8
"""The text of the prompt takes at most as many bytes as the budget divided by this."""
_LETTERS, _DIGIT, _SPACE = re.compile("[A-Za-z]+"), re.compile("[0-9]"), re.compile(" (?=[A-Za-z])")
_OTHERS, _NOT_ASCII = re.compile("[^A-Za-z0-9\x80-\U0010ffff]+"), re.compile("[\x80-\U0010ffff]+")
_TURNS = ("answers", "tokens", "routes", "groups", "features", "features", "edges", "errors")
"""Which section adds a row next, over and over."""


def brief_summary(
    graph: Graph,
    context: GraphContext | None = None,
    budget: int = DEFAULT,
    nodes: Iterable[int | NodeKey] | None = None,
    unit: Unit = "characters",
) -> dict[str, Any]:
    """Return a brief as plain data, which as JSON takes at most `budget` characters, or estimated tokens, a line break
    at the end included.

    That holds for JSON without spaces, as `brief_json` writes it, whether characters beyond ASCII are escaped or not.

    `context` has labels and groups, as `Store.context` returns it. `nodes`, given by number or key, are a subgraph:
    routes, features, edges and errors are then those among them, tokens and targets. Unknown numbers are None. Tokens
    are estimated as `estimated_tokens` does, because the reader's tokenizer is not known. Raises ConfigError for a
    budget that is smaller than that of `LEAST`, and for nodes that the graph does not have.
    """
    return _fitting(graph, context, budget, nodes, unit, (brief_json, _ascii_json))


def brief_text(
    graph: Graph,
    context: GraphContext | None = None,
    budget: int = DEFAULT,
    nodes: Iterable[int | NodeKey] | None = None,
    unit: Unit = "characters",
) -> str:
    """Return a brief as text of at most `budget` characters, or estimated tokens, a line break at the end included.

    It contains no control characters but line breaks. The arguments and errors are those of `brief_summary`.
    """
    return as_text(_fitting(graph, context, budget, nodes, unit, (as_text,)))


def brief_json(summary: dict[str, Any]) -> str:
    """Return a brief as JSON in one line."""
    return json.dumps(summary, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _ascii_json(summary: dict[str, Any]) -> str:
    """Return a brief as JSON in ASCII, as other encoders write it."""
    return json.dumps(summary, allow_nan=False, separators=(",", ":"))


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has for a language model; for briefs, rather too many than too few.

    Four ASCII letters count as one token, and so do fewer at the end of a word, two neighbours of the other ASCII
    characters, or one alone, and each digit; a single space before a letter does not count. Each byte in UTF-8 of all
    other characters counts.
    """
    letters = sum(-(-len(word) // 4) for word in _LETTERS.findall(text))
    others = sum(-(-len(run) // 2) for run in _OTHERS.findall(_SPACE.sub("", text)))
    rest = sum(len(run.encode("utf-8", "surrogatepass")) for run in _NOT_ASCII.findall(text))
    return letters + others + len(_DIGIT.findall(text)) + rest


def _fitting(
    graph: Graph,
    context: GraphContext | None,
    budget: int,
    nodes: Iterable[int | NodeKey] | None,
    unit: Unit,
    renders: Sequence[Callable[[dict[str, Any]], str]],
) -> dict[str, Any]:
    """Return the longest brief that takes at most `budget`, whichever of `renders` writes it."""
    if unit not in LEAST:
        raise ConfigError(unknown("unit of budgets", unit, LEAST))
    budget = plain_values.integer(budget, "a budget", ConfigError)
    if budget < LEAST[unit]:
        raise ConfigError(f"a budget of {budget:,} {unit} is too small: a brief takes {LEAST[unit]:,} {unit} or more")
    measure = {"characters": len, "tokens": estimated_tokens}[unit]
    is_explained, text_limit = budget >= _EXPLAINED[unit], budget // _TEXT_SHARE
    chosen = None if nodes is None else list(nodes)

    def fits(summary: dict[str, Any]) -> bool:
        # a printed brief ends with a line break
        return all(measure(render(summary) + "\n") <= budget for render in renders)

    facts = facts_of(graph, context or GraphContext(), chosen, text_limit)
    while text_limit > 1 and not fits(_composed(facts, is_explained, [])):
        text_limit //= 2
        facts = facts_of(graph, context or GraphContext(), chosen, text_limit)
    return _longest(partial(_composed, facts, is_explained), _order(facts), fits)


def _longest(
    compose: Callable[[list[str]], dict[str, Any]], order: list[str], fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Return the brief with all rows, or with the most that fit: more rows take more room."""
    if fits(whole := compose(order)):
        return whole
    best, first, last = compose([]), 0, len(order)
    while first < last - 1:
        middle = (first + last) // 2
        found = compose(order[:middle])
        if fits(found):
            best, first = found, middle
        else:
            last = middle
    return best


def _order(facts: Facts) -> list[str]:
    """Return the section of each row that is added, in the order in which rows are added."""
    left = {name: len(section.rows) for name, section in facts.sections.items()}
    order = []
    while any(left.values()):
        for name in _TURNS:
            if left[name]:
                left[name] -= 1
                order.append(name)
    return order


def _composed(facts: Facts, is_explained: bool, order: list[str]) -> dict[str, Any]:
    """Return the brief with the next rows of the sections in `order`."""
    shown = {name: facts.sections[name].rows[: order.count(name)] for name in MOST}
    left_out: dict[str, Any] = {}
    for name, section in facts.sections.items():
        number = len(shown[name])
        left = 1 - float(section.carried[number])
        if name == "routes":
            left_out[name] = {"influence": _share(left - (facts.head.get("direct_routes") or 0.0))}
        elif section.total > number:
            left_out[name] = {"number": section.total - number, "influence": _share(left)}
    return {
        **facts.head,
        "in_words": score_words(facts.head),
        **({"reading": reading(facts.head)} if is_explained else {}),
        **{name: rows for name, rows in shown.items() if rows},
        "left_out": left_out,
    }


def _share(value: float) -> float | None:
    """Return a share with three digits, without the negative ones that round-off makes; None if it is unknown."""
    return rounded(value if math.isnan(value) else max(value, 0.0))
