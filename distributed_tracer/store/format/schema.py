"""Schema: FORMAT.md as code, with the format version and every array of a part with its dtype, axis and chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

FORMAT_VERSION = 1


Axis = Literal[
    "prompt",
    "id_byte",
    "text_byte",
    "metadata_byte",
    "layer",
    "path",
    "token",
    "token_byte",
    "target",
    "label_byte",
    "node",
    "edge",
    "active",
]
POINTERS: tuple[Axis, ...] = get_args(Axis)[1:]
"""Columns of `prompts/pointers`: the rows of prompt i on an axis are pointers[i] to pointers[i + 1] - 1."""

SIZES: dict[str, Axis] = {
    "num_tokens": "token",
    "num_targets": "target",
    "num_nodes": "node",
    "num_edges": "edge",
    "num_active": "active",
}
"""The sizes of a prompt, under the names that commits and indexes use, and the axis of which each is the length."""

_LOOKED_UP = {"prompt", "layer", "path", "token", "target", "node"}
"""Axes of which a query reads only some rows: their chunks have a quarter of the rows that other chunks have."""

SCORES = ("replacement", "completeness", "constant_share", "closing_error")
"""Names of the columns of `prompts/scores`."""

Columns = dict[str, npt.NDArray[Any]]
"""Arrays by name: those of one prompt or, concatenated, those of a part."""


@dataclass(frozen=True)
class Column:
    """One array of a part or an index.

    `dtype` is numpy's short name; `edges/source` may have a narrower dtype on disk.
    """

    name: str
    dtype: str
    axis: str
    names: tuple[str, ...] = ()
    """Names of the entries of the second axis; empty for one-dimensional arrays."""
    least: int | None = None
    """Smallest permitted value, where readers rely on one."""
    most: int | None = None
    """Largest permitted value, where readers rely on one."""
    by_layer: bool = False
    """Whether there is a second axis: the layers of the model."""
    unknown: float | None = None
    """The value of every row of a prompt that lacks the array while others of its part have it.

    Only arrays that were added to the format later have one: they are not part of the digest, and a part may lack them.
    """

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """Names of the array's axes for Zarr and xarray; arrays with equal names have equal lengths."""
        if self.name == "prompts/pointers":
            return ("pointer", "axis")  # it has one row more than there are prompts
        second = "score" if self.names else "model_layer" if self.by_layer else None
        return (self.axis,) if second is None else (self.axis, second)

    @property
    def chunk_rows(self) -> int:
        """Number of rows of a full chunk; an array with fewer is one chunk. With `by_layer`, the number of values."""
        return 1 << 15 if self.axis in _LOOKED_UP and not self.by_layer else 1 << 17

    @property
    def added(self) -> bool:
        """Whether the array was added to the format later: see `unknown`."""
        return self.unknown is not None

    @property
    def optional(self) -> bool:
        """Whether a part may lack the array."""
        return self.axis == "active" or self.added

    @property
    def fill_value(self) -> int | float:
        """Fill value of the Zarr array: NaN for floats, 0 for integers."""
        return float("nan") if np.dtype(self.dtype).kind == "f" else 0


HEAD = (
    Column("prompts/id", "u1", "id_byte"),
    Column("prompts/text", "u1", "text_byte"),
    Column("prompts/has_text", "u1", "prompt", most=1),
    Column("prompts/metadata", "u1", "metadata_byte"),
    Column("prompts/num_layers", "i4", "prompt", least=0, most=(1 << 15) - 1),
    Column("prompts/constant_node", "u1", "prompt", most=1),
    Column("prompts/scores", "f8", "prompt", SCORES),
    Column("prompts/error_share", "f8", "layer"),
    Column("prompts/path_length", "f8", "path"),
    Column("targets/token_id", "i4", "target"),
    Column("targets/position", "i4", "target"),
    Column("targets/weight", "f8", "target"),
    Column("targets/value", "f8", "target"),
    Column("targets/label_size", "i4", "target", least=0),
    Column("targets/label", "u1", "label_byte"),
)
"""Small arrays, which are read once for all prompts of a part."""

BODY = (
    Column("tokens/token", "i4", "token"),
    Column("tokens/string_size", "i4", "token", least=0),
    Column("tokens/string", "u1", "token_byte"),
    Column("nodes/kind", "u1", "node", most=3),
    Column("nodes/layer", "i2", "node", least=-1),
    Column("nodes/position", "i4", "node"),
    Column("nodes/feature", "i4", "node"),
    Column("nodes/activation", "f4", "node"),
    Column("nodes/in_degree", "i4", "node", least=0),
    Column("nodes/row_abs_sum", "f4", "node"),
    Column("nodes/row_abs_sum_all", "f4", "node"),
    Column("nodes/row_abs_dropped", "f4", "node"),
    Column("nodes/constant", "f4", "node"),
    Column("nodes/influence", "f4", "node"),
    Column("edges/source", "u4", "edge"),
    Column("edges/weight", "f4", "edge"),
    Column("active/layer", "i2", "active", least=0),
    Column("active/position", "i4", "active"),
    Column("active/feature", "i4", "active"),
    Column("active/activation", "f4", "active"),
    Column("active/computed", "u1", "active", most=2, unknown=2),
    Column("scales/read", "f4", "token", by_layer=True, unknown=float("nan")),
    Column("scales/write", "f4", "token", by_layer=True, unknown=float("nan")),
    Column("scales/final", "f4", "token", unknown=float("nan")),
)
"""Large arrays, of which only the rows of the wanted prompts are read."""

POINTER_COLUMN = Column("prompts/pointers", "i8", "prompt", POINTERS, least=0)
"""The only array with one row more than there are prompts; it is not among a prompt's own columns."""

COLUMNS = {column.name: column for column in (*HEAD, *BODY)}
