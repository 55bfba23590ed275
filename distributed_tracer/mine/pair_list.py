"""Pairs of prompts with the similarities of their graphs and texts, and what they say together.

Axes: I prompt, Y stratum of pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from .beyond_texts import TextStrata, separation
from .prompt_similarity import Similarities
from .prompts import ChosenPrompts

_MOST_COMPARED = 1_500
"""Number of prompts at most whose pairs say what equally alike texts have in common."""
PAIR = ("rank_a", "rank_b", "ruzicka", "cosine", "text", "common_1", "common_2")
"""Columns of pairs."""
MOST_LISTED = 10_000
"""Number of pairs in the table `unlike_texts` at most: the strongest ones."""


class PairList:
    """Pairs of prompts, a row for each."""

    def __init__(self) -> None:
        self.total = 0
        self._blocks: list[dict[str, npt.NDArray[Any]]] = []

    def add(self, rank: int, others: npt.NDArray[np.intp], found: Similarities) -> None:
        """Add the pairs of one prompt with some others."""
        self.total += len(others)
        if len(others):
            columns = (found.ruzicka_I, found.cosine_I, found.text_I, *found.common_2I)
            values = (np.full(len(others), rank), others, *(values[others] for values in columns))
            self._blocks.append(dict(zip(PAIR, values, strict=True)))

    def add_columns(self, columns: Mapping[str, npt.NDArray[Any]], total: int) -> None:
        """Add the pairs that another list has kept of a `total` number of pairs."""
        self.total += total
        self._blocks.append({name: columns[name] for name in PAIR})

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return all pairs."""
        empty = {name: np.zeros(0, dtype=np.intp if "rank" in name else np.float64) for name in PAIR}
        return {name: np.concatenate([block[name] for block in (empty, *self._blocks)]) for name in PAIR}

    def keep(self, most: int, strata: TextStrata, at_end: bool = False) -> None:
        """Forget all but the strongest pairs, once there are twice as many as `most`, or at the end."""
        if at_end or sum(len(block["text"]) for block in self._blocks) > 2 * most:
            found = self.columns()
            excess = found["ruzicka"] - strata.ruzicka_Y[strata.numbers(found["text"])]
            order = np.lexsort((found["rank_b"], found["rank_a"], -excess))[:most]
            self._blocks = [{name: values[order] for name, values in found.items()}]


def sample_of(prompts: ChosenPrompts, known: npt.NDArray[np.intp], seed: int) -> npt.NDArray[np.intp]:
    """Return the ranks of at most 1,500 prompts, ascending, chosen by a hash of seed and id."""
    if len(known) <= _MOST_COMPARED:
        return known
    hashes = [
        blake2b(f"{seed}:{prompts.ids[rank]}".encode("utf-8", "surrogatepass")).digest() for rank in known.tolist()
    ]
    order = sorted(range(len(known)), key=hashes.__getitem__)
    return np.sort(known[order[:_MOST_COMPARED]])


def correlation(pairs: Mapping[str, npt.NDArray[Any]]) -> float:
    """Return Spearman's rank correlation of the similarities of graphs and texts; NaN if either does not vary."""
    graph, text = pairs["ruzicka"], pairs["text"]
    if len({*graph[:1].tolist()} | {*graph.tolist()}) < 2 or len({*text.tolist()}) < 2:
        return float("nan")
    return float(spearmanr(graph, text).statistic)


def separations(prompts: ChosenPrompts, pairs: Mapping[str, npt.NDArray[Any]], strata: TextStrata) -> dict[str, float]:
    """Return how well graphs, texts, and graphs of equally alike texts tell pairs of one cluster from other pairs."""
    if prompts.clusters is None:
        return {}
    a, b = (prompts.clusters[pairs[name].astype(np.intp)] for name in ("rank_a", "rank_b"))
    has = (a >= 0) & (b >= 0)
    graph, text, is_same = pairs["ruzicka"][has], pairs["text"][has], (a == b)[has]
    return {
        "separation_graphs": separation(graph, is_same),
        "separation_texts": separation(text, is_same),
        "separation_beyond_texts": separation(graph, is_same, strata.numbers(text)),
    }
