"""What makes the numbers of a comparison of two stores less certain than they look, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..text import counted
from .conserved_edges import ConservedEdges
from .feature_matches import FeatureMatches
from .findings import describe_graphs
from .paired_prompts import PairedPrompts

_MUCH = 0.5


def doubts(pairs: PairedPrompts, found: FeatureMatches, edges: ConservedEdges, facts: Mapping[str, Any]) -> list[str]:
    """Return the warnings of a comparison."""
    sentences = pairs.doubts()
    kinds = [describe_graphs(side.store) for side in (pairs.a, pairs.b)]
    if kinds[0] != kinds[1]:
        sentences.append(
            f"store a has {kinds[0]}, store b has {kinds[1]}: an edge can be absent in one of them because it was "
            "pruned; features do not depend on pruning"
        )
    if pairs.clusters.field is None:
        sentences.append(
            "no clusters are named, so that each prompt counts as independent evidence: if prompts share templates, "
            "documents or subjects, intervals are too narrow (--cluster FIELD)"
        )
    else:
        sentences += pairs.clusters.doubts()
    if pairs.templates is None:
        sentences.append(
            "no templates are named: prompts are shuffled among all prompts, so that features that only tell templates "
            "or languages apart match, too (--within FIELD)"
        )
    if (alone := facts["prompts_alone_in_template"]) > _MUCH * len(pairs):
        sentences.append(
            f"{counted(alone, 'prompt')} of {len(pairs):,} have no other prompt of their template, so that no shuffle "
            "moves them: name a field whose values several prompts share (--within FIELD)"
        )
    sentences += _of_features(found, facts)
    for side in "ab":
        if number := facts[f"prompts_without_influence_{side}"]:
            sentences.append(f"{counted(number, 'prompt')} of unknown influence in store {side} have no edges here")
        if number := facts[f"unknown_{side}"]:
            sentences.append(
                f"{number:,} of {counted(facts[f'features_{side}'], 'feature')} of store {side} are unknown: too few "
                "clusters, nothing beyond the template, or a tie; they count neither as matched nor as unmatched"
            )
    if not facts["edges_tested"]:
        sentences.append("no edge between matched features can be compared: the data say nothing of circuits")
    return sentences


def _of_features(found: FeatureMatches, facts: Mapping[str, Any]) -> list[str]:
    """Return a warning if more shuffles could find more."""
    p = found.tested.p_F
    at_floor = int(np.count_nonzero(p <= facts["least_p"] * 1.5))
    if at_floor and not facts["matched"]:
        return [
            f"{counted(at_floor, 'feature')} of {facts['tests']:,} have the smallest p-value that "
            f"{found.num_shuffles:,} shuffles can give, {facts['least_p']:.2g}, which is not enough for "
            f"q = {found.q:g}: more --shuffles could find some"
        ]
    return []
