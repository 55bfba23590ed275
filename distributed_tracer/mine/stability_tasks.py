"""Tasks of stability under pruning: each prunes some graphs at all thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import ConfigError
from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts
from .pruning_grid import Columns, GraphStability, Grid
from .stability_columns import TABLES
from .task_columns import load_columns, save_columns

ROW_BYTES = 120
"""Bytes that a node or an edge takes in the files, at most, beside the names of nodes."""
_ROWS = 500_000
"""Nodes and edges of a task, unless a single graph has more."""


def stability_of_graphs(
    phases: Phases, prompts: ChosenPrompts, prompt_id: str | None, grid: Grid
) -> dict[int, GraphStability]:
    """Return the tables of each graph whose influence is known, by rank, ranks ascending.

    Raises ConfigError for `prompt_id` if the influence in its graph is not known.
    """
    arguments = {
        "prompts": keep_prompts(phases, prompts),
        "node_thresholds": list(grid.node_thresholds),
        "edge_thresholds": list(grid.edge_thresholds),
        "is_named": prompt_id is not None,
    }
    groups = [piece["ranks"] for piece in prompts.pieces(_ROWS)] if prompt_id is None else [[prompts.rank(prompt_id)]]
    done = phases.run("graphs", [Task(prune_graphs, {**arguments, "ranks": group}) for group in groups])
    found = dict[int, GraphStability]()
    for one in done:
        if one.value:
            tables = {name: load_columns(phases.work / one.folder / name) for name in TABLES}
            ranks = [rank for rank, _ in one.value]
            sizes = np.array([numbers for _, numbers in one.value])
            parts = [_divided(tables[name], own) for name, own in zip(TABLES, sizes.T.tolist(), strict=True)]
            for rank, *of_graph in zip(ranks, *parts, strict=True):
                found[rank] = GraphStability(**dict(zip(TABLES, of_graph, strict=True)))
    return {rank: found[rank] for rank in sorted(found)}


def prune_graphs(
    place: Place,
    prompts: str,
    ranks: list[int],
    node_thresholds: list[float],
    edge_thresholds: list[float],
    is_named: bool,
) -> list[list[object]]:
    """Write the tables of some graphs, one after another by rank; return the rank of each, and its rows of each table.

    Graphs of unknown influence have none, and raise ConfigError with `is_named`.
    """
    chosen, grid = read_prompts(place, prompts), Grid(tuple(node_thresholds), tuple(edge_thresholds))
    found = dict[int, GraphStability]()
    for graph in chosen.store.graphs([chosen.ids[rank] for rank in ranks]):
        try:
            found[chosen.rank(graph.prompt_id)] = GraphStability.of(graph, grid)
        except ConfigError:
            if is_named:
                raise
    own = sorted(found)
    if own:
        for name in TABLES:
            save_columns(place.out / name, joined([getattr(found[rank], name) for rank in own]))
    return [[rank, [len(getattr(found[rank], name)["prompt"]) for name in TABLES]] for rank in own]


def joined(columns: Sequence[Columns]) -> Columns:
    """Return the columns of the tables of several graphs, one after another."""
    return {
        name: np.concatenate([np.array(one[name], dtype=object) if name == "prompt" else one[name] for one in columns])
        for name in columns[0]
    }


def _divided(columns: Columns, sizes: Sequence[int]) -> Iterator[Columns]:
    """Yield the columns of tables of these sizes, one after another."""
    begin = 0
    for size in sizes:
        yield {name: values[begin : begin + size] for name, values in columns.items()}
        begin += size
