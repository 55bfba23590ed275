"""The average graph of a group of prompts: its strongest edges, with every number that a mean may be taken over.

Axes: X edge of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.columns import KINDS, NODE_COLUMNS, SIDES
from ..store.reader import Store, prompt_list
from ..table import Table
from .site_pairs import SITE, SitePairs
from .strongest_edges import strongest_edges


def average_edges(
    store: Store,
    prompt_ids: str | Iterable[str] | None = None,
    top: int = 50,
    min_prompts: int = 2,
    num_buckets: int = 1 << 22,
    buckets_per_pass: int = 1 << 18,
) -> Table:
    """Return the strongest edges of the average graph of some prompts, or of all; edges of all kinds of nodes.

    Nodes of different prompts are the same if kind, layer and feature are equal: positions do not count, because
    prompts differ in length, and an edge's weight in one prompt is the sum over the positions of both ends. `feature`
    is the index of a feature, -1 for errors, a token's id, and the number of a target: target 0 is each prompt's first,
    whatever its label. Columns: the kind, layer and feature of source and target; prompts (that have the edge);
    prompts_both (that have both nodes); and three means of the weight, in which a missing edge counts 0: mean_weight
    over `prompts`, mean_weight_both over `prompts_both`, mean_weight_all over all prompts. Rows are
    ordered by the sum of |weight|. `num_buckets` and `buckets_per_pass` are those of `recurring_edges`. Raises
    PromptNotFound.
    """
    ids = list(store) if prompt_ids is None else list(dict.fromkeys(prompt_list(prompt_ids)))
    pairs = SitePairs(store, ids)
    found = strongest_edges(pairs, top, min_prompts, num_buckets, buckets_per_pass)
    keys, weight = pairs.ends(found.pair_X), found.weight_X
    with_both = pairs.prompts_with_both(found.pair_X)
    return Table(
        {
            **{f"{side}_{name}": _column(name, keys[:, i]) for i, (side, name) in enumerate(_names())},
            "mean_weight": weight / found.prompts_X,
            "prompts": found.prompts_X,
            "mean_weight_both": weight / with_both,
            "prompts_both": with_both,
            "mean_weight_all": weight / max(len(ids), 1),
        }
    )


def _names() -> list[tuple[str, str]]:
    return [(side, name) for side in SIDES for name in SITE]


def _column(name: str, values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if name == "kind":
        return np.array([KINDS[kind] for kind in values], dtype=object)
    return values.astype(NODE_COLUMNS[name])
