"""The profile of a store: its active features, read without a model.

Graphs that were stored without their active features are profiled from their nodes. What a feature does at tokens where
it is no node is then unknown, and counts are those of nodes.

Axes: A active feature, N node, P position.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..model.tokenize import num_zeroed_positions
from ..store.reader import Store
from .accumulator import Accumulator, Sampling
from .chunk import Active, Window, check_activations
from .parts import commit_part, remove_parts, write_part


@dataclass
class StoreTexts:
    """What was learnt of a store's texts: their tokens, and how many tokens were examined."""

    numbers: dict[str, int]
    """Number of each prompt, by its id."""
    tokens: dict[tuple[int, str], int] = field(default_factory=dict)
    """Row of each token in the table of tokens, by its id and name."""
    rows_of_prompts: dict[int, npt.NDArray[np.int32]] = field(default_factory=dict)
    incomplete: set[int] = field(default_factory=set)
    """Numbers of prompts whose active features were not stored."""
    num_tokens: int = 0

    def prompts(self) -> Iterator[tuple[int, str, list[int], bool]]:
        """Yield number, id, rows of tokens and completeness of each prompt, by number."""
        for id_, number in self.numbers.items():
            yield number, id_, self.rows_of_prompts[number].tolist(), number not in self.incomplete


def store_settings(store: Store) -> dict[str, str]:
    """Return what identifies the graphs of a store: a hash of their ids, of what was asked, and of their sizes."""
    digest = hashlib.sha256()
    for id_ in store:
        entry = store.entry(id_)
        digest.update(repr((id_, entry.asked, entry.num_tokens, entry.num_active, entry.num_nodes)).encode())
    return {"graphs": f"sha256:{digest.hexdigest()}"}


def harvest_store(folder: Path, store: Store, sampling: Sampling, part_bytes: int) -> StoreTexts:
    """Write the parts of all graphs of a store, in place of any that are there, and return what the texts are.

    Memory holds `part_bytes`, as much again while they are sorted, and four bytes for each token. Raises ConfigError
    for an empty store, and StoreError if it cannot be read.
    """
    if not len(store):
        raise ConfigError(f"{store.url} has no graphs to profile")
    remove_parts(folder)
    texts = StoreTexts({id_: number for number, id_ in enumerate(store)})
    accumulator, units, number = Accumulator(store.num_layers, sampling), list[str](), 0
    for graph in store.graphs():
        accumulator.add([_window(graph, store.num_layers, texts)])
        units.append(graph.prompt_id)
        if accumulator.num_bytes >= part_bytes:
            _write(folder, f"{number:08d}", accumulator, units)
            accumulator, units, number = Accumulator(store.num_layers, sampling), [], number + 1
    if units:
        _write(folder, f"{number:08d}", accumulator, units)
    return texts


def _write(folder: Path, name: str, accumulator: Accumulator, units: list[str]) -> None:
    write_part(folder, name, accumulator.states(), units, 0)
    commit_part(folder, name)


def _window(graph: Graph, num_layers: int, texts: StoreTexts) -> Window:
    """Return the active features of a graph, and enter its tokens into `texts`."""
    number = texts.numbers[graph.prompt_id]
    pairs = zip(graph.tokens_P.tolist(), graph.token_strings, strict=True)
    rows = [texts.tokens.setdefault(pair, len(texts.tokens)) for pair in pairs]
    texts.rows_of_prompts[number] = np.array(rows, dtype=np.int32)
    texts.num_tokens += max(0, len(rows) - num_zeroed_positions(graph.tokens_P.tolist(), "gemma3"))
    layer_A, position_A, feature_A, activation_A = _active(graph, number, texts)
    border_L = np.searchsorted(layer_A, np.arange(num_layers + 1))
    active: list[Active] = []
    for layer, (start, stop) in enumerate(itertools.pairwise(border_L)):
        check_activations(layer, activation_A[start:stop])
        active.append((position_A[start:stop], feature_A[start:stop], activation_A[start:stop]))
    return Window(number, 0, graph.prompt_id, 0, 0, len(rows), tuple(active))


def _active(
    graph: Graph, number: int, texts: StoreTexts
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return layers, positions, features and activations of the active features, or else of the nodes, by layer."""
    active, nodes = graph.active, graph.nodes
    index_N = nodes.where(NodeKind.FEATURE)
    if len(active) or not len(index_N):
        return active.layer_A, active.position_A, active.feature_A, active.activation_A
    texts.incomplete.add(number)
    index_N = index_N[np.argsort(nodes.layer_N[index_N], kind="stable")]
    columns = nodes.take(index_N)
    return columns.layer_N, columns.position_N, columns.feature_N, columns.activation_N
