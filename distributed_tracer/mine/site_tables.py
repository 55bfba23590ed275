"""Tables of sites and features of an atlas.

Axes: I site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .active import ActiveCounts
from .columns import ratio_columns
from .incidences import SiteSums
from .sites import Sites


def starts_of(code_I: npt.NDArray[np.int64], cuts: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the first site of each partition, given the codes at which partitions begin, and the number of sites."""
    return np.concatenate([[0], np.searchsorted(code_I, np.array(cuts[1:], dtype=np.int64)), [len(code_I)]])


def site_rows(sites: Sites, sums: SiteSums) -> dict[str, npt.NDArray[Any]]:
    """Return the table of sites."""
    return {
        "site": np.arange(len(sites), dtype=np.int32),
        "kind": sites.kind_I,
        "layer": sites.layer_I,
        "feature": sites.feature_I,
        "nodes": sums.num_nodes_I,
        "prompts": sums.num_prompts_I,
        "prompts_row": sums.num_row_I,
        "prompts_dropped_unknown": sums.num_dropped_unknown_I,
        "sum_dropped": sums.dropped_I,
    }


def feature_rows(sites: Sites, sums: SiteSums, active: ActiveCounts) -> dict[str, npt.NDArray[Any]]:
    """Return the table of features."""
    columns: dict[str, npt.NDArray[Any]] = {
        "layer": sites.layer_I,
        "feature": sites.feature_I,
        "prompts": sums.num_prompts_I,
        "prompts_row": sums.num_row_I,
        "nodes": sums.num_nodes_I,
        "nodes_unknown": sums.num_activation_unknown_I,
        "sum_activation": sums.activation_I,
        "sum_activation_squared": sums.activation_squared_I,
        "prompts_influence_unknown": sums.num_influence_unknown_I,
        "sum_influence": sums.influence_I,
        "prompts_error_share": sums.num_error_share_I,
        "sum_error_share": sums.error_share_I,
    }
    own = np.flatnonzero(sites.is_kind(NodeKind.FEATURE))
    return {
        **ratio_columns({name: values[own] for name, values in columns.items()}),
        **active.rows(sites.code_I[own]),
    }


def active_rows(active: ActiveCounts) -> dict[str, npt.NDArray[Any]]:
    """Return the table of active features."""
    layer_I, feature_I = np.divmod(active.place_I, active.num_features)
    return {
        "layer": layer_I.astype(np.int16),
        "feature": feature_I,
        "prompts_active": active.num_active_I.astype(np.int64),
        "prompts_computed": active.num_computed_I.astype(np.int64),
    }
