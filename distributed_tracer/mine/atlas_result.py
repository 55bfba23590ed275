"""Atlas: the result of `mine atlas`, whose table of edges is computed from stored tables while it is read.

Axes: I site.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..table import Table
from ..table_stream import Batch, CategoricalColumn, TableStream
from .atlas_instances import Site, edge_prompts
from .atlas_rows import EdgeRows
from .atlas_tables import AtlasTables
from .columns import EDGE_COLUMNS, FEATURE_COLUMNS, NAMES, SITE_COLUMNS, Column
from .pairs import Rows
from .result import ATLAS, TABLES, Result
from .site_tables import feature_rows

_JOINED: dict[str, Mapping[str, Column]] = {"edges": EDGE_COLUMNS, "features": FEATURE_COLUMNS, "sites": SITE_COLUMNS}
"""Tables that a reader gets with all prompts, also of an atlas to which prompts were added."""


class Atlas(Result):
    """Statistics of edges and features.

    The table of edges is not stored: it is made from those of single edges, of recurring pairs, of nodes and of sites.
    """

    @property
    def tables(self) -> list[str]:
        """Names of the tables; of an atlas to which prompts were added, those that can be read joined."""
        return sorted({"edges", *super().tables}) if not self._added else sorted(_JOINED)

    def files(self, table: str) -> list[Path]:
        """Return the Parquet files of a stored table.

        Raises ConfigError for an unknown table, for the table of edges, which is not stored as one, and for an atlas to
        which prompts were added, of which other programs would read only a part.
        """
        if self._added:
            raise ConfigError(
                f"{self.path} has the tables of prompts that were added in files of their own: read it with stream() "
                "or table(), or run `mine atlas` with --fold, which makes it anew"
            )
        if table == "edges":
            raise ConfigError(
                f"the table edges of {self.path} is made while it is read, with stream() or table(): its files are "
                "those of edges_once, edges_recurring and sites, which docs/mining.md joins"
            )
        return super().files(table)

    def stream(self, table: str, columns: str | Sequence[str] | None = None) -> TableStream:
        """Return a table, or some of its columns, that is read while it is iterated over, a partition at a time."""
        if table != "edges" and not (self._added and table in self.tables):
            return super().stream(table, columns)
        known = self._columns(table)
        names = [columns] if isinstance(columns, str) else list(known if columns is None else columns)
        for name in names:
            if name not in known:
                raise ConfigError(unknown("column", name, list(known)))

        def read() -> Iterator[Batch]:
            for rows in self._edges(names) if table == "edges" else [self._of_sites(table)]:
                yield {name: _text(rows[name], known[name]) for name in names}

        return TableStream({name: "" if known[name].kind in NAMES else known[name].kind for name in names}, read)

    def describe(self, table: str) -> Table:
        """Return the name, unit and meaning of each column of a table."""
        if table != "edges" and not (self._added and table in self.tables):
            return super().describe(table)
        known = self._columns(table)
        return Table(
            {
                "column": list(known),
                "unit": [column.unit for column in known.values()],
                "meaning": [column.meaning for column in known.values()],
            }
        )

    @property
    def code_I(self) -> npt.NDArray[np.int64]:
        """Codes of all sites."""
        return self._tables.sites.code_I

    @property
    def graph_digests(self) -> set[str]:
        """Digests of the graphs of all prompts."""
        return self._tables.graph_digests

    @property
    def prompt_ids(self) -> list[str]:
        """Ids of all prompts."""
        return self._tables.prompt_ids

    def prompts_of_edge(self, source: Site, target: Site) -> Table:
        """Return the prompts whose graph has an edge between two sites, the strongest first: see `edge_prompts`."""
        return edge_prompts(self._tables, source, target)

    @property
    def _added(self) -> list[dict[str, Any]]:
        return list(self.info[ATLAS]["added"])

    def _columns(self, table: str) -> dict[str, Column]:
        has_clusters = self.info["num_clusters"] is not None
        return {name: column for name, column in _JOINED[table].items() if name != "clusters" or has_clusters}

    def _edges(self, names: Sequence[str]) -> Iterator[Rows]:
        for partition in range(self._tables.num_partitions):
            yield self._rows.rows(partition, names)

    def _of_sites(self, table: str) -> Rows:
        tables = self._tables
        return feature_rows(tables.sites, tables.sums, tables.active) if table == "features" else tables.denominators

    @cached_property
    def _rows(self) -> EdgeRows:
        return EdgeRows(self._tables)

    @cached_property
    def _tables(self) -> AtlasTables:
        own = self.info[ATLAS]
        folders = [(self.path / TABLES, own), *((self.path / one["folder"], one) for one in own["added"])]
        return AtlasTables(folders, own["cuts"], self._file)


def _text(values: Any, column: Column) -> Any:
    if column.kind not in NAMES:
        return values
    return CategoricalColumn(values.astype(np.int32), NAMES[column.kind])
