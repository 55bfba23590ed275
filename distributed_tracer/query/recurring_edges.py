"""Recurring edges: the strongest edges between features that recur over prompts, disregarding positions.

Axes: X edge of the answer.
"""

from __future__ import annotations

import numpy as np

from ..graph.nodes import NodeKind
from ..store.reader import Store
from ..table import Table
from .site_pairs import SitePairs
from .strongest_edges import strongest_edges
from .sum_by_key import site_columns

_LAYERS_AND_FEATURES = [1, 2, 4, 5]
"""Columns of `SitePairs.ends`."""


def recurring_edges(
    store: Store, top: int = 50, min_prompts: int = 2, num_buckets: int = 1 << 22, buckets_per_pass: int = 1 << 18
) -> Table:
    """Return the strongest feature-to-feature edges that at least `min_prompts` prompts have, disregarding positions.

    An edge's weight in one prompt is the sum over all positions of both ends. The columns are source_layer,
    source_feature, target_layer, target_feature, prompts, mean_weight (over those prompts) and strength (the sum over
    prompts of |weight|); the strongest edge comes first. Sums are in the order of ids, so that they do not depend on
    how the store is divided. `num_buckets` and `buckets_per_pass` trade memory (20 bytes per bucket, and the edges of
    one pass) for passes over the store; they do not change the answer.
    """
    pairs = SitePairs(store, None, NodeKind.FEATURE)
    found = strongest_edges(pairs, top, min_prompts, num_buckets, buckets_per_pass)
    return Table(
        {
            **site_columns(pairs.ends(found.pair_X)[:, _LAYERS_AND_FEATURES], "source_", "target_"),
            "prompts": found.prompts_X,
            "mean_weight": found.weight_X / found.prompts_X.astype(np.float64),
            "strength": found.strength_X,
        }
    )
