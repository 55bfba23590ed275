"""Edge shares: each prompt as a vector over edges between sites, by the influence that the edges pass on.

An edge passes on |w| / R of the influence of the node that it explains, where R is the sum of |edge| of that node's row
before pruning. The share of an edge between two sites is the sum of this over all positions, divided by the sum over
all chosen edges of the prompt, so that the shares of a prompt add up to 1. Axes: I prompt of a part range, N node,
E edge, K target, X edge between two sites in one prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.nodes import NodeKind
from ..names import unknown
from .ordering import Ordered
from .prompts import ChosenPrompts, PromptPiece
from .scan import ScannedRange, scan_ranges
from .sites import Sites

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
EDGES = ("features", "all")
"""The edges that count: those between two features, or all of them."""


@dataclass(frozen=True, eq=False)
class EdgeShares:
    """The edges between sites that some prompts have, sorted by prompt within the part range, then by key."""

    rank_X: npt.NDArray[np.int32]
    """Rank of the prompt."""
    key_X: Ints
    """The number of the target's site * the number of sites + the number of the source's site."""
    share_X: Floats
    signed_X: Floats
    """The share, with edges that lower their target counted as negative."""
    rank_I: npt.NDArray[np.int32]
    """Rank of every prompt of the range, also of those without edges."""
    known_I: npt.NDArray[np.bool_]
    """Whether any influence of the prompt is known; without it, it has no edges here."""
    num_unknown: int
    """Number of edges whose weight is not finite, which count as 0."""


def read_edge_shares(
    prompts: ChosenPrompts | PromptPiece,
    sites: Sites,
    most_rows: int,
    edges: Literal["features", "all"] = "features",
    first_site: int = 0,
    end_site: int | None = None,
) -> Iterator[EdgeShares]:
    """Yield the edges into the sites from `first_site` to `end_site` - 1 of all prompts, a part range at a time.

    The shares do not depend on which sites are read: they are always shares of all edges of the prompt that `edges`
    names. Raises ConfigError for unknown `edges`.
    """
    if edges not in EDGES:
        raise ConfigError(unknown("kind of edges", edges, EDGES))
    end = len(sites) if end_site is None else end_site
    for scanned in scan_ranges(prompts, most_rows):
        yield _shares(scanned, sites, edges, first_site, end)


def _shares(scanned: ScannedRange, sites: Sites, edges: str, first_site: int, end_site: int) -> EdgeShares:
    own, nodes = scanned.part_range, scanned.nodes
    site_N, target_E = sites.numbers(scanned.code_N), scanned.target_E
    source_E, weight_E = scanned.edges()
    size_E = np.abs(weight_E.astype(np.float64))
    is_finite_E = np.isfinite(size_E)
    num_prompts, passing_N = len(scanned.rank_I), _passing(scanned)
    known_I = np.bincount(own.prompt_N[np.isfinite(passing_N)], minlength=num_prompts) > 0
    size_E[~is_finite_E] = 0.0
    row_N = nodes["row_abs_sum"].astype(np.float64)
    own_N = np.bincount(target_E, size_E, len(site_N))
    row_N = np.where(np.isfinite(row_N) & (row_N > 0), row_N, own_N)
    factor_N = np.divide(np.nan_to_num(passing_N), row_N, out=np.zeros(len(row_N)), where=row_N > 0)
    passed_E = size_E * factor_N[target_E]
    prompt_E = own.prompt_N[target_E]
    wanted_E = known_I[prompt_E]
    if edges == "features":
        is_feature_N = nodes["kind"] == NodeKind.FEATURE
        wanted_E &= is_feature_N[target_E] & is_feature_N[source_E]
    total_I = np.bincount(prompt_E[wanted_E], passed_E[wanted_E], num_prompts)
    num_unknown = int(np.count_nonzero(~is_finite_E & wanted_E))
    wanted_E &= (site_N[target_E] >= first_site) & (site_N[target_E] < end_site)
    chosen = np.flatnonzero(wanted_E)
    key_X, order, is_first = _ordered(site_N, prompt_E[chosen], target_E[chosen], source_E[chosen], len(sites))
    chosen = chosen[order]
    place_E, num_entries = np.cumsum(is_first) - 1, len(key_X)
    # bincount adds one edge after another, in the order of the graph
    signed_E = np.copysign(passed_E[chosen], np.nan_to_num(weight_E[chosen]))
    sums, signed = (
        np.bincount(place_E, values, num_entries).astype(np.float64) for values in (passed_E[chosen], signed_E)
    )
    prompt_X = prompt_E[chosen[is_first]]
    per_X = np.divide(1.0, total_I, out=np.zeros(num_prompts), where=total_I > 0)[prompt_X]
    return EdgeShares(
        scanned.rank_I[prompt_X],
        key_X,
        sums * per_X,
        signed * per_X,
        scanned.rank_I,
        known_I,
        num_unknown,
    )


def _ordered(
    site_N: npt.NDArray[np.int32],
    prompt_E: npt.NDArray[np.integer],
    target_E: npt.NDArray[np.int32],
    source_E: npt.NDArray[np.int32],
    num_sites: int,
) -> tuple[Ints, npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the order of edges by prompt, target site and source site; which of them are the first of their pair in
    their prompt; and the keys of these pairs. Edges of a pair stay in order.

    The sites of a part range are few: with numbers of their own, all fits into one integer with the place of the edge.
    """
    own_sites, local_N = np.unique(site_N, return_inverse=True)
    size, num_prompts = len(own_sites), int(prompt_E.max(initial=0)) + 1
    local_E = (prompt_E.astype(np.int64) * size + local_N[target_E]) * size + local_N[source_E]
    found = Ordered(local_E, (num_prompts * size**2).bit_length())
    is_first = found.is_first()
    local_E, order = found.take(slice(None))
    target_X, source_X = (own_sites[local].astype(np.int64) for local in np.divmod(local_E[is_first] % size**2, size))
    return target_X * num_sites + source_X, order, is_first


def _passing(scanned: ScannedRange) -> Floats:
    """Return what flows through each node [N]: its influence, and the weight of a target; NaN if it is not known.

    The weights of targets alone do not say what flows through the nodes of a graph: they are NaN there, too.
    """
    own = scanned.part_range
    passing_N: Floats = scanned.nodes["influence"].astype(np.float64)
    target_K = np.flatnonzero(scanned.nodes["kind"] == NodeKind.TARGET)
    of_targets_K = np.nan_to_num(passing_N[target_K])
    passing_N[target_K] = np.nan
    has_influence_I = np.bincount(own.prompt_N[np.isfinite(passing_N)], minlength=len(scanned.rank_I)) > 0
    if len(target_K):
        weights: npt.NDArray[Any] = own.part.read({"targets/weight": own.rows("num_targets")})["targets/weight"]
        num_targets_I, prompt_K = own.sizes("num_targets"), own.prompt_N[target_K]
        first_I = np.cumsum(num_targets_I) - num_targets_I
        weight_K = weights[first_I[prompt_K] + scanned.nodes["feature"][target_K]]  # numbers that the scan has checked
        passing_N[target_K] = np.where(has_influence_I[prompt_K], of_targets_K + weight_K, np.nan)
    return np.where(np.isfinite(passing_N), passing_N, np.nan)
