"""Results of `mine roles` whose communities a test has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distributed_tracer.mine.findings import Findings, FindingTable, mine_findings
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result
from distributed_tracer.mine.role_columns import TABLES
from distributed_tracer.store.reader import Store

HOSTILE = "\x1b[2J<img src=x onerror=alert(1)>"
"""Text that clears a terminal and runs a script where it is not escaped."""
_TABLES = {
    "communities": ("community", "level", "name", "size", "verdict", "influence"),
    "members": ("community", "level", "layer", "feature"),
    "levels": ("level", "communities"),
}


class Chosen(NamedTuple):
    """A community."""

    level: int
    name: str
    features: Sequence[tuple[int, int]]
    verdict: str = "significant"


def write_communities(store: Store, out: Path, chosen: Sequence[Chosen]) -> Result:
    """Write a result with these communities, numbered from 0 in their order, which is that of their levels."""
    levels = [one.level for one in chosen]
    assert levels == sorted(levels)
    rows = {
        "communities": [
            (number, one.level, one.name, len(one.features), one.verdict, 1.0) for number, one in enumerate(chosen)
        ],
        "members": [(number, one.level, *site) for number, one in enumerate(chosen) for site in one.features],
        "levels": [(level, levels.count(level)) for level in sorted(set(levels))],
    }
    tables = {}
    for table, names in _TABLES.items():
        columns = {name: TABLES[table][name] for name in names}
        values = {name: [row[place] for row in rows[table]] for place, name in enumerate(names)}
        arrays = {
            name: np.array(values[name], dtype=column.kind) if column.kind else values[name]
            for name, column in columns.items()
        }
        tables[table] = FindingTable(columns, arrays)
    options = {"names": [one.name for one in chosen]}
    return mine_findings(out, "roles", choose_prompts(store, (), None), options, lambda: Findings(tables))
