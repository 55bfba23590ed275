"""Tasks of an atlas: the functions that worker processes call, in the order of their phases.

    find sites ─▶ join ─▶ spill records into partitions ─▶ nodes of each partition ─▶ join ─▶ edges of each layer

Axes: I site.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from ..table_folder import write_parquet
from ..tasks.task import Place
from .columns import EDGE_COLUMNS, FEATURE_COLUMNS, Column, arrow_table, ratio_columns, rebatched, with_means
from .incidences import Incidences
from .incidences import join_incidences as write_joined_incidences
from .incidences import reduce_nodes as write_reduced_nodes
from .pairs import PairReduction, Rows, key_ranges
from .prompts import PromptPiece
from .scan import find_sites, scan_ranges
from .sites import Sites
from .spill import Spill

ROWS_OF_GROUP = 1 << 16
"""Number of rows of each row group, so that files do not depend on how the work was divided."""
TABLE = "table.parquet"
"""File of a task that writes a part of a table."""
_CLUSTERS = "clusters"


def find_sites_of_piece(place: Place, piece: Mapping[str, Any], read_rows: int) -> dict[str, str]:
    """Write the sites of a piece; return the id of a prompt for each number of layers."""
    sites, num_layers = find_sites(PromptPiece.open(place.given["store"], piece), read_rows)
    sites.save(place.out)
    return {str(number): prompt_id for number, prompt_id in num_layers.items()}


def join_sites(place: Place, folders: Sequence[str], clusters: Sequence[int] | None) -> int:
    """Write the sites of all pieces, and the clusters of the prompts; return the number of sites."""
    sites = Sites.joined(Sites.load(place.work / folder) for folder in folders)
    sites.save(place.out)
    if clusters is not None:
        (place.out / _CLUSTERS).write_bytes(np.array(clusters, dtype=np.int32).tobytes())
    return len(sites)


def spill_piece(place: Place, piece: Mapping[str, Any], sites: str, starts: Sequence[int], read_rows: int) -> None:
    """Write the records of a piece."""
    prompts = PromptPiece.open(place.given["store"], piece)
    Spill(Sites.load(place.work / sites), starts).write(place.out, scan_ranges(prompts, read_rows))


def reduce_nodes(place: Place, sites: str, starts: Sequence[int], spills: Sequence[str], number: int) -> None:
    """Write the incidences of one partition."""
    write_reduced_nodes(place.out, _spill(place, sites, starts, spills), number)


def join_incidences(place: Place, folders: Sequence[str]) -> None:
    """Write the incidences of all partitions."""
    write_joined_incidences(place.out, [place.work / folder for folder in folders])


def write_features(place: Place, sites: str, incidences: str, of_graphs: str) -> int:
    """Write the table of features; return its number of rows."""
    rows = _feature_rows(Sites.load(place.work / sites), Incidences(place.work / incidences))
    _write(place.out / TABLE, [arrow_table(FEATURE_COLUMNS, rows, of_graphs)], FEATURE_COLUMNS)
    return len(rows["layer"])


def write_edges(
    place: Place,
    sites: str,
    starts: Sequence[int],
    spills: Sequence[str],
    incidences: str,
    partitions: Sequence[int],
    num_prompts: int,
    most_edges: int,
    of_graphs: str,
) -> int:
    """Write the rows of all edges into the targets of some partitions, which are those of one layer; return their
    number. There is no file without rows."""
    spill = _spill(place, sites, starts, spills)
    clusters = place.work / sites / _CLUSTERS
    reduction = PairReduction(
        spill.sites,
        Incidences(place.work / incidences),
        num_prompts,
        np.fromfile(clusters, dtype=np.int32) if clusters.exists() else None,
    )
    num_rows = 0

    def tables() -> Iterator[Any]:
        nonlocal num_rows
        for number in partitions:
            for first, end in key_ranges(spill, number, most_edges):
                for rows in reduction.rows(spill.edges(number, first, end)):
                    num_rows += len(rows["prompts"])
                    yield arrow_table(EDGE_COLUMNS, with_means(rows, num_prompts), of_graphs)

    batches = tables()
    if (first_batch := next(batches, None)) is not None:
        _write(place.out / TABLE, _with_first(first_batch, batches), EDGE_COLUMNS)
    return num_rows


def _with_first(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _spill(place: Place, sites: str, starts: Sequence[int], spills: Sequence[str]) -> Spill:
    return Spill(Sites.load(place.work / sites), starts, [place.work / folder for folder in spills])


def _write(path: Path, tables: Iterable[Any], columns: Mapping[str, Column]) -> None:
    """Write pyarrow.Tables as one file, which does not depend on how the rows are divided into these tables."""
    repeated = [name for name, column in columns.items() if column.kind != "f8"]  # a dictionary of sums saves nothing
    write_parquet(path, iter(rebatched(tables, ROWS_OF_GROUP)), ROWS_OF_GROUP, repeated)


def _feature_rows(sites: Sites, incidences: Incidences) -> dict[str, npt.NDArray[Any]]:
    sums, own = incidences.sums, np.flatnonzero(sites.is_kind(NodeKind.FEATURE))
    columns: Rows = {
        "layer": sites.layer_I,
        "feature": sites.feature_I,
        "prompts": sums.num_prompts_I,
        "prompts_row": sums.num_row_I,
        "nodes": sums.num_nodes_I,
        "nodes_unknown": sums.num_activation_unknown_I,
        "sum_activation": sums.activation_I,
        "sum_activation_squared": sums.activation_squared_I,
        "prompts_influence_unknown": sums.num_influence_unknown_I,
        "sum_influence": sums.influence_I,
        "prompts_error_share": sums.num_error_share_I,
        "sum_error_share": sums.error_share_I,
    }
    return ratio_columns({name: values[own] for name, values in columns.items()})
