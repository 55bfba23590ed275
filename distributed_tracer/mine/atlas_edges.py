"""Questions to an atlas: the strongest edges that meet conditions, and those into and out of one feature on average.

An atlas is read through the columns that it documents, a row group at a time.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..table import Table
from ..text import short
from .result import Result
from .strongest import Strongest

ENDS = tuple(f"{side}_{name}" for side in ("source", "target") for name in ("kind", "layer", "feature"))
SHARE = "mean_share"
"""Column that is added: the mean over the prompts in which the target's row was computed, absent edges counting 0."""
_OF_SHARE = ("prompts", "prompts_row", "prompts_share", "sum_share")
_SHOWN = (
    *ENDS,
    SHARE,
    "sum_share",
    "prompts",
    "clusters",
    "prompts_row",
    "lift",
    "mean_row",
    "mean_present",
    "sum_abs",
)
_CONDITION = re.compile(r"(?P<column>.+?)\s*(?P<sign>>=|<=|==?)\s*(?P<value>.*)", re.DOTALL)
_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    "==": operator.eq,
}


def atlas_edges(
    atlas: Result, where: str | Sequence[str] = (), top: int | None = 50, order: str = "sum_share"
) -> Table:
    """Return the edges of an atlas that meet all conditions, the strongest first: those with the largest |`order`|.

    A condition is COLUMN=VALUE, COLUMN>=VALUE or COLUMN<=VALUE with a column of the table of edges or `mean_share`, as
    in `source_kind=feature`, `target_layer>=3` and `clusters>=5`. The columns are those of the two ends, mean_share,
    and those that docs/mining.md describes: sum_share, prompts, clusters, prompts_row, lift, mean_row, mean_present,
    sum_abs. mean_share is sum_share / (prompts_row - (prompts - prompts_share)): the share of the target's row that the
    edge has on average in the prompts in which that row was computed, an absent edge counting 0. `top=None` returns all
    edges. Raises ConfigError for a result that is no atlas, an unknown column or a malformed condition.
    """
    check_atlas(atlas)
    kinds = atlas.stream("edges").kinds | {SHARE: "f8"}
    meets = [_condition(text, kinds) for text in ([where] if isinstance(where, str) else where)]
    if not kinds.get(order):
        raise ConfigError(unknown("column of numbers to order by", order, [name for name in kinds if kinds[name]]))
    shown = [name for name in _SHOWN if name in kinds]
    names = dict.fromkeys([*shown, *(column for column, _ in meets), order, *_OF_SHARE])
    del names[SHARE]
    total = np.iinfo(np.intp).max if top is None else top
    kept = Strongest(total, order, "largest absolute")
    for batch in atlas.stream("edges", list(names)):
        rows = with_share(batch)
        mask = np.ones(len(rows), dtype=bool)
        for column, holds in meets:
            mask &= holds(rows[column])
        kept.add(rows.where(mask))
    found = kept.table
    if found is None:
        raise ConfigError(f"the atlas at {atlas.path} has no edges")
    return Table({name: found[name] for name in dict.fromkeys([*shown, order])})


def atlas_edges_into(atlas: Result, layer: int, feature: int, top: int | None = 50) -> Table:
    """Return what drives a feature on average: its edges as `atlas_edges` returns them, the strongest first."""
    return atlas_edges(atlas, _site("target", layer, feature), top)


def atlas_edges_out_of(atlas: Result, layer: int, feature: int, top: int | None = 50) -> Table:
    """Return what a feature drives on average: its edges as `atlas_edges` returns them, the strongest first."""
    return atlas_edges(atlas, _site("source", layer, feature), top)


def atlas_feature(atlas: Result, layer: int, feature: int) -> Table:
    """Return the row of a feature in the atlas; a table without rows if the feature is a node of no graph."""
    check_atlas(atlas)
    kept = Strongest(1)
    for batch in atlas.stream("features"):
        kept.add(batch.where((batch["layer"] == layer) & (batch["feature"] == feature)))
    return atlas.table("features") if kept.table is None else kept.table


def with_share(edges: Table) -> Table:
    """Return edges of an atlas with the column `mean_share`; NaN where no prompt says what it is."""
    count = edges["prompts_row"] - (edges["prompts"] - edges["prompts_share"])
    share = np.divide(edges["sum_share"], count, out=np.full(len(edges), np.nan), where=count > 0)
    return Table({**{name: edges[name] for name in edges.columns}, SHARE: share})


def check_atlas(result: Result) -> None:
    """Raise ConfigError for a result that is not an atlas."""
    if result.info["what"] != "atlas":
        raise ConfigError(f"{result.path} is a result of {short(str(result.info['what']))}, and not an atlas of edges")


def _site(side: str, layer: int, feature: int) -> list[str]:
    return [f"{side}_kind=feature", f"{side}_layer={layer}", f"{side}_feature={feature}"]


def _condition(text: str, kinds: Mapping[str, str]) -> tuple[str, Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_]]]:
    """Return the column of a condition, and a function that returns which of its values meet it."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"a condition is COLUMN=VALUE, COLUMN>=VALUE or COLUMN<=VALUE, as in target_layer>=3, not {short(text)}"
        )
    column, sign, value = found["column"], found["sign"], found["value"]
    if column not in kinds:
        raise ConfigError(unknown("column of edges", column, list(kinds)))
    wanted: Any = value
    if kinds[column]:
        try:
            wanted = float(value)
        except ValueError:
            raise ConfigError(f"{short(text)} compares numbers of {column} with {short(value)}") from None
    elif sign not in ("=", "=="):
        raise ConfigError(f"{short(text)}: {column} is text, which can only be equal (=)")
    compare = _SIGNS[sign]
    return column, lambda values: np.asarray(compare(values, wanted), dtype=bool)
