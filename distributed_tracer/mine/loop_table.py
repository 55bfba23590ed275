"""The table of feed-forward loops: the strongest loops that recur over clusters of prompts.

Axes: X loop in a prompt, or one of its three sites, Y loop, I site, N node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .clusters import Clusters
from .loop_strengths import UNIT, Loops, sorted_loops, starts
from .prompts import ChosenPrompts
from .scan import scan_ranges
from .site_names import site_names
from .sites import Sites

Ints = npt.NDArray[np.int64]
_PLACES = ("first", "middle", "last")
_READ_ROWS = 1 << 18


@dataclass(frozen=True, eq=False)
class StrongestLoops:
    """Loops, the strongest first, each with the sums over its prompts."""

    columns: dict[str, Ints]
    strength_Y: Ints
    """Sum over prompts of strength / size of the prompt's cluster, in UNIT."""
    num_recurring: int
    """Number of loops in enough clusters, of those that were kept."""
    is_complete: bool
    """Whether no other loop can be among these."""


def strongest_loops(
    loops: Loops, clusters: Clusters, size_of_rank: Ints, top: int, min_clusters: int, bound: int
) -> StrongestLoops:
    """Return the `top` strongest loops that `min_clusters` clusters have, given rows in any order.

    `bound` is the largest strength that a loop may have of which there are no rows; loops below it are left out, as
    others may be stronger.
    """
    loops = sorted_loops(loops)
    rows, first = loops.columns, starts(loops)
    loop_X = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(loops))))
    weighted = rows["strength"] // size_of_rank[rows["rank"]]
    pairs = np.unique(loop_X * len(clusters) + clusters.number_I[rows["rank"]])
    counts = {
        "prompts": np.bincount(loop_X, minlength=len(first)).astype(np.int64),
        "clusters": np.bincount(pairs // len(clusters), minlength=len(first)).astype(np.int64),
    }
    values = {
        "sum": weighted,
        "prompts_unknown": (rows["unknown"] > 0).astype(np.int64),
        **{name: rows[name] for name in ("instances", "direct", "through")},
    }
    sums = {name: np.add.reduceat(own, first) if len(first) else own for name, own in values.items()}
    columns = {name: rows[name][first] for name in (*_PLACES, "signs")} | counts | sums
    recurring = np.flatnonzero(columns["clusters"] >= min_clusters)
    keys = [columns[name][recurring] for name in ("signs", "last", "middle", "first")]
    order = recurring[np.lexsort([*keys, -columns["sum"][recurring]])][:top]
    is_certain = columns["sum"][order] >= bound
    is_complete = bound == 0 or (len(order) == top and bool(is_certain.all()))
    order = order[is_certain]
    found = {name: own[order] for name, own in columns.items()}
    return StrongestLoops(found, found.pop("sum"), len(recurring), is_complete)


def prompts_with_sites(prompts: ChosenPrompts, sites: Sites, number_YX: Ints) -> Ints:
    """Return in how many prompts all sites of each loop are nodes; `number_YX` [loops, 3] has their numbers."""
    found = np.zeros(len(number_YX), dtype=np.int64)
    for scanned in scan_ranges(prompts, _READ_ROWS, with_values=False):
        place = np.minimum(np.searchsorted(sites.code_I, scanned.code_N), max(0, len(sites) - 1))
        is_wanted = sites.code_I[place] == scanned.code_N if len(sites) else np.zeros(len(place), dtype=np.bool_)
        has_site = np.zeros((len(scanned.rank_I), len(sites)), dtype=np.bool_)
        has_site[scanned.part_range.prompt_N[is_wanted], place[is_wanted]] = True
        for of_prompt in has_site:
            found += of_prompt[number_YX].all(axis=1)
    return found


def loop_rows(prompts: ChosenPrompts, clusters: Clusters, found: StrongestLoops) -> dict[str, Any]:
    """Return the rows of the table of loops."""
    columns = found.columns
    sites = Sites.of_codes([np.unique(np.concatenate([columns[place] for place in _PLACES]))])
    rows: dict[str, Any] = {}
    numbers = [np.searchsorted(sites.code_I, columns[place]) for place in _PLACES]
    for place, number in zip(_PLACES, numbers, strict=True):
        rows[f"{place}_kind"], rows[f"{place}_layer"] = sites.kind_I[number], sites.layer_I[number]
        rows[f"{place}_feature"], rows[f"{place}_name"] = sites.feature_I[number], site_names(prompts, sites, number)
    signs = columns["signs"].tolist()
    rows["signs"] = ["".join("-" if own & bit else "+" for bit in (4, 2, 1)) for own in signs]
    rows["coherent"] = ["yes" if own.bit_count() % 2 == 0 else "no" for own in signs]
    rows["prompts_sites"] = prompts_with_sites(prompts, sites, np.stack(numbers, axis=1))
    rows |= {name: columns[name] for name in ("prompts", "clusters", "instances", "prompts_unknown")}
    rows["strength"] = found.strength_Y * UNIT / len(clusters)
    return rows | {name: columns[name] * UNIT / columns["prompts"] for name in ("direct", "through")}
