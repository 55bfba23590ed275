"""Prompts that meet conditions given as text, as on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..names import hint
from ..store.read.select import metadata_columns
from ..store.read.where import rows_meeting, values_of
from ..store.reader import Store
from ..table import Table

_SHOWN = ("id", "text", "targets", "num_tokens", "num_nodes", "num_edges", "replacement", "completeness")


def matching_prompts(
    store: Store,
    where: str | Sequence[str],
    token: str | None = None,
    target: str | None = None,
    layer: int | None = None,
    feature: tuple[int, int] | None = None,
) -> Table:
    """Return the table of the prompts that meet all conditions, with its main columns and those of metadata.

    `where` holds conditions on metadata, scores and sizes as text: see `store.read.where`. A `token` or `target` of
    digits only is an id. Raises ConfigError for conditions that name something unknown, such as a column.
    """
    ids = store.select(token=_id_or_text(token), target=_id_or_text(target), layer=layer, feature=feature)
    wanted, prompts = set(ids), store.prompts
    found = prompts.where(rows_meeting(prompts, where) & [prompt_id in wanted for prompt_id in prompts["id"]])
    return Table({name: found[name] for name in (*_SHOWN, *metadata_columns(prompts).values())})


def why_none(
    store: Store, where: str | Sequence[str], token: str | None = None, target: str | None = None
) -> list[str]:
    """Return, for an empty answer, the conditions that no prompt meets, each with close matches among stored values."""
    prompts = store.prompts
    conditions = [where] if isinstance(where, str) else where
    found = [
        f"no prompt has {condition}{hint(condition.partition('=')[2], values_of(prompts, condition))}"
        for condition in conditions
        if not rows_meeting(prompts, condition).any()
    ]
    if token is not None and not store.select(token=_id_or_text(token)):
        found.append(f"no prompt has a token {token!r}")
    if target is not None and not store.select(target=_id_or_text(target)):
        labels = dict.fromkeys(label for of_one in prompts["targets"] for label in of_one)
        found.append(f"no prompt has a target {target!r}{hint(target, list(labels))}")
    return found


def _id_or_text(given: str | None) -> str | int | None:
    return int(given) if given is not None and re.fullmatch("[0-9]+", given) else given
