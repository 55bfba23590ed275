"""Findings: tables that fit into memory, and the result folder that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from .. import __version__
from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..graph.columns import KINDS
from ..redact import redacted
from ..store.format.run_file import is_imported
from ..store.reader import Store
from ..table import Table
from ..table_folder import import_parquet, write_parquet
from ..tasks.phases import Execute, Phases, perform_here
from .columns import NAMES, Column, arrow_table
from .prompts import ChosenPrompts
from .result import TABLES, Result, check_folder, open_result, room, work_folder, work_phases, write_document
from .task_cache import forget_kept


@dataclass(frozen=True, eq=False)
class FindingTable:
    """A table of a result. A result has a table of each of its names, if need be without rows."""

    columns: Mapping[str, Column]
    """Name, kind, unit and meaning of each column, in their order."""
    rows: Mapping[str, Any]
    """Values of each column: an array, or strings for text, of equal lengths."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What a mining command has found."""

    tables: Mapping[str, FindingTable]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers of tests, of clusters and the like, as JSON: what a reader must know to judge the tables. A number that
    is not finite is stored as null."""
    warnings: tuple[str, ...] = ()
    """What makes these numbers less certain than they look, and what the data cannot say; sentences for people."""

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Mapping[str, Column]],
        tables: Mapping[str, Table],
        facts: Mapping[str, Any],
        warnings: tuple[str, ...],
    ) -> Findings:
        """Return findings of tables in memory, of which `columns` describe every column, in the same order.

        Columns of names, such as kinds of nodes, may have the names or their numbers.
        """
        found = {}
        for name, described in columns.items():
            table = tables[name]
            if table.columns != [*described]:
                raise ConfigError(f"the table {name} has the columns {table.columns}, not {[*described]}")
            found[name] = FindingTable(
                described,
                {column: _stored(about.kind, table[column]) for column, about in described.items()},
            )
        return cls(found, facts, warnings)


class InMemoryResult:
    """What results in memory have in common: data classes with Tables, facts and warnings."""

    COLUMNS: ClassVar[Mapping[str, Mapping[str, Column]]]
    """Names of the tables that are saved, the main one first, and their columns, in the order of each table."""
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]

    def findings(self) -> Findings:
        """Return what a result folder holds of it."""
        tables = {name: getattr(self, name) for name in self.COLUMNS}
        return Findings.of(self.COLUMNS, tables, self.facts, self.warnings)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        warnings = "".join(f"\nwarning: {text}" for text in self.warnings)
        return f"{facts}{warnings}\n{getattr(self, next(iter(self.COLUMNS))).format(10)}"


def mine_findings(
    out: str | Path, what: str, prompts: ChosenPrompts, options: Mapping[str, Any], find: Callable[[], Findings]
) -> Result:
    """Write what `find` finds into the folder `out`, and return the result; a finished one is returned as it is.

    `what` is the name of the command, and `options` has all that determines the result beside the prompts and the
    clusters: conditions, thresholds, seeds, as JSON. Raises ConfigError for a folder with another result.
    """
    import_parquet("a result of mining")
    folder = Path(out).expanduser()
    settings = _settings(what, prompts, options)
    if not check_folder(folder, settings):
        with work_folder(folder):
            _write(folder, settings, prompts, find())
    return open_result(folder)


def mine_in_phases(
    out: str | Path,
    what: str,
    prompts: ChosenPrompts,
    options: Mapping[str, Any],
    find: Callable[[Phases], Findings],
    run: Execute,
    temporary_bytes: int,
    given: Mapping[str, Any] | None = None,
) -> Result:
    """Do what `mine_findings` does, with a `find` that leaves its long work to phases of tasks.

    What a killed run with the same prompts and options has finished is not done again. `run` does the tasks, whose
    `given` has the address of the store as `store` and what is given here, on which no result depends. Raises
    ResultError, too, if the disk is full, which says that `temporary_bytes` are needed, and WorkerLost.
    """
    import_parquet("a result of mining")
    folder = Path(out).expanduser()
    settings = _settings(what, prompts, options)
    if not check_folder(folder, settings):
        given = {"store": prompts.store.url, **(given or {})}
        try:
            with room(folder, temporary_bytes), work_phases(folder, settings, run, given) as phases:
                _write(folder, settings, prompts, find(phases))
        finally:
            forget_kept()
    return open_result(folder)


@contextmanager
def phases_of_memory(
    prompts: ChosenPrompts, given: Mapping[str, Any] | None = None, folder: str | Path | None = None
) -> Iterator[Phases]:
    """Yield phases for an answer that is wanted in memory: this process does the tasks, in temporary files.

    The files lie in `folder`, or where the system has temporary files, and are removed at the end.
    """
    with TemporaryDirectory(prefix="mining-", dir=folder) as work:
        try:
            yield Phases(Path(work), {}, perform_here, {"store": prompts.store.url, **(given or {})})
        finally:
            forget_kept()


def _settings(what: str, prompts: ChosenPrompts, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"what": what, "prompts": prompts.digest(), **options}


def _write(folder: Path, settings: Mapping[str, Any], prompts: ChosenPrompts, findings: Findings) -> None:
    """Write the tables of findings, and the document that makes the folder a result."""
    of_graphs = describe_graphs(prompts.store)
    for name, table in findings.tables.items():
        if missing := table.columns.keys() ^ table.rows.keys():
            raise ConfigError(f"the table {name} has no values or no description of {sorted(missing)}")
        own = arrow_table(table.columns, table.rows, of_graphs)
        write_parquet(folder / TABLES / f"{name}.parquet", iter([own]))
    found = {"facts": to_json_types(findings.facts), "warnings": list(findings.warnings)}
    write_document(folder, {"what": settings["what"], "settings": settings, **provenance(prompts), **found})


def provenance(prompts: ChosenPrompts) -> dict[str, Any]:
    """Return where statistics come from, for the document of a result."""
    store = prompts.store
    return {
        "store": redacted(store.url),
        "identity": store.info.get("identity", {}),
        "graphs": describe_graphs(store),
        "num_prompts": len(prompts),
        "num_nodes": prompts.num_nodes,
        "num_edges": prompts.num_edges,
        "num_clusters": prompts.num_clusters,
        "num_without_cluster": prompts.num_without_cluster,
        "versions": {"distributed_tracer": __version__, **{name: version(name) for name in ("numpy", "pyarrow")}},
    }


def _stored(kind: str, values: Any) -> Any:
    """Return the values of a column of a Table as `arrow_table` takes them."""
    if kind not in NAMES:
        return values.astype(kind) if kind else values
    numbers = {name: number for number, name in enumerate(NAMES[kind])}
    return np.array([numbers.get(value, value) for value in values.tolist()], dtype=np.int8)


def describe_graphs(store: Store) -> str:
    """Return what kind of graphs a store holds: pruned or complete, as far as it is recorded."""
    trace = store.info.get("identity", {}).get("trace", {})
    if is_imported(store.info) or not isinstance(trace, dict) or "keep_all" not in trace:
        return "graphs of which it is not recorded whether they are pruned"
    if trace["keep_all"]:
        return "complete graphs"
    thresholds = (trace.get(f"{of}_threshold") for of in ("node", "edge"))
    return "pruned graphs (node threshold {}, edge threshold {})".format(*thresholds)


KIND_COLUMN = Column("kind", "", f"kind of a node, one of {', '.join(KINDS)}")
"""Column of kinds of nodes, whose values are numbers of NodeKind."""
