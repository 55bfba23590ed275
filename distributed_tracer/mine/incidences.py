"""Incidences: what is known of each site in each prompt where it is a node, and of each site over all prompts.

Axes: N node, I site, X incidence of a site and a prompt (by site, then by rank of the prompt), B row of a batch of
questions.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .spill import Spill

_RANKS, _ROW_SUMS, _SUMS = "ranks", "row_sums", "sums.npz"


@dataclass(frozen=True, eq=False)
class SiteSums:
    """Counts and sums of each site over all prompts. Sums are in the order of prompts, then of nodes."""

    num_nodes_I: npt.NDArray[np.int64]
    num_prompts_I: npt.NDArray[np.int64]
    """Prompts where the site is a node, at any position."""
    num_row_I: npt.NDArray[np.int64]
    """Prompts where the edges into it were computed, at one position at least."""
    num_dropped_unknown_I: npt.NDArray[np.int64]
    """Of these, prompts where the dropped mass is not known at one position at least."""
    dropped_I: npt.NDArray[np.float64]
    """Sum of the dropped |edge| into it, over the prompts where it is known."""
    num_activation_unknown_I: npt.NDArray[np.int64]
    activation_I: npt.NDArray[np.float64]
    activation_squared_I: npt.NDArray[np.float64]
    num_influence_unknown_I: npt.NDArray[np.int64]
    influence_I: npt.NDArray[np.float64]
    num_error_share_I: npt.NDArray[np.int64]
    error_share_I: npt.NDArray[np.float64]


class Incidences:
    """Sums of all sites in memory, and the incidences in files of a folder, by site."""

    def __init__(self, folder: Path) -> None:
        """Read what `join_incidences` wrote."""
        self._folder = folder
        with np.load(folder / _SUMS) as sums:
            self.sums = SiteSums(**{entry.name: sums[entry.name] for entry in fields(SiteSums)})
        self.start_I = np.concatenate([[0], np.cumsum(self.sums.num_prompts_I)])
        """First incidence of each site, followed by the number of incidences."""
        self.ranks: npt.NDArray[np.int32] = np.memmap(folder / _RANKS, dtype=np.int32, mode="r")
        """Ranks of the prompts of all incidences, mapped from the file: its pages are the operating system's."""

    def row_sums(self, first: int, end: int) -> npt.NDArray[np.float64]:
        """Return the sum of `row_abs_sum` at each incidence of the sites from `first` to `end - 1`; NaN if unknown."""
        begin, stop = int(self.start_I[first]), int(self.start_I[end])
        return np.fromfile(self._folder / _ROW_SUMS, dtype=np.float64, count=stop - begin, offset=8 * begin)

    def contains(self, site_B: npt.NDArray[np.integer], rank_B: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return whether each site is a node in the prompt of each rank, by a binary search for all at once."""
        low_B, end_B = self.start_I[site_B], self.start_I[site_B + 1]
        high_B = end_B.copy()
        for _ in range(int((end_B - low_B).max(initial=0)).bit_length()):
            middle_B = (low_B + high_B) >> 1
            is_open_B = low_B < high_B
            below_B = is_open_B & (self.ranks[np.where(is_open_B, middle_B, 0)] < rank_B)
            low_B = np.where(below_B, middle_B + 1, low_B)
            high_B = np.where(is_open_B & ~below_B, middle_B, high_B)
        is_there_B = low_B < end_B
        found_B: npt.NDArray[np.bool_] = is_there_B & (self.ranks[np.where(is_there_B, low_B, 0)] == rank_B)
        return found_B


def reduce_nodes(folder: Path, spill: Spill, number: int) -> None:
    """Write the incidences and the sums of the sites of one partition into a folder."""
    first, end = spill.starts[number : number + 2].tolist()
    rank_X, row_sum_X, sums = _reduced(spill.nodes(number), first, end)
    (folder / _RANKS).write_bytes(rank_X.tobytes())
    (folder / _ROW_SUMS).write_bytes(row_sum_X.tobytes())
    arrays: dict[str, Any] = {entry.name: getattr(sums, entry.name) for entry in fields(SiteSums)}
    np.savez(folder / _SUMS, **arrays)


def join_incidences(folder: Path, partitions: Sequence[Path]) -> None:
    """Write the incidences of all partitions, whose folders are given in their order, into one folder."""
    for name in (_RANKS, _ROW_SUMS):
        with (folder / name).open("wb") as joined:
            for partition in partitions:
                with (partition / name).open("rb") as file:
                    shutil.copyfileobj(file, joined)
    found = [np.load(partition / _SUMS) for partition in partitions]
    names = [entry.name for entry in fields(SiteSums)]
    arrays: dict[str, Any] = {name: np.concatenate([one[name] for one in found]) for name in names}
    np.savez(folder / _SUMS, **arrays)
    for one in found:
        one.close()


def _reduced(
    nodes: npt.NDArray[Any], first: int, end: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], SiteSums]:
    """Return the ranks and row sums of the incidences of the sites from `first` to `end - 1`, and the sites' sums."""
    nodes = nodes[np.lexsort((nodes["rank"], nodes["site"]))]
    site_N, rank_N = nodes["site"] - first, nodes["rank"]
    num_sites = end - first
    is_new_N = np.ones(len(nodes), dtype=bool)
    is_new_N[1:] = (site_N[1:] != site_N[:-1]) | (rank_N[1:] != rank_N[:-1])
    first_X = np.flatnonzero(is_new_N)
    of_N = np.cumsum(is_new_N) - 1
    num_incidences, site_X = len(first_X), site_N[first_X]

    def by_incidence(values_N: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(of_N, weights=values_N, minlength=num_incidences)

    def by_node(values_N: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(site_N, weights=values_N, minlength=num_sites)

    def by_site(values_X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.bincount(site_X, weights=values_X, minlength=num_sites)

    def counted(mask_X: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(site_X[mask_X], minlength=num_sites)

    def sum_where_known(values_N: npt.NDArray[Any], has_N: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return the sum over each incidence's nodes, and whether the values of all of its nodes with `has` are
        finite."""
        is_known_N = np.isfinite(values_N)
        sum_X = by_incidence(np.where(has_N & is_known_N, values_N, 0).astype(np.float64))
        return sum_X, by_incidence(has_N & ~is_known_N) == 0

    has_row_N = ~np.isnan(nodes["row_abs_sum"]) | (nodes["in_degree"] > 0)
    has_row_X = by_incidence(has_row_N) > 0
    row_sum_X, is_row_known_X = sum_where_known(nodes["row_abs_sum"], has_row_N)
    row_sum_X = np.where(has_row_X & is_row_known_X & (row_sum_X > 0), row_sum_X, np.nan)
    dropped_X, is_dropped_known_X = sum_where_known(nodes["row_abs_dropped"], has_row_N)
    error_X, is_error_known_X = sum_where_known(nodes["error_abs"], has_row_N)
    is_share_X = np.isfinite(row_sum_X) & is_error_known_X
    share_X = np.divide(error_X, row_sum_X, out=np.zeros(num_incidences), where=is_share_X)
    influence_X, is_influence_known_X = sum_where_known(nodes["influence"], np.ones(len(nodes), dtype=bool))
    is_active_N = np.isfinite(nodes["activation"])
    activation_N = np.where(is_active_N, nodes["activation"], 0).astype(np.float64)
    sums = SiteSums(
        num_nodes_I=np.bincount(site_N, minlength=num_sites),
        num_prompts_I=np.bincount(site_X, minlength=num_sites),
        num_row_I=counted(has_row_X),
        num_dropped_unknown_I=counted(has_row_X & ~is_dropped_known_X),
        dropped_I=by_site(np.where(has_row_X & is_dropped_known_X, dropped_X, 0.0)),
        num_activation_unknown_I=np.bincount(site_N[~is_active_N], minlength=num_sites),
        activation_I=by_node(activation_N),
        activation_squared_I=by_node(activation_N * activation_N),
        num_influence_unknown_I=counted(~is_influence_known_X),
        influence_I=by_site(np.where(is_influence_known_X, influence_X, 0.0)),
        num_error_share_I=counted(is_share_X),
        error_share_I=by_site(share_X),
    )
    return rank_N[first_X], row_sum_X, sums
