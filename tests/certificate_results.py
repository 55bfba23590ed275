"""Results of mining with communities of the caller's choice, and what stands for the demo's states and capitals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from distributed_tracer.mine.columns import COUNT, NO_UNIT, Column
from distributed_tracer.mine.findings import Findings, FindingTable, mine_findings
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result
from distributed_tracer.store.reader import Store

Features = Sequence[tuple[int, int]]
MOST, FEW = 0.75, 0.25
"""A feature stands for something if it is active at the end of at least MOST of the prompts with it, and of less than
FEW of those without it, as in examples/interventions."""
_NUMBER = Column("i8", NO_UNIT, "number of the community")
COMMUNITIES = {"community": _NUMBER, "name": Column("", "", "its name"), "size": Column("i8", COUNT, "features in it")}
MEMBERS = {
    "community": _NUMBER,
    "layer": Column("i2", NO_UNIT, "layer of the feature"),
    "feature": Column("i4", NO_UNIT, "index of the feature"),
}


def communities(store: Store, out: Path, found: Mapping[str, Features], where: Sequence[str] = ()) -> Result:
    """Write communities, by name, as `mine roles` does, made from the prompts that meet some conditions."""
    members = [(number, *site) for number, own in enumerate(found.values()) for site in own]
    sizes = {"community": range(len(found)), "name": list(found), "size": [len(own) for own in found.values()]}
    columns = {name: [row[place] for row in members] for place, name in enumerate(MEMBERS)}
    tables = {
        "communities": FindingTable(COMMUNITIES, _arrays(COMMUNITIES, sizes)),
        "members": FindingTable(MEMBERS, _arrays(MEMBERS, columns)),
    }
    prompts = choose_prompts(store, where, None)
    return mine_findings(out, "roles", prompts, {"where": list(where), "cluster": None}, lambda: Findings(tables))


def _arrays(columns: Mapping[str, Column], values: Mapping[str, Sequence[object]]) -> dict[str, object]:
    return {
        name: np.array(values[name], dtype=column.kind) if column.kind else list(values[name])
        for name, column in columns.items()
    }


def active_at_the_end(store: Store, ids: Sequence[str], shape: tuple[int, int]) -> np.ndarray:
    """Return in which prompts each feature [I, L, S] is active at the last position."""
    found = np.zeros((len(ids), *shape), dtype=bool)
    for row, prompt in enumerate(ids):
        graph = store.graph(prompt)
        assert graph.active is not None
        last_A = graph.active.position_A == len(graph.tokens_P) - 1
        found[row, graph.active.layer_A[last_A], graph.active.feature_A[last_A]] = True
    return found


def standing_for(with_it: np.ndarray, without_it: np.ndarray, layers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the features that are active with something and not without it, in some layers."""
    chosen = (with_it.mean(0) >= MOST) & (without_it.mean(0) < FEW)
    return [(layer, feature) for layer, feature in np.argwhere(chosen).tolist() if layer in layers]


def states_and_say_a_capital(store: Store, where: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the features of the demo that stand for a state, and those for "say a capital", without interventions.

    They are chosen in the prompts that meet some conditions. The features of any state are one set: those of other
    states are not active, so that of each prompt the features of its own state are turned off. "Say a capital" is
    different for most capitals, but never there where the state is asked for.
    """
    rows = {row["id"]: row for row in store.prompts.rows()}
    ids = [prompt for prompt in choose_prompts(store, where, None).ids if rows[prompt]["family"] in _FAMILIES]
    state = [rows[prompt]["bridge"] or rows[prompt]["answer"] for prompt in ids]
    asks = np.array([rows[prompt]["family"] == "two-hop" for prompt in ids])
    active = active_at_the_end(store, ids, (4, 512))
    own = [np.array([one == name for one in state]) for name in sorted(set(state))]
    of_states = {site for is_own in own for site in standing_for(active[is_own], active[~is_own], (0, 1))}
    capital = (active[asks].mean(0) >= _SOME) & (active[~asks].mean(0) < _HARDLY_EVER)
    return {"states": sorted(of_states), "say a capital": [(int(a), int(b)) for a, b in np.argwhere(capital)]}


_FAMILIES = ("two-hop", "city-state")
_SOME, _HARDLY_EVER = 0.2, 0.02
