"""ErrorReading: what is kept of the error nodes of all prompts while they are read, and the tasks that read them.

Axes: I prompt by rank, L layer, Y error node.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .clusters import Clusters, ClusterSums, Ints
from .dark_matter_columns import PARTITIONS
from .error_influence import ErrorNodes, check_num_layers, error_nodes
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts, PromptPiece
from .statistics import Mask
from .task_arrays import load_arrays, save_arrays
from .task_columns import load_columns, save_columns

Ranks = npt.NDArray[np.int32]
LAYER = 1 << 32
"""What a layer is multiplied by in a key of a layer and another place."""
_ROWS = 50_000_000
"""Nodes and edges of the graphs whose errors a task reads, unless a single graph has more."""
_LAYERS, _RANK, _SUMS = "layers", "rank", "sums_"
_PROMPTS, _TOKENS, _STRONGEST_FOLDER = "prompts", "tokens", "strongest"
_OF_PROMPTS = ("is_known_I", "num_tokens_I", "placed_I", "whole_IL")
_STRONGEST = ("share", "rank", "layer", "position", "from_end", "token")


class ErrorReading:
    """What is kept of the error nodes of prompts. All of it is sums of integers, or does not depend on any order."""

    def __init__(self, num_prompts: int, clusters: Clusters, top: int) -> None:
        """Keep nothing yet. `top` is the number of error nodes that are kept singly."""
        self.is_known_I = np.zeros(num_prompts, bool)
        self.num_tokens_I, self.placed_I = np.zeros((2, num_prompts), np.int64)
        self.whole_IL = np.zeros((num_prompts, 0), np.int64)
        self.sums = {name: ClusterSums(clusters) for name in (_LAYERS, *PARTITIONS)}
        self.token_of: dict[str, int] = {}
        """Number of each token by its name."""
        self.strongest: list[tuple[Any, ...]] = []
        """Error nodes, as their share times -1, rank, layer, position, number of tokens after it, and token."""
        self._top = top

    def add(self, found: ErrorNodes) -> None:
        """Add the error nodes of prompts that were not added before. Raises ConfigError as `error_nodes` does."""
        self._add_prompts(found.rank_I, found.is_known_I, found.num_tokens_I, found.whole_IL)
        np.add.at(self.placed_I, found.rank_Y, found.share_Y)
        places = {
            "layer": found.layer_Y,
            "position": found.position_Y,
            "from_end": found.from_end_Y,
            "token": self._token_numbers(found),
        }
        for name, by in {_LAYERS: ("layer",), **PARTITIONS}.items():
            key_Y = places[by[-1]] + (places["layer"] * LAYER if len(by) > 1 else 0)
            self.sums[name].add(found.rank_Y, key_Y, found.share_Y)
        self._add_strongest(found)

    def _token_numbers(self, found: ErrorNodes) -> Ints:
        """Return a number for the name of each node's token, the same in all part ranges."""
        used, code_Y = np.unique(found.token_Y.codes, return_inverse=True)
        return self._numbers([found.token_Y.names[code] for code in used.tolist()])[code_Y]

    def _numbers(self, tokens: Sequence[str]) -> Ints:
        return np.array([self.token_of.setdefault(name, len(self.token_of)) for name in tokens], np.int64)

    def _add_prompts(self, rank_I: Ranks, is_known_I: Mask, num_tokens_I: Ints, whole_IL: Ints) -> None:
        if not self.whole_IL.shape[1]:
            self.whole_IL = np.zeros((len(self.whole_IL), whole_IL.shape[1]), np.int64)
        check_num_layers(self.whole_IL.shape[1], whole_IL.shape[1])
        self.is_known_I[rank_I], self.num_tokens_I[rank_I], self.whole_IL[rank_I] = is_known_I, num_tokens_I, whole_IL

    def _add_strongest(self, found: ErrorNodes) -> None:
        columns = (found.rank_Y, found.layer_Y, found.position_Y)
        order = np.lexsort((*columns[::-1], -found.share_Y))[: self._top]
        rows = zip(*(column[order].tolist() for column in (-found.share_Y, *columns, found.from_end_Y)), strict=True)
        tokens = found.token_Y.take(order).values.tolist()
        self._keep_strongest([(*row, token) for row, token in zip(rows, tokens, strict=True)])

    def _keep_strongest(self, more: Sequence[tuple[Any, ...]]) -> None:
        self.strongest = sorted([*self.strongest, *more])[: self._top]

    def save(self, folder: Path, rank_I: Ranks) -> None:
        """Write what was added, which is of the prompts of these ranks. Raises OSError if the disk is full."""
        arrays = {name: getattr(self, name)[rank_I] for name in _OF_PROMPTS}
        sums = {f"{_SUMS}{name}": sums.rows() for name, sums in self.sums.items()}
        save_arrays(folder / _PROMPTS, {_RANK: rank_I, **arrays, **sums})
        save_columns(folder / _TOKENS, {"token": list(self.token_of)})
        columns = zip(*self.strongest, strict=True) if self.strongest else ((),) * len(_STRONGEST)
        strongest = {name: list(values) for name, values in zip(_STRONGEST, columns, strict=True)}
        numbers = {name: np.array(values, np.int64) for name, values in strongest.items() if name != "token"}
        save_columns(folder / _STRONGEST_FOLDER, {**strongest, **numbers})

    def add_saved(self, folder: Path) -> None:
        """Add what `save` has written, of prompts that were not added before. Raises ConfigError as `add` does."""
        own = load_arrays(folder / _PROMPTS)
        rank_I = own[_RANK]
        self._add_prompts(rank_I, own["is_known_I"], own["num_tokens_I"], own["whole_IL"])
        self.placed_I[rank_I] = own["placed_I"]
        number_of = self._numbers(load_columns(folder / _TOKENS)["token"].tolist())
        for name, sums in self.sums.items():
            rows = own[f"{_SUMS}{name}"]
            if name in PARTITIONS and PARTITIONS[name][-1] == "token":
                layer, token = np.divmod(rows[:, 0], LAYER)
                rows[:, 0] = layer * LAYER + number_of[token]
            sums.add_rows(rows)
        self._keep_strongest(
            list(zip(*(values.tolist() for values in load_columns(folder / _STRONGEST_FOLDER).values()), strict=True))
        )


def read_in_phases(phases: Phases, prompts: ChosenPrompts, clusters: Clusters, top: int) -> ErrorReading:
    """Return what is kept of the error nodes of all prompts, which tasks read.

    Raises ConfigError if the models have different numbers of layers.
    """
    kept = keep_prompts(phases, prompts)
    tasks = [Task(read_errors, {"prompts": kept, "piece": piece, "top": top}) for piece in prompts.pieces(_ROWS)]
    read = ErrorReading(len(prompts), clusters, top)
    for one in phases.run("errors", tasks):
        read.add_saved(phases.work / one.folder)
    return read


def read_errors(place: Place, prompts: str, piece: dict[str, Any], top: int) -> None:
    """Write what is kept of the error nodes of some prompts."""
    chosen = read_prompts(place, prompts)
    numbers = np.arange(len(chosen), dtype=np.int32) if chosen.clusters is None else chosen.clusters
    read = ErrorReading(len(chosen), Clusters(numbers, (), None), top)
    for found in error_nodes(PromptPiece.open(place.given["store"], piece)):
        read.add(found)
    read.save(place.out, np.array(piece["ranks"], dtype=np.int32))
