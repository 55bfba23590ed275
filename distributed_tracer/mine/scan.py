"""Scan: reads the nodes and edges of part ranges, without building graphs.

Axes: I prompt of a part range, N node of it, E edge of it, K target of it, X target of all prompts of the range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StoreCorrupt
from ..graph.nodes import NodeKind
from ..store.read.part_range import PartRange, Size
from ..store.read.range_edges import stored_edges
from .prompts import ChosenPrompts, PromptPiece
from .sites import Sites, collect_sites, site_codes

_OF_SITES = ("kind", "layer", "feature", "in_degree")
_OF_NODES = ("activation", "influence", "row_abs_sum", "row_abs_dropped", "position")


@dataclass(frozen=True, eq=False)
class ScannedRange:
    """The nodes of a part range, and its edges once they are asked for."""

    part_range: PartRange
    rank_I: npt.NDArray[np.int32]
    """Rank of each prompt of the range."""
    nodes: dict[str, npt.NDArray[Any]]
    code_N: npt.NDArray[np.int64]
    """Code of each node's site."""

    @property
    def rank_N(self) -> npt.NDArray[np.int32]:
        """Rank of each node's prompt."""
        return self.rank_I[self.part_range.prompt_N]

    @cached_property
    def target_E(self) -> npt.NDArray[np.int32]:
        """Node that each edge goes into, as an index into the nodes of the range."""
        in_degree_N = self.nodes["in_degree"]
        return np.repeat(np.arange(len(in_degree_N), dtype=np.int32), in_degree_N)

    def stored_edges(self) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.float32]]:
        """Return the source of each edge, as the number of a node within its graph, and its weight.

        Raises StoreCorrupt for edges that the graphs cannot have.
        """
        return stored_edges(self.part_range, self.nodes["in_degree"])

    def edges(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return the source of each edge, as an index into the nodes of the range, and its weight.

        Raises StoreCorrupt for edges that the graphs cannot have.
        """
        stored_E, weight_E = self.stored_edges()
        source_E = np.repeat(self.part_range.first_node.astype(np.int32), self.part_range.sizes("num_edges"))
        source_E += stored_E.astype(np.int32)
        return source_E, weight_E


def scan_ranges(
    prompts: ChosenPrompts | PromptPiece, most_rows: int, with_values: bool = True, also: Sequence[str] = ()
) -> Iterator[ScannedRange]:
    """Yield the nodes of all prompts in part ranges of at most `most_rows` nodes and edges.

    Without values, only what determines sites is read, and the ranges are limited by nodes alone. `also` names further
    columns of nodes to read.
    """
    names = (*_OF_SITES, *(_OF_NODES if with_values else ()), *also)
    sizes: tuple[Size, ...] = ("num_nodes", "num_edges") if with_values else ("num_nodes",)
    for part_range, rank_I in prompts.ranges(*sizes, rows=most_rows):
        nodes = part_range.part.nodes(names, part_range.rows("num_nodes"))
        yield ScannedRange(part_range, rank_I, nodes, _codes(part_range, nodes))


def find_sites(prompts: ChosenPrompts | PromptPiece, most_rows: int) -> tuple[Sites, dict[int, str]]:
    """Return the sites of all nodes of the chosen prompts, and the id of a prompt for each number of layers."""
    num_layers: dict[int, str] = {}

    def batches() -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
        for scanned in scan_ranges(prompts, most_rows, with_values=False):
            own = scanned.part_range
            layers = own.part.read({"prompts/num_layers": np.array(own.numbers, dtype=np.intp)})["prompts/num_layers"]
            num_layers.update(zip(layers.tolist(), (entry.id for entry in own.entries), strict=True))
            yield scanned.code_N, scanned.nodes["in_degree"]

    return collect_sites(batches()), num_layers


def find_sites_of_one_model(prompts: ChosenPrompts, most_rows: int) -> Sites:
    """Return the sites of all nodes of the chosen prompts. Raises ConfigError as `check_one_model` does."""
    sites, num_layers = find_sites(prompts, most_rows)
    check_one_model(num_layers)
    return sites


def check_one_model(num_layers: Mapping[int, str]) -> None:
    """Raise ConfigError if the models of the graphs have different numbers of layers, given a prompt for each."""
    if len(num_layers) > 1:
        listed = ", ".join(f"{number} (such as {id_!r})" for number, id_ in sorted(num_layers.items()))
        raise ConfigError(
            f"the graphs are of models with different numbers of layers: {listed}; features of different "
            f"models are not the same, so choose one with --where num_layers={min(num_layers)}"
        )


def _codes(part_range: PartRange, nodes: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return the code of each node's site. Raises StoreCorrupt for nodes that no graph can have."""
    feature_N = nodes["feature"]
    target_K = np.flatnonzero(nodes["kind"] == NodeKind.TARGET)
    where = part_range.part.objects.where
    if len(target_K):
        feature_N = feature_N.copy()
        prompt_K, num_targets_I = part_range.prompt_N[target_K], part_range.sizes("num_targets")
        number_K = feature_N[target_K]
        if ((number_K < 0) | (number_K >= num_targets_I[prompt_K])).any():
            raise StoreCorrupt(f"{where}: nodes stand for targets that are not there")
        token_X = part_range.part.read({"targets/token_id": part_range.rows("num_targets")})["targets/token_id"]
        feature_N[target_K] = token_X[(np.cumsum(num_targets_I) - num_targets_I)[prompt_K] + number_K]
    if len(feature_N) and feature_N.min() < -1:
        raise StoreCorrupt(f"{where}: a feature or a token has the number {feature_N.min()}")
    return site_codes(nodes["layer"], nodes["kind"], feature_N)
