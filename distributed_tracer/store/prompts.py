"""The table of prompts: what a store knows about each prompt without reading its graph."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .columns import metadata_of, scores_of, targets_of, text_of
from .part import Part
from .schema import SCORES
from .table import Table

_PARTS_AT_ONCE = 8
_SIZES = ("num_tokens", "num_targets", "num_nodes", "num_edges", "num_active")


def prompt_table(parts: Sequence[tuple[Part, list[int]]]) -> Table:
    """One row for each of the given rows of the parts, sorted by id.

    Columns: id, text (None if it was given as tokens), sizes and num_layers (int64), the scores (float64; `error_share`
    is the sum over layers, `error_share_L` and `path_length_H` are tuples), targets (labels), part, and every
    metadata key, None where absent. A key that is also one of these becomes `metadata.<key>`.
    """
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        rows = [row for of_part in pool.map(lambda both: _rows(*both), parts) for row in of_part]
    rows.sort(key=lambda row: row[0]["id"])
    columns: dict[str, Any] = {name: [own[name] for own, _ in rows] for name in _NAMES}
    for name in _NAMES:
        if name.startswith("num_"):
            columns[name] = np.array(columns[name], dtype=np.int64)
        elif name in SCORES or name == "error_share":
            columns[name] = np.array(columns[name], dtype=np.float64)
    for key in dict.fromkeys(key for _, metadata in rows for key in metadata):
        name = f"metadata.{key}" if key in _NAMES else key
        columns[name] = [metadata.get(key) for _, metadata in rows]
    return Table(columns)


_NAMES = (
    "id",
    "text",
    *_SIZES,
    "num_layers",
    *SCORES,
    "error_share",
    "error_share_L",
    "path_length_H",
    "targets",
    "part",
)


def _rows(part: Part, numbers: list[int]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The fixed columns and the metadata of some of a part's prompts."""
    rows = []
    for number in numbers:
        entry, head = part.receipt.prompts[number], part.prompt(number)
        scores = scores_of(head)
        own = {
            "id": entry.id,
            "text": text_of(head),
            "num_layers": int(head["prompts/num_layers"][0]),
            "error_share": sum(scores.error_share_L),
            "targets": [target.label for target in targets_of(head)],
            "part": part.receipt.part,
            **{name: getattr(entry, name) for name in _SIZES},
            **vars(scores),
        }
        rows.append((own, metadata_of(head)))
    return rows
