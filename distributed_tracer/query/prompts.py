"""Which prompts meet conditions given as text, as on a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError
from ..store.reader import Store
from ..store.table import Table
from ..store.tables.select import metadata_columns

_CONDITION = re.compile(r"(?P<key>.+?)(?P<sign>>=|<=|=)(?P<value>.*)", re.DOTALL)
_SHOWN = ("id", "text", "targets", "num_tokens", "num_nodes", "num_edges", "replacement", "completeness")


def matching_prompts(
    store: Store,
    where: Sequence[str],
    token: str | None = None,
    target: str | None = None,
    layer: int | None = None,
    feature: tuple[int, int] | None = None,
) -> Table:
    """The table of prompts, its main columns and those of metadata, for the prompts that meet all conditions.

    `where` are KEY=VALUE, KEY>=VALUE or KEY<=VALUE, of metadata (= only), scores and sizes. A value that JSON knows
    stands for itself and for its text; digits are ids of tokens and targets. Raises ConfigError for what there is not.
    """
    metadata: dict[str, Any] = {}
    bounds: dict[str, float] = {}
    known = metadata_columns(store.prompts)
    for condition in where:
        found = _CONDITION.fullmatch(condition)
        if found is None:
            raise ConfigError(f"a condition is KEY=VALUE, KEY>=VALUE or KEY<=VALUE, not {condition!r}")
        key, sign, value = found["key"], found["sign"], found["value"]
        if sign == "=" and (key in known or key not in store.prompts):
            metadata[key] = _readings(value)
        else:
            which = {"=": ("min", "max"), ">=": ("min",), "<=": ("max",)}[sign]
            bounds |= {f"{end}_{key}": _number(value, condition) for end in which}
    ids = store.select(
        metadata, token=_id_or_text(token), target=_id_or_text(target), layer=layer, feature=feature, **bounds
    )
    wanted = set(ids)
    table = store.prompts.where([prompt_id in wanted for prompt_id in store.prompts["id"]])
    return Table({name: table[name] for name in (*_SHOWN, *known.values())})


def _readings(value: str) -> list[Any]:
    """What a text may stand for."""
    try:
        return [value, json.loads(value)]
    except ValueError:
        return [value]


def _number(value: str, condition: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{condition!r} compares with {value!r}, which is no number") from None


def _id_or_text(given: str | None) -> str | int | None:
    return int(given) if given is not None and re.fullmatch("[0-9]+", given) else given
