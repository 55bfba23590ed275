"""Commands that read a store: status, show, query, info, digest."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigError
from ..text import counted, printable
from .app import StorePath, check_count, parse_feature, parse_node, print_answer

if TYPE_CHECKING:
    from ..mine.result import Result
    from ..store.reader import Store

FeatureQuery = Literal["occurrences", "edges-into", "edges-out", "together"]


def status(path: StorePath, json: bool = False, watch: float | None = None) -> int:
    """Report what a store holds: prompts done and failed with reasons, the progress of a run, and what made the store.

    Args:
        path: Directory or URL of a store.
        json: Whether to print the answer as JSON.
        watch: Interval in seconds at which the status is printed again, until the run has ended or no prompt is left.
    """
    from ..report.status import status_of, status_text

    while True:
        found = status_of(path)
        print_answer(found if json else status_text(found))
        if watch is None or (found["run"] and (found["run"]["end"] or not found["run"]["num_left"])):
            return 0
        sys.stdout.flush()
        try:
            time.sleep(max(watch, 0.1))
        except KeyboardInterrupt:
            return 0


def show(
    path: StorePath,
    prompt: str,
    top: int = 10,
    brief: bool = False,
    characters: int | None = None,
    tokens: int | None = None,
    nodes: tuple[str, ...] = (),
    json: bool = False,
) -> int:
    """Print one graph: its targets, scores, most influential nodes and strongest edges.

    Args:
        path: Directory or URL of a store.
        prompt: Id of the prompt.
        top: Number of edges to print, and of nodes of each kind.
        brief: Whether to print a brief instead, which fits a budget and also has main routes, supernodes that were
            saved, and how much it leaves out. Programs and language-model agents can read it; docs/analysis.md says
            what is in it.
        characters: Largest number of characters of a brief, at least 1,500. Default: 4,000.
        tokens: Largest number of tokens of a brief, at least 800. They are estimated, rather too many than too few.
        nodes: Features of which the brief is, as LAYER:INDEX@POSITION: 2:46@10 0:39@10. Default: the whole graph.
        json: Whether to print the answer as JSON.
    """
    from ..report.graph import graph_summary, graph_text
    from ..store.reader import open_store

    check_count("--top", top)
    if not brief and (characters is not None or tokens is not None or nodes):
        raise ConfigError("--characters, --tokens and --nodes go with --brief")
    store = open_store(path)
    if brief:
        print_answer(_brief(store, prompt, characters, tokens, nodes, json))
        return 0
    found = graph_summary(store.graph(prompt), top, store.labels)
    print_answer(found if json else graph_text(found))
    return 0


def _brief(
    store: Store, prompt: str, characters: int | None, tokens: int | None, nodes: tuple[str, ...], json: bool
) -> str:
    """Return the brief of one graph, or of its subgraph of `nodes`, as text or JSON."""
    from ..graph.context import NodeKey
    from ..report.brief import DEFAULT, Unit, brief_json, brief_summary, brief_text

    if characters is not None and tokens is not None:
        raise ConfigError("--characters and --tokens exclude each other: give one budget")
    unit: Unit = "characters" if tokens is None else "tokens"
    budget = next((given for given in (characters, tokens) if given is not None), DEFAULT)
    graph, context = store.graph(prompt), store.context(prompt)
    chosen = [NodeKey(*parse_node(node)) for node in nodes] or None
    if json:
        return brief_json(brief_summary(graph, context, budget, chosen, unit))
    return brief_text(graph, context, budget, chosen, unit)


def query(
    path: StorePath,
    feature: str | None = None,
    show: FeatureQuery = "occurrences",
    where: tuple[str, ...] = (),
    token: str | None = None,
    target: str | None = None,
    layer: int | None = None,
    limit: int = 50,
    store: str | None = None,
    json: bool = False,
) -> int:
    """Ask about one feature over all prompts or, with any other condition, which prompts meet all conditions.

    If PATH is an atlas that `mine atlas` has written, the answer is one of averages over its prompts: with a feature,
    the feature's statistics or the strongest edges into it or out of it; else the strongest edges that meet all
    conditions, such as source_kind=feature or "clusters>=5". Of any other result of mining, it is the rows of its main
    table, with their verdicts if `certify` has tested them: --where verdict=confirmed.

    Args:
        path: Directory or URL of a store, or folder of an atlas or of another result of mining.
        feature: Feature to ask about, by layer and index, as in 12:3045.
        show: What to print about the feature: where it is active, the strongest edges into it or out of it, or which
            features occur in the same prompts.
        where: Conditions on metadata, scores and sizes, as KEY=VALUE, KEY>=VALUE or KEY<=VALUE: topic=capitals
            "replacement>=0.8". All must hold; docs/store.md says how values are compared.
        token: Token that the prompt contains, by id, or by text with or without a space before it. '"Texas"' with its
            double quotes matches only the text without the space, " Texas" only the text with it.
        target: Target that the prompt has, by token id, or by label with or without a space before it. Quotes and a
            leading space have the same meaning as for a token.
        layer: Layer of which the graph must contain a feature.
        limit: Number of rows to print; JSON has them all.
        store: Directory or URL of the store of an atlas, for labels of features and the text of tokens.
        json: Whether to print the answer as JSON.
    """
    from ..mine.result import is_result
    from ..query.feature_answer import answer_feature_query
    from ..query.matching_prompts import matching_prompts, why_none
    from ..store.reader import open_store

    check_count("--limit", limit)
    site = None if feature is None else parse_feature(feature)
    of_prompts = bool(where) or not (token is None and target is None and layer is None)
    if is_result(path):
        return _query_atlas(path, site, show, where, (token, target, layer), limit, store, json)
    if show != "occurrences" and (site is None or of_prompts):
        raise ConfigError(f"--show {show} is about a feature: it goes with --feature alone")
    if store is not None:
        raise ConfigError("--store goes with an atlas; a store has its own labels")
    opened = open_store(path)
    if site is None or of_prompts:
        found = matching_prompts(opened, where, token, target, layer, site)
        why = "" if len(found) else "".join(f"\n{reason}" for reason in why_none(opened, where, token, target))
        summary = f"{len(found)} of {len(opened)} prompts{why}"
    else:
        found, summary = answer_feature_query(opened, *site, show)
    print_answer(list(found.rows()) if json else f"{found.format(limit)}\n{summary}")
    return 0


def _query_atlas(
    path: str,
    site: tuple[int, int] | None,
    show: FeatureQuery,
    where: tuple[str, ...],
    of_prompts: tuple[str | int | None, ...],
    limit: int,
    store: str | None,
    json: bool,
) -> int:
    """Answer a question to an atlas."""
    from ..mine.atlas_answer import answer_atlas_query
    from ..mine.result import open_result
    from ..store.reader import open_store

    if any(value is not None for value in of_prompts):
        raise ConfigError("--token, --target and --layer choose prompts of a store: of an atlas, --where chooses edges")
    result = open_result(path)
    if result.info["what"] != "atlas":
        if site is not None or show != "occurrences" or store is not None:
            raise ConfigError(f"of a result of {result.info['what']}, only --where chooses rows")
        return _query_result(result, where, limit, json)
    opened = None if store is None else open_store(store)
    found, summary = answer_atlas_query(result, site, show, where, None if json else limit, opened)
    print_answer(list(found.rows()) if json else f"{found.format(limit)}\n{summary}")
    return 0


def _query_result(result: Result, where: tuple[str, ...], limit: int, json: bool) -> int:
    """Print the rows of the main table of a result that meet conditions, with their verdicts."""
    from ..result_page.result_rows import result_rows

    name, found, num_rows = result_rows(result, where)
    said = f"{len(found):,} of {counted(num_rows, 'row')} of {name}; statistics of {result.info['graphs']}"
    print_answer(list(found.rows()) if json else f"{found.format(limit)}\n{printable(said)}")
    return 0


def info(path: StorePath, json: bool = False) -> int:
    """Report what a store is made of: counts, bytes by kind of array, per edge and per graph, and unused objects.

    Args:
        path: Directory or URL of a store.
        json: Whether to print the answer as JSON.
    """
    from ..report.info import info_of, info_text

    found = info_of(path)
    print_answer(found if json else info_text(found))
    return 0


def digest(path: StorePath) -> int:
    """Print a hash of all graphs of a store.

    Two stores have the same hash if their graphs are the same bit for bit, however they were written.

    Args:
        path: Directory or URL of a store.
    """
    from ..store.reader import open_store

    print(open_store(path).digest())
    return 0
