"""pruning_stability: which nodes and edges of graphs stay while the thresholds of pruning change.

choose prompts ─▶ prune some graphs at a time, at all thresholds ─▶ tables of all graphs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted, listed
from .findings import Findings, InMemoryResult, describe_graphs, mine_in_phases, phases_of_memory
from .prompts import ChosenPrompts, choose_prompts
from .pruning_grid import Grid
from .result import Result
from .stability_columns import TABLES
from .stability_tasks import ROW_BYTES, joined, stability_of_graphs

NODE_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
EDGE_THRESHOLDS = (0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_ROW_BYTES = 600
"""Memory of a row of the tables of nodes and edges, with its names."""


@dataclass(frozen=True, eq=False, repr=False)
class PruningStability(InMemoryResult):
    """Graphs over a grid of pruning thresholds; docs/similar.md describes the columns."""

    COLUMNS: ClassVar = TABLES

    settings: Table
    """A row for each prompt and pair of thresholds: sizes, shares and scores of the pruned graph."""
    steps: Table
    """A row for each prompt and two neighbouring settings: the Jaccard indices of their nodes and edges."""
    nodes: Table
    """A row for each node that any setting keeps: which settings do."""
    edges: Table
    """A row for each such edge."""
    facts: Mapping[str, Any]
    """Numbers of settings, of stable nodes and edges, and of those that only one setting has."""
    warnings: tuple[str, ...]
    """What the graphs cannot say."""


def pruning_stability(
    store: Store,
    prompt_id: str | None = None,
    *,
    where: str | Sequence[str] = (),
    node_thresholds: Sequence[float] = NODE_THRESHOLDS,
    edge_thresholds: Sequence[float] = EDGE_THRESHOLDS,
    memory_gb: float = 2.0,
) -> PruningStability:
    """Return which nodes and edges of one graph, or of several, `prune` keeps at each pair of thresholds.

    Thresholds are shares of what the stored graph has. So a store of complete graphs (`keep_all`) gives the whole
    range; a graph that was pruned before it was stored can only become smaller. Graphs of unknown influence are left
    out, unless `prompt_id` names one. Raises PromptNotFound, and ConfigError for thresholds that are not in (0, 1], for
    a condition that names nothing, and for tables that would need more than `memory_gb` (10^9 bytes).
    """
    grid = Grid.of(node_thresholds, edge_thresholds)
    prompts = choose_prompts(store, where, None)
    with phases_of_memory(prompts) as phases:
        return stability_in_phases(phases, prompts, prompt_id, grid, memory_gb)


def mine_stability(
    prompts: ChosenPrompts,
    out: str | Path,
    prompt_id: str | None,
    grid: Grid,
    asked: Mapping[str, Any],
    memory_gb: float = 2.0,
    run: Execute = perform_here,
) -> Result:
    """Write what `pruning_stability` returns into the folder `out`, and return the result; a finished one is returned
    as it is.

    `asked` are the conditions that determine the prompts. `run` does the work, as for `mine_atlas`; what a killed run
    has finished is not done again. Raises ConfigError for a folder with another result, too.
    """

    def find(phases: Phases) -> Findings:
        return stability_in_phases(phases, prompts, prompt_id, grid, memory_gb).findings()

    options = {**asked, "prompt": prompt_id}
    options |= {"node_thresholds": list(grid.node_thresholds), "edge_thresholds": list(grid.edge_thresholds)}
    temporary = ROW_BYTES * num_rows(prompts, prompt_id)
    return mine_in_phases(out, "stability", prompts, options, find, run, temporary)


def stability_in_phases(
    phases: Phases, prompts: ChosenPrompts, prompt_id: str | None, grid: Grid, memory_gb: float
) -> PruningStability:
    """Return what `pruning_stability` returns, for prompts that are chosen already; phases of tasks do the work."""
    rows = num_rows(prompts, prompt_id)
    if rows_gb(rows) > memory_gb:
        raise ConfigError(
            f"{rows:,} nodes and edges need about --memory-gb {rows_gb(rows):.1f}, not {memory_gb}: allow it, or "
            "choose fewer prompts"
        )
    found = stability_of_graphs(phases, prompts, prompt_id, grid)
    unknown = [own for rank, own in enumerate(prompts.ids) if rank not in found] if prompt_id is None else []
    if not found:
        raise ConfigError(f"no graph can be pruned: the influence of {listed(unknown)} is not known")
    settings, steps, nodes, edges = (
        Table(joined([getattr(one, name) for one in found.values()]))
        for name in ("settings", "steps", "nodes", "edges")
    )
    facts = {"prompts": len(found), "prompts_left_out": len(unknown), "settings": len(grid)}
    for what, table in (("nodes", nodes), ("features", nodes.where(nodes["kind"] == "feature")), ("edges", edges)):
        facts |= {f"{what}_{name}": number for name, number in _counts(table, len(grid))}
    return PruningStability(settings, steps, nodes, edges, facts, tuple(_doubts(prompts.store, unknown)))


def num_rows(prompts: ChosenPrompts, prompt_id: str | None) -> int:
    """Return the number of nodes and edges of one prompt, or of all chosen ones.

    Raises PromptNotFound, and ConfigError for a prompt that was not chosen.
    """
    if prompt_id is None:
        return prompts.num_nodes + prompts.num_edges
    entry = prompts.store.entry(prompts.ids[prompts.rank(prompt_id)])
    return entry.num_nodes + entry.num_edges


def rows_gb(rows: int) -> float:
    """Return the memory that the tables of this number of nodes and edges take at most, in 10^9 bytes."""
    return rows * _ROW_BYTES / 1e9


def _counts(table: Table, num_settings: int) -> Iterator[tuple[str, int]]:
    yield "any", len(table)
    yield "stable", int((table["settings"] == num_settings).sum())
    yield "at_one_setting", int((table["settings"] == 1).sum())
    yield "returning", int((table["returns"] == "yes").sum())


def _doubts(store: Store, unknown: Sequence[str]) -> Iterator[str]:
    of_graphs = describe_graphs(store)
    if not of_graphs.startswith("complete"):
        yield (
            f"these are {of_graphs}: thresholds are shares of what the stored graphs have, so that 1 is the stored "
            "graph, and nothing shows what larger thresholds would have kept; `trace --keep-all` stores complete graphs"
        )
    if unknown:
        yield f"{counted(len(unknown), 'graph')} of unknown influence are left out: {listed(unknown)}"
