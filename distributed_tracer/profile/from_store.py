"""The profile of a store: its active features, read without a model.

Graphs that were stored without their active features are profiled from their nodes. What a feature does at tokens where
it is no node is then unknown, and counts are those of nodes.

Axes: A active feature, P position, L layer.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..graph.graph import Graph
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

    Memory holds `part_bytes`, as much again while they are sorted, and four bytes for each token. Raises StoreError if
    the store cannot be read, and PromptError for activations that are not finite.
    """
    remove_parts(folder)
    texts = StoreTexts({id_: number for number, id_ in enumerate(store)})
    accumulator, units, number = Accumulator(store.num_layers, sampling), list[str](), 0
    for graph, is_complete in _graphs(store):
        accumulator.add([_window(graph, is_complete, store.num_layers, texts)])
        units.append(graph.prompt_id)
        if accumulator.num_bytes >= part_bytes:
            _write(folder, f"{number:08d}", accumulator, units)
            accumulator, units, number = Accumulator(store.num_layers, sampling), [], number + 1
    if units:
        _write(folder, f"{number:08d}", accumulator, units)
    return texts


def _graphs(store: Store) -> Iterator[tuple[Graph, bool]]:
    """Yield every graph, and whether its active features are stored, not only those that are nodes."""
    for commit in range(len(store.catalogue.commits)):
        if rows := store.catalogue.rows(commit):
            part = store.part(commit)
            yield from ((graph, part.keeps_active) for graph in part.graphs(rows))


def _write(folder: Path, name: str, accumulator: Accumulator, units: list[str]) -> None:
    write_part(folder, name, accumulator.states(), units, 0)
    commit_part(folder, name)


def _window(graph: Graph, is_complete: bool, num_layers: int, texts: StoreTexts) -> Window:
    """Return the active features of a graph, and enter its tokens into `texts`."""
    number = texts.numbers[graph.prompt_id]
    pairs = zip(graph.tokens_P.tolist(), graph.token_strings, strict=True)
    rows = [texts.tokens.setdefault(pair, len(texts.tokens)) for pair in pairs]
    texts.rows_of_prompts[number] = np.array(rows, dtype=np.int32)
    texts.num_tokens += max(0, len(rows) - num_zeroed_positions(graph.tokens_P.tolist(), "gemma3"))
    if not is_complete:
        texts.incomplete.add(number)
    found, border_L = graph.active, np.searchsorted(graph.active.layer_A, np.arange(num_layers + 1))
    active: list[Active] = []
    for layer, (start, stop) in enumerate(itertools.pairwise(border_L)):
        check_activations(layer, found.activation_A[start:stop])
        active.append((found.position_A[start:stop], found.feature_A[start:stop], found.activation_A[start:stop]))
    return Window(number, 0, graph.prompt_id, 0, 0, len(rows), tuple(active))
