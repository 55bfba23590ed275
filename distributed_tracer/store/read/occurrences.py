"""Finds every node that is one given feature: in the index, and in node tables of parts that no index covers.

Axes: N node, I prompt (of the catalogue).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...table import Table
from ..catalogue import Catalogue
from ..format.schema import Columns
from ..index import Index
from ..part import Part
from .node_batches import node_mask
from .part_range import PartRange

_PARTS_AT_ONCE = 8
_DTYPES = {"prompt": "i8", "position": "i4", "activation": "f4", "influence": "f4", "node": "i4"}
"""dtype of each column; `prompt` is the prompt's number in the catalogue."""


def occurrences(
    catalogue: Catalogue, index: Index | None, later: Iterable[tuple[int, Part]], layer: int, feature: int
) -> Table:
    """Return all nodes that are this feature, sorted by prompt id, then by position.

    `later` are the commits that the index does not cover, by number, each with its part.
    """
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        hits = [pool.submit(_in_part, catalogue, commit, part, layer, feature) for commit, part in later]
        found = [hit.result() for hit in hits]
    if index:
        found.append(index.postings(layer, feature))
    columns = {
        name: np.concatenate([np.zeros(0, dtype), *(columns[name] for columns in found)], dtype=dtype, casting="unsafe")
        for name, dtype in _DTYPES.items()
    }
    order = np.lexsort((columns["position"], catalogue.rank_I[columns["prompt"]]))
    columns = {name: values[order] for name, values in columns.items()}
    return Table({**columns, "prompt": catalogue.id_I[columns["prompt"]]})


def _in_part(catalogue: Catalogue, commit: int, part: Part, layer: int, feature: int) -> Columns:
    """Return the nodes that are this feature among the prompts that are read from this part."""
    read = PartRange(part, catalogue.rows(commit))
    hits = np.flatnonzero(node_mask(read, {"kind": "feature", "layer": layer, "feature": feature}))
    values = part.nodes(["position", "activation", "influence"], read.rows("num_nodes", hits))
    return {"prompt": catalogue.numbers(commit).start + read.prompt_N[hits], "node": read.node_N[hits], **values}
