"""Features of the findings that were tested: their labels, and the tokens where they act in the discovery half.

A feature alone, as `2:438`, tells nobody anything. Members of communities are left out: a community has a name, and its
result has a table of members.

Axes: F feature, X pair of a feature and a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluate.findings_of import findings_of
from ..graph.nodes import NodeKind
from ..mine.consensus_tasks import clusters_of
from ..mine.feature_contexts import read_contexts
from ..mine.prompts import ChosenPrompts
from ..mine.sites import site_codes
from ..text import short
from .outcome import Outcome

Site = tuple[int, int]
"""Layer and index of a feature."""
Key = tuple[str, int]
"""Step and row of a finding."""
_MOST_TOKENS, _TOKEN = 3, 20
_OF_MANY = ("roles", "pathways")


def features_of(outcomes: Sequence[Outcome], most: int) -> dict[Key, list[Site]]:
    """Return the features that each tested finding is about, given how many findings of each result are tested: those
    that are turned off, then those that must follow. Communities have none here."""
    found: dict[Key, list[Site]] = {}
    for one in outcomes:
        if one.result is None or one.certificates is None or one.kind in _OF_MANY:
            continue
        for hypothesis in findings_of(one.result, most).hypotheses:
            quantities = [prediction.quantity for prediction in hypothesis.predictions]
            follow = [(about.layer, about.number) for about in quantities if about.kind == "feature"]
            found[one.step, hypothesis.finding] = list(dict.fromkeys([*hypothesis.off, *follow]))
    return found


def feature_rows(
    prompts: ChosenPrompts, features: Mapping[Key, Sequence[Site]], tokens: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return a row for each of these features, by layer and index; reads the nodes of the prompts once."""
    sites = sorted({site for several in features.values() for site in several})
    if not sites:
        return []
    layer_F, index_F = np.array(sites, dtype=np.int64).T
    code_F = site_codes(layer_F, np.full(len(sites), NodeKind.FEATURE), index_F)
    contexts = read_contexts(prompts, clusters_of(prompts), code_F)
    labels = prompts.store.labels
    rows = []
    for number, (layer, feature) in enumerate(sites):
        own = contexts.feature_X == number
        influence, token = contexts.influence_X[own], contexts.token_X[own]
        strongest = np.lexsort((token, -influence))[:_MOST_TOKENS]
        total = influence.sum()
        texts = [
            f"{short(tokens.get(int(token[at]), f'token of id {token[at]}'), _TOKEN)} {influence[at] / total:.0%}"
            for at in strongest.tolist()
            if influence[at] > 0
        ]
        about = {"label": labels.text(layer, feature), "tokens": ", ".join(texts)}
        findings = sum((layer, feature) in several for several in features.values())
        rows.append({"layer": layer, "feature": feature, "findings": findings, **about})
    return rows


def named(features: Sequence[Site], rows: Mapping[Site, Mapping[str, Any]]) -> str:
    """Return features in one line, each with its label or with the tokens where it acts."""
    found = []
    for layer, feature in features:
        row = rows[layer, feature]
        said = row["label"] or (f"at {row['tokens']}" if row["tokens"] else "")
        found.append(f"{layer}:{feature} {said}".strip())
    return "; ".join(found)
