"""where_testable: where each hypothesis can be tested, as far as a store says, and samples of these prompts.

A feature of a finding is active in few prompts of a corpus, so that a sample of all prompts would test most findings in
next to none. Which prompts are chosen depends on activity and on clusters alone, not on what an intervention does.

Axes: I prompt (by rank, or of a part range), A active feature, K target, N node, X prompt of a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from ..mine.prompts import ChosenPrompts
from ..store.read.part_range import PartRange
from .hypotheses import FeatureSite, Hypothesis, Quantity

Mask = npt.NDArray[np.bool_]
_ROWS = 1 << 20
"""Active features, nodes or targets that are read at once, unless a single prompt has more."""


def where_testable(prompts: ChosenPrompts, hypotheses: Sequence[Hypothesis]) -> list[Mask]:
    """Return, for each hypothesis, by rank, in which prompts it can be tested: one of its features is active, and
    every quantity that it predicts is there.

    Active features are those that the store keeps; in parts that keep none, those that are nodes. Reads only these and
    the targets.
    """
    quantities = {made.quantity for one in hypotheses for made in one.predictions}
    sets: dict[Hypothesis | Quantity, Sequence[FeatureSite]] = {one: one.off for one in hypotheses}
    sets |= {one: [(one.layer, one.number)] for one in quantities if one.kind == "feature"}
    there_I = _active(prompts, sets) | _targets(prompts, [one for one in quantities if one.kind != "feature"])
    return [
        np.logical_and.reduce([there_I[own], *(there_I[made.quantity] for made in own.predictions)])
        for own in hypotheses
    ]


def sample(mask_I: Mask, cluster_I: npt.NDArray[np.int32], place_I: npt.NDArray[np.intp], number: int) -> list[int]:
    """Return the ranks of at most `number` prompts of a mask, from as many clusters as there are.

    `place_I` is the place of each prompt in a random order: the first prompt of each cluster comes before the second of
    any. Clusters then count for a mean over clusters as they would if all their prompts were taken, up to chance.
    """
    rank_X = np.flatnonzero(mask_I)
    rank_X = rank_X[np.lexsort((place_I[rank_X], cluster_I[rank_X]))]
    cluster_X = cluster_I[rank_X]
    first_X = np.flatnonzero(np.diff(cluster_X, prepend=-2))
    turn_X = np.arange(len(rank_X)) - np.repeat(first_X, np.diff(first_X, append=len(rank_X)))
    chosen: list[int] = np.sort(rank_X[np.lexsort((place_I[rank_X], turn_X))[:number]]).tolist()
    return chosen


def _active(
    prompts: ChosenPrompts, sets: Mapping[Hypothesis | Quantity, Sequence[FeatureSite]]
) -> dict[Hypothesis | Quantity, Mask]:
    """Return, by rank, the prompts in which a feature of each set is active."""
    codes = {own: [layer << 32 | feature for layer, feature in sites] for own, sites in sets.items()}
    wanted = np.unique(np.array([code for own in codes.values() for code in own], dtype=np.int64))
    found = {own: np.zeros(len(prompts), dtype=bool) for own in sets}
    for part_range, rank_I in prompts.ranges("num_active", "num_nodes", rows=_ROWS):
        layer_A, feature_A, prompt_A = _features(part_range)
        code_A = layer_A.astype(np.int64) << 32 | feature_A
        is_wanted_A = np.isin(code_A, wanted)
        code_A, rank_A = code_A[is_wanted_A], rank_I[prompt_A[is_wanted_A]]
        for own, mask_I in found.items():
            mask_I[rank_A[np.isin(code_A, codes[own])]] = True
    return found


def _features(part_range: PartRange) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.int32]]:
    """Return layer, index and prompt of the active features of a part range, or of its nodes that are features."""
    part = part_range.part
    if part.keeps_active:
        names = ("active/layer", "active/feature")
        read = part.read(dict.fromkeys(names, part_range.rows("num_active")))
        return read[names[0]], read[names[1]], part_range.prompt_of_rows("num_active")
    nodes = part.nodes(("kind", "layer", "feature"), part_range.rows("num_nodes"))
    own_A = np.flatnonzero(nodes["kind"] == NodeKind.FEATURE)
    return nodes["layer"][own_A], nodes["feature"][own_A], part_range.prompt_N[own_A]


def _targets(prompts: ChosenPrompts, quantities: Sequence[Quantity]) -> dict[Hypothesis | Quantity, Mask]:
    """Return, for each quantity of targets, by rank, the prompts that have it: a token's logit at the end."""
    found: dict[Hypothesis | Quantity, Mask] = {one: np.zeros(len(prompts), dtype=bool) for one in quantities}
    for part_range, rank_I in prompts.ranges("num_targets", rows=_ROWS) if found else ():
        names = ("targets/token_id", "targets/position", "targets/weight")
        token_K, position_K, weight_K = part_range.part.read(
            dict.fromkeys(names, part_range.rows("num_targets"))
        ).values()
        rank_K = rank_I[part_range.prompt_of_rows("num_targets")]
        last_K = np.repeat(part_range.sizes("num_tokens"), part_range.sizes("num_targets")) - 1
        is_known_K = (token_K >= 0) & (position_K == last_K)
        for one in quantities:
            own_K = token_K == one.number if one.kind == "token" else weight_K > 0
            found[one][rank_K[is_known_K & own_K]] = True
    return found
