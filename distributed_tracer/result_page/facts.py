"""What a result is of, its most important numbers, and what its data cannot say: as plain text, for any page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..mine.result import Result
from ..text import counted, printable
from .kinds import view_of
from .values import place_text, without_folders, words

_IS_TEST = re.compile(r"(num_)?test(s|ed)(_.*)?")
"""Names of facts that are numbers of tests."""
_TILES = ("found", "num_found", "replicated", "share")


def tests_of(result: Result) -> dict[str, int]:
    """Return the numbers of tests that a result says it has made, by the names of its facts."""
    view, facts = view_of(str(result.info["what"])), result.facts.items()
    if view.is_summary:
        return {}
    named = view.tests
    return {name: value for name, value in facts if (name in named or _IS_TEST.fullmatch(name)) and type(value) is int}


def tables_shown(result: Result) -> list[str]:
    """Return the names of the tables that readers want, those first that they want first."""
    view = view_of(str(result.info["what"]))
    known = [name for name in view.tables if name in result.tables]
    others = [name for name in result.tables if name not in known]
    return [*known, *(others if view.has_more_tables or not known else ())]


def basis_of(result: Result) -> str:
    """Return what a result is of."""
    info = result.info
    store = info.get("store")
    of = f" of the store “{place_text(str(store))}”" if store else ""
    clusters = info.get("num_clusters")
    grouped = f" in {counted(clusters, 'cluster')}" if isinstance(clusters, int) else ""
    return f"From {counted(info['num_prompts'], 'prompt')}{grouped}{of}: {info['graphs']}."


def main_numbers(result: Result) -> list[tuple[str, Any]]:
    """Return the numbers that a reader wants first, with their names in words."""
    info, facts, view = result.info, result.facts, view_of(str(result.info["what"]))
    found: list[tuple[str, Any]] = [("prompts", info["num_prompts"])]
    if isinstance(info.get("num_clusters"), int):
        found.append(("clusters", info["num_clusters"]))
    tests = tests_of(result)
    made = [("tests made", "not recorded" if view.makes_tests else "none")] if not view.is_summary else []
    found += [(words(name), number) for name, number in tests.items()] or made
    shown = (name for name in (*view.tiles, *_TILES) if name in facts)
    found += [(words(name), facts[name]) for name in dict.fromkeys(shown)]
    return list(dict.fromkeys(found))  # some results count their clusters among their facts, too


def limits_of(result: Result) -> list[str]:
    """Return what the data cannot say: the result's own warnings, and what follows from what it is of."""
    info = result.info
    found = [without_folders(warning) for warning in result.warnings]
    has_clusters = view_of(str(info["what"])).has_clusters
    if info.get("num_clusters") is None and "clusters_a" not in result.facts and has_clusters:
        found.append(
            "No clusters were named: prompts that share a template count as if they were independent, so that the "
            "numbers of prompts say more than the evidence does."
        )
    elif without := info.get("num_without_cluster"):
        found.append(f"{counted(int(without), 'prompt')} without a cluster.")
    if str(info["graphs"]).startswith("pruned") and not any("pruned" in warning for warning in found):
        found.append("The graphs are pruned: an edge or a feature that is absent may have been removed.")
    return [warning[:1].upper() + warning[1:] for warning in found]


def provenance_of(result: Result) -> str:
    """Return the settings and versions that a result was made with, as lines of JSON without control characters."""
    hidden = ("files", "warnings", "facts")
    rest = {name: _placed(value) for name, value in result.info.items() if name not in hidden}
    return "\n".join(map(printable, json.dumps(rest, indent=2, ensure_ascii=False).split("\n")))


def _placed(value: Any) -> Any:
    """Return a value of a document with addresses that do not say whose machine made it."""
    if isinstance(value, Mapping):
        return {str(name): _placed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_placed(one) for one in value]
    return place_text(value) if isinstance(value, str) else value
