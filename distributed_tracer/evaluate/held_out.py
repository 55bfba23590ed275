"""Held-out prompts: those of a store whose clusters a result was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from ..mine.prompt_sets import prompt_sets
from ..mine.prompts import ChosenPrompts, choose_prompts
from ..mine.result import Result
from ..store.read.split import without_splits
from ..store.read.where import rows_meeting
from ..store.reader import Store
from ..text import counted, short
from .findings_of import GROUP_A, GROUP_B


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Prompts in which findings are tested, with their clusters."""

    prompts: ChosenPrompts
    groups: dict[str, frozenset[str]]
    """Ids of the prompts of each set that findings are about, such as those of a contrast."""
    is_held_out: bool
    """False if there are no other clusters, and the prompts are those that the result was made from."""
    num_discovery: int
    """Prompts that the result was made from."""
    num_discovery_clusters: int


def held_out(result: Result, store: Store, where: str | Sequence[str] | None, cluster: str) -> HeldOut:
    """Return the prompts that meet `where` in clusters from which the result had no prompt.

    `where` is by default what the result's own prompts meet, without the conditions that split them by a hash. If no
    cluster is held out, the prompts are those of the result. Raises ConfigError for a cluster field that names nothing,
    or if it is not known from which prompts the result was made.
    """
    own = _conditions(result)
    used = {*_discovery(result, store, own).ids}
    general = without_splits(own) if where is None else [where] if isinstance(where, str) else list(where)
    everything = choose_prompts(store, (), cluster)
    assert everything.clusters is not None
    of_cluster = dict(zip(everything.ids, everything.clusters.tolist(), strict=True))
    seen = {of_cluster[prompt] for prompt in used}
    groups = _groups(result, store, general)
    about = frozenset().union(*groups.values()) if groups else None
    chosen = choose_prompts(store, general, cluster)
    kept = [
        prompt
        for prompt in chosen.ids
        if of_cluster[prompt] >= 0 and of_cluster[prompt] not in seen and (about is None or prompt in about)
    ]
    is_held_out = bool(kept)
    if not kept:
        kept = [prompt for prompt in chosen.ids if of_cluster[prompt] >= 0 and (about is None or prompt in about)]
    if not kept:
        raise ConfigError(
            f"no prompt to test the findings in: none of {counted(len(chosen), 'prompt')} that meet the conditions has "
            f"a value of {short(cluster)}"
        )
    return HeldOut(only(everything, kept), groups, is_held_out, len(used), len(seen - {-1}))


def only(prompts: ChosenPrompts, ids: Sequence[str]) -> ChosenPrompts:
    """Return some of the prompts, with clusters numbered anew in the order of their names."""
    assert prompts.clusters is not None
    number_of = dict(zip(prompts.ids, prompts.clusters.tolist(), strict=True))
    ordered = sorted(ids)
    there, clusters = np.unique([number_of[prompt] for prompt in ordered], return_inverse=True)
    names = [prompts.cluster_names[number] for number in there.tolist()]
    return ChosenPrompts(prompts.store, ordered, clusters.astype(np.int32), names)


def _conditions(result: Result) -> list[str]:
    """Return the conditions that the prompts of a result met, those of the sets of a contrast left out."""
    of = result.facts if result.info["what"] == "chains" else result.info["settings"]
    if "where" not in of:
        raise ConfigError(
            f"the {result.info['what']} at {result.path} does not say which prompts it was made from: make it again "
            "with this version"
        )
    where = of["where"]
    return [where] if isinstance(where, str) else list(where or ())


def _discovery(result: Result, store: Store, conditions: Sequence[str]) -> ChosenPrompts:
    """Return the prompts that a result was made from. Raises ConfigError if the store has others now."""
    settings = result.info["settings"]
    if result.info["what"] == "contrast":
        in_sets = _sets(store, conditions, (settings["a"], settings["b"]))
        pair = sorted(in_sets[GROUP_A]), sorted(in_sets[GROUP_B])
        chosen = ChosenPrompts(store, prompt_sets(store, pair, settings["cluster"], settings["paired"]).ids, None)
    else:
        chosen = choose_prompts(store, conditions, None)
    expected = result.facts["prompts_digest"] if result.info["what"] == "chains" else settings["prompts"]
    if chosen.digest() != expected:
        raise ConfigError(
            f"the {counted(len(chosen), 'prompt')} of {store.url} that meet the conditions of {result.path} are not "
            f"the {counted(int(result.info['num_prompts']), 'prompt')} that it was made from, so that it is not known "
            "which clusters are held out: make the result again, or name the store that it was made from"
        )
    return chosen


def _groups(result: Result, store: Store, conditions: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the prompts of both sets of a contrast, those that are held out included; nothing for other results."""
    if result.info["what"] != "contrast":
        return {}
    settings = result.info["settings"]
    return _sets(store, conditions, (without_splits(settings["a"]), without_splits(settings["b"])))


def _sets(
    store: Store, conditions: Sequence[str], of_sets: tuple[Sequence[str], Sequence[str]]
) -> dict[str, frozenset[str]]:
    """Return the ids of the prompts of both sets of a contrast among those that meet some conditions."""
    table, found = store.prompts, dict[str, frozenset[str]]()
    if conditions:
        table = table.where(rows_meeting(table, conditions))
    for name, own in zip((GROUP_A, GROUP_B), of_sets, strict=True):
        if not len(table):
            found[name] = frozenset()
        elif own:
            found[name] = frozenset(table["id"][rows_meeting(table, own)].tolist())
        else:  # without conditions, set b has all others
            found[name] = frozenset(table["id"].tolist()) - found[GROUP_A]
    return found
