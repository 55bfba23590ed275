"""What was found of motifs: the tables, the facts and the warnings of the result.

Axes: I prompt by rank, Y loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..text import counted
from .findings import Findings, FindingTable
from .loop_table import StrongestLoops, loop_rows
from .motif_columns import GRAPH_COLUMNS, LOOP_COLUMNS, MOTIF_COLUMNS, NULL_COLUMNS
from .motif_counts import MOTIFS
from .motif_graphs import Null
from .motif_plan import MotifPlan
from .motif_statistics import OF_NULL, VALUES, is_controlled, over_graphs
from .statistics import Floats

PERMUTATIONS = 9_999
Q = 0.05
_MUCH_FIXED = 0.9


def motif_findings(plan: MotifPlan, values: Floats, of_nulls: Floats, loops: StrongestLoops) -> Findings:
    """Return the findings, given the values [prompts, nulls, VALUES, motifs] and [prompts, nulls, OF_NULL]."""
    motifs = _motif_rows(plan, values)
    tables = {
        "motifs": FindingTable(MOTIF_COLUMNS, motifs),
        "loops": FindingTable(LOOP_COLUMNS, loop_rows(plan.prompts, plan.clusters, loops)),
        "nulls": FindingTable(NULL_COLUMNS, _null_rows(plan, of_nulls)),
        "graphs": FindingTable(GRAPH_COLUMNS, _graph_rows(plan, values)),
    }
    facts: dict[str, Any] = {
        "prompts": len(plan.prompts),
        "clusters": len(plan.clusters),
        "cluster_field": plan.clusters.field,
        "edges": plan.edges,
        "draws": plan.settings.draws,
        "steps": plan.settings.steps,
        "q": Q,
        "permutations": PERMUTATIONS,
        "loops": len(loops.strength_Y),
        "loops_recurring": loops.num_recurring,
        "loops_complete": loops.is_complete,
    }
    for number, null in enumerate(plan.nulls):
        facts |= _facts_of_null(null, motifs, of_nulls[:, number])
    return Findings(tables, facts, tuple(_doubts(plan, values, facts)))


def _facts_of_null(null: Null, motifs: Mapping[str, Any], of_null: Floats) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    is_own = np.array(motifs["null"]) == null
    for name, controlled in (("", "yes"), ("_uncontrolled", "no")):
        kept = is_own & (np.array(motifs["controlled"]) == controlled)
        numbers[f"{null}{name}_tests"] = int(np.count_nonzero(~np.isnan(motifs["p"][kept])))
        numbers[f"{null}{name}_found"] = int(np.count_nonzero(motifs["q"][kept] <= Q))
    fixed, moved, acceptance = (of_null[:, OF_NULL.index(name)] for name in ("fixed", "moved", "acceptance"))
    known = acceptance[~np.isnan(acceptance)]
    return {
        **numbers,
        f"{null}_fixed": float(fixed.mean()),
        f"{null}_moved": float(moved.mean()),
        f"{null}_acceptance": float(known.mean()) if len(known) else float("nan"),
    }


def _motif_rows(plan: MotifPlan, values: Floats) -> dict[str, Any]:
    found = []
    for number, null in enumerate(plan.nulls):
        of_null = {name: values[:, number, place] for place, name in enumerate(VALUES)}
        found.append(over_graphs(of_null, plan.clusters, null, PERMUTATIONS, plan.settings.seed))
    rows: dict[str, Any] = {
        "null": [null for null in plan.nulls for _ in MOTIFS],
        "motif": [motif for _ in plan.nulls for motif in MOTIFS],
        "controlled": ["yes" if is_controlled(null, motif) else "no" for null in plan.nulls for motif in MOTIFS],
    }
    for name, column in MOTIF_COLUMNS.items():
        if name not in rows:
            rows[name] = np.concatenate([one[name] for one in found]).astype(column.kind)
    order = np.argsort(np.array(rows["controlled"]) != "yes", kind="stable")  # those that a reader may trust come first
    return {name: [own[row] for row in order] if isinstance(own, list) else own[order] for name, own in rows.items()}


def _null_rows(plan: MotifPlan, of_nulls: Floats) -> dict[str, Any]:
    rows: dict[str, Any] = {
        "prompt": [prompt_id for prompt_id in plan.prompts.ids for _ in plan.nulls],
        "null": [null for _ in plan.prompts.ids for null in plan.nulls],
    }
    for place, name in enumerate(OF_NULL):
        column = "left_out" if name == "left_out" else name
        rows[column] = of_nulls[:, :, place].reshape(-1).astype(NULL_COLUMNS[column].kind)
    return rows


def _graph_rows(plan: MotifPlan, values: Floats) -> dict[str, Any]:
    each = len(plan.nulls) * len(MOTIFS)
    clusters = [plan.clusters.names[number] for number in plan.clusters.number_I.tolist()]
    rows: dict[str, Any] = {
        "prompt": [prompt_id for prompt_id in plan.prompts.ids for _ in range(each)],
        "cluster": [name for name in clusters for _ in range(each)],
        "null": [null for _ in plan.prompts.ids for null in plan.nulls for _ in MOTIFS],
        "motif": [motif for _ in range(len(plan.prompts) * len(plan.nulls)) for motif in MOTIFS],
    }
    return rows | {name: values[:, :, place].reshape(-1) for place, name in enumerate(VALUES)}


def _doubts(plan: MotifPlan, values: Floats, facts: Mapping[str, Any]) -> Iterator[str]:
    yield from plan.clusters.doubts()
    if 2.0 ** (1 - len(plan.clusters)) > Q:
        yield (
            f"with {counted(len(plan.clusters), 'cluster')} no p-value can be below "
            f"{min(1.0, 2.0 ** (1 - len(plan.clusters))):.3g}: nothing can be found"
        )
    for number, null in enumerate(plan.nulls):
        is_known = ~np.isnan(values[:, number, VALUES.index("rank"), MOTIFS.index("ffl")])
        if num_unknown := int(np.count_nonzero(~is_known)):
            yield (
                f"null {null}: of {counted(num_unknown, 'graph')} all draws have the number of feed-forward loops of "
                "the graph itself, so that nothing is known of them"
            )
        if facts[f"{null}_fixed"] > _MUCH_FIXED:
            yield (
                f"null {null}: {facts[f'{null}_fixed']:.1%} of the edges are in every graph with the same degrees, so "
                "that graphs can hardly differ from the draws: that no motif is found here says little"
            )
    if "layer" in plan.nulls:
        yield (
            "the null layer ignores positions, as published counts do: that no token can follow a later one, and that "
            "near tokens are connected more often, then makes motifs; it is there for comparison and controls nothing"
        )
    if (num_found := sum(facts[f"{null}_uncontrolled_found"] for null in plan.nulls if null != "layer")) > 0:
        yield (
            f"{counted(num_found, 'motif')} that differ are not controlled: draws of the null position do not keep how "
            "many of a node's edges are positive, and no draws keep how strong they are; these alone may be the reason"
        )
    if plan.top and not facts["loops_complete"]:
        yield (
            f"only {counted(facts['loops'], 'loop')} are certain to be the strongest ones: others do not fit into "
            f"--memory-gb {plan.memory_gb:g}"
        )
