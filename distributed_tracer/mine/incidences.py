"""Incidences: what is known of a site in each prompt where it is a node, and of each site over all prompts.

All float sums are sequential: over the nodes of one prompt in the order of its graph, and over prompts in the order of
their ids. They therefore depend on nothing but the graphs.

Axes: N node (by site, then by prompt, then in the order of its graph), I site of a range, X incidence of a site and a
prompt (by site, then by prompt).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .sequential import sums_by


@dataclass(frozen=True, eq=False)
class SiteSums:
    """Counts and sums of each site over all prompts."""

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

    @classmethod
    def joined(cls, parts: Sequence[SiteSums]) -> SiteSums:
        """Return the sums of all sites, given those of consecutive ranges of sites."""
        return cls(*(np.concatenate([getattr(one, field.name) for one in parts]) for field in fields(cls)))


class Incidences:
    """The incidences of a range of sites.

    `nodes` has the columns of NODE_RECORD of all nodes at the sites from `first` to `end - 1`, ordered as the axis N
    says.
    """

    def __init__(self, nodes: Any, first: int, end: int) -> None:
        self._nodes, self._num_sites = nodes, end - first
        self._site_N = nodes["site"] - np.int32(first)
        is_new_N = np.ones(len(self._site_N), dtype=bool)
        is_new_N[1:] = (self._site_N[1:] != self._site_N[:-1]) | (nodes["prompt"][1:] != nodes["prompt"][:-1])
        self.of_N: npt.NDArray[np.intp] = np.cumsum(is_new_N) - 1
        """Incidence of each node."""
        first_X = np.flatnonzero(is_new_N)
        self.site_X: npt.NDArray[np.int32] = self._site_N[first_X]
        """Site of each incidence, counted from `first`."""
        self.prompt_X: npt.NDArray[np.int32] = nodes["prompt"][first_X]

    def __len__(self) -> int:
        return len(self.site_X)

    @cached_property
    def row_sum_X(self) -> npt.NDArray[np.float64]:
        """Sum of `row_abs_sum` over the nodes whose edges were computed; NaN if it is not known or not positive."""
        sum_X, is_known_X = self._sum_where_known("row_abs_sum", self._has_row_N)
        return np.where(self._has_row_X & is_known_X & (sum_X > 0), sum_X, np.nan)

    @property
    def sums(self) -> SiteSums:
        """Counts and sums of each site of the range."""
        nodes, num_sites = self._nodes, self._num_sites
        dropped_X, is_dropped_known_X = self._sum_where_known("row_abs_dropped", self._has_row_N)
        error_X, is_error_known_X = self._sum_where_known("error_abs", self._has_row_N)
        is_share_X = np.isfinite(self.row_sum_X) & is_error_known_X
        share_X = np.divide(error_X, self.row_sum_X, out=np.zeros(len(self)), where=is_share_X)
        influence_X, is_influence_known_X = self._sum_where_known("influence", None)
        is_active_N = np.isfinite(nodes["activation"])
        activation_N = np.where(is_active_N, nodes["activation"], 0).astype(np.float64)
        return SiteSums(
            num_nodes_I=np.bincount(self._site_N, minlength=num_sites),
            num_prompts_I=np.bincount(self.site_X, minlength=num_sites),
            num_row_I=self._counted(self._has_row_X),
            num_dropped_unknown_I=self._counted(self._has_row_X & ~is_dropped_known_X),
            dropped_I=self._by_site(np.where(self._has_row_X & is_dropped_known_X, dropped_X, 0.0)),
            num_activation_unknown_I=np.bincount(self._site_N[~is_active_N], minlength=num_sites),
            activation_I=sums_by(self._site_N, activation_N, num_sites),
            activation_squared_I=sums_by(self._site_N, activation_N * activation_N, num_sites),
            num_influence_unknown_I=self._counted(~is_influence_known_X),
            influence_I=self._by_site(np.where(is_influence_known_X, influence_X, 0.0)),
            num_error_share_I=self._counted(is_share_X),
            error_share_I=self._by_site(share_X),
        )

    @cached_property
    def _has_row_N(self) -> npt.NDArray[np.bool_]:
        return np.asarray(~np.isnan(self._nodes["row_abs_sum"]) | (self._nodes["in_degree"] > 0))

    @cached_property
    def _has_row_X(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.bincount(self.of_N, weights=self._has_row_N, minlength=len(self)) > 0)

    def _sum_where_known(self, name: str, has_N: npt.NDArray[np.bool_] | None) -> tuple[Any, Any]:
        """Return the sum over each incidence's nodes, and whether the values of all of its nodes with `has` are
        finite."""
        values_N = self._nodes[name]
        is_used_N = is_known_N = np.isfinite(values_N)
        is_unknown_N = ~is_known_N
        if has_N is not None:
            is_used_N, is_unknown_N = has_N & is_known_N, has_N & is_unknown_N
        used_N = np.where(is_used_N, values_N, 0).astype(np.float64)
        sum_X = np.bincount(self.of_N, weights=used_N, minlength=len(self))
        return sum_X, np.bincount(self.of_N, weights=is_unknown_N, minlength=len(self)) == 0

    def _by_site(self, values_X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return sums_by(self.site_X, values_X, self._num_sites)

    def _counted(self, mask_X: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(self.site_X[mask_X], minlength=self._num_sites)
