"""similar_prompts: which prompts of a store have similar graphs, beside how similar their texts are.

edge shares ─▶ inverted index, or sketches ─▶ what equally alike texts have in common ─▶ every prompt with all others

Axes: I prompt, Y pair of prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..store.reader import Store
from ..table import Table
from ..text import counted, listed
from .beyond_texts import TextStrata, least_excess
from .findings import InMemoryResult
from .pair_list import PAIR, PairList, correlation, sample_of, separations
from .prompt_similarity import GraphVectors, PromptComparison, Similarities, TextVectors
from .prompts import ChosenPrompts, choose_prompts
from .proportions import clopper_pearson
from .similar_columns import TABLES

Floats = npt.NDArray[np.float64]
Edges = Literal["features", "all"]
MOST_LISTED = 10_000
"""Number of pairs in the table `unlike_texts` at most: the strongest ones."""


@dataclass(frozen=True, eq=False, repr=False)
class SimilarPrompts(InMemoryResult):
    """Prompts with similar graphs; docs/similar.md describes the columns."""

    COLUMNS: ClassVar = TABLES

    neighbours: Table
    """The most similar graphs of each prompt, or of one prompt."""
    unlike_texts: Table
    """Pairs of prompts whose graphs are alike although their texts are not, the strongest first."""
    facts: Mapping[str, Any]
    """Numbers of prompts and pairs, how well graphs and texts tell clusters apart, and the settings."""
    warnings: tuple[str, ...]
    """What makes these numbers less certain than they look."""


def similar_prompts(
    store: Store,
    prompt_id: str | None = None,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    edges: Edges = "features",
    top: int = 10,
    samples: int | None = None,
    max_text: float = 0.5,
    q: float = 0.05,
    memory_gb: float = 2.0,
    seed: int = 0,
) -> SimilarPrompts:
    """Return the prompts with the most similar graphs, and the pairs whose graphs are alike though their texts are not.

    A prompt is a vector over edges between sites, without positions: the share of influence that each edge passes on.
    `edges` are those between features, or all of them, with tokens, errors and targets. Similarities are exact, or
    estimated by sketches of `samples` entries, which take less memory. With `prompt_id`, only the `top` neighbours of
    this prompt are returned. Pairs are unlike in text if their tokens overlap by `max_text` at most; of those that are
    listed, an estimated share of at most `q` is there by chance. `cluster` names metadata: the facts then say how well
    graphs and texts tell pairs of one cluster from other pairs.

    Raises PromptNotFound, and ConfigError for settings out of range, for a condition or metadata that names nothing,
    for graphs whose influence is not known, and if the vectors need more than `memory_gb` (10^9 bytes).
    """
    return similar_among(
        choose_prompts(store, where, cluster), prompt_id, edges, top, samples, max_text, q, memory_gb, seed
    )


def similar_among(
    prompts: ChosenPrompts,
    prompt_id: str | None,
    edges: Edges,
    top: int,
    samples: int | None,
    max_text: float,
    q: float,
    memory_gb: float,
    seed: int,
) -> SimilarPrompts:
    """Return what `similar_prompts` returns, for prompts that are chosen already."""
    _check(top, samples, max_text, q)
    own_rank = None if prompt_id is None else prompts.rank(prompt_id)
    graphs = GraphVectors.read(prompts, edges, samples, memory_gb, seed)
    comparison = PromptComparison(graphs, TextVectors.read(prompts))
    known = np.array([rank for rank in range(len(prompts)) if rank not in graphs.unknown], dtype=np.intp)
    if own_rank in graphs.unknown or not len(known):
        raise ConfigError(
            f"the influence in the graph of {listed([prompt_id or prompts.ids[0]])} is not known, as in imported "
            "graphs without it, so that no edge has a share of it"
        )
    facts: dict[str, Any] = {
        "edges": edges,
        "samples": samples,
        "seed": seed,
        "prompts_without_influence": len(graphs.unknown),
        "prompts_without_edges": int((graphs.index.sum_I[known] == 0).sum()),
        "edges_unknown": graphs.num_unknown_edges,
        "values": graphs.num_values,
    }
    nearest, strata, least, unlike = [], None, math.inf, PairList()
    if prompt_id is None and len(known) > 2:
        sample = sample_of(prompts, known, seed)
        compared = PairList()
        for rank in sample.tolist():
            compared.add(rank, sample[sample > rank], comparison.with_all(rank))
        strata, least, of_pairs = _beyond_texts(prompts, compared.columns(), max_text, q)
        facts |= of_pairs
    for rank in known.tolist() if own_rank is None else [own_rank]:
        found = comparison.with_all(rank)
        nearest.append(_nearest(rank, found, known, top))
        if strata is not None:
            others = known[(known > rank) & (found.text_I[known] <= max_text)]
            excess = strata.excess(found.text_I[others], found.common_2I[:, others])
            unlike.add(rank, others[excess.min(axis=0) >= least], found)
            unlike.keep(MOST_LISTED, strata)
    if strata is not None:
        facts["listed"] = unlike.total
    return SimilarPrompts(
        _neighbours(prompts, nearest, samples),
        _unlike_texts(prompts, comparison.texts, unlike, strata, samples),
        facts,
        tuple(_doubts(prompts, facts, comparison.texts.num_unknown, prompt_id, len(known))),
    )


def _beyond_texts(
    prompts: ChosenPrompts, pairs: Mapping[str, npt.NDArray[Any]], max_text: float, q: float
) -> tuple[TextStrata, float, dict[str, Any]]:
    """Return what equally alike texts have in common, the least excess of pairs that are listed, and facts."""
    text, common = pairs["text"], np.stack([pairs["common_1"], pairs["common_2"]])
    strata = TextStrata.of(text, common, pairs["ruzicka"])
    is_unlike = text <= max_text
    excess = strata.excess(text, common)[:, is_unlike]
    least, num_listed, by_chance = least_excess(excess, strata.numbers(text[is_unlike]), q)
    facts = {
        "pairs_compared": len(text),
        "pairs_unlike": int(is_unlike.sum()),
        "listed_of_compared": num_listed,
        "least_excess": least if num_listed else None,
        "by_chance": by_chance if num_listed else None,
        "max_text": max_text,
        "q": q,
        "correlation_with_texts": correlation(pairs),
        **separations(prompts, pairs, strata),
    }
    return strata, least, facts


def _check(top: int, samples: int | None, max_text: float, q: float) -> None:
    for name, number, least in (("top", top, 1), ("samples", samples, 16)):
        if number is not None and (not isinstance(number, int) or number < least):
            raise ConfigError(f"{name} must be an integer of at least {least}, not {number!r}")
    if not 0 <= max_text <= 1:
        raise ConfigError(f"max_text is an overlap between 0 and 1, not {max_text!r}")
    if not 0 < q < 1:
        raise ConfigError(f"q is a share between 0 and 1, not {q!r}")


def _nearest(rank: int, found: Similarities, known: npt.NDArray[np.intp], top: int) -> dict[str, npt.NDArray[Any]]:
    others = known[(known != rank) & (found.ruzicka_I[known] > 0)]
    order = others[np.argsort(-found.ruzicka_I[others], kind="stable")[:top]]
    pairs = PairList()
    pairs.add(rank, order, found)
    return pairs.columns()


def _neighbours(
    prompts: ChosenPrompts, nearest: Sequence[Mapping[str, npt.NDArray[Any]]], samples: int | None
) -> Table:
    found = {name: np.concatenate([block[name] for block in nearest]) for name in PAIR}
    place = np.concatenate([np.arange(1, len(block["text"]) + 1) for block in nearest])
    return Table(
        {
            "prompt": [prompts.ids[rank] for rank in found["rank_a"].tolist()],
            "place": place,
            "neighbour": [prompts.ids[rank] for rank in found["rank_b"].tolist()],
            **_shown(prompts, found, samples),
        }
    )


def _unlike_texts(
    prompts: ChosenPrompts, texts: TextVectors, unlike: PairList, strata: TextStrata | None, samples: int | None
) -> Table:
    if strata is not None:
        unlike.keep(MOST_LISTED, strata, at_end=True)
    found = unlike.columns()
    a, b = found["rank_a"].tolist(), found["rank_b"].tolist()
    expected = np.zeros(0) if strata is None else strata.ruzicka_Y[strata.numbers(found["text"])]
    return Table(
        {
            "a": [prompts.ids[rank] for rank in a],
            "b": [prompts.ids[rank] for rank in b],
            **_shown(prompts, found, samples),
            "expected": expected,
            "common_1": found["common_1"],
            "common_2": found["common_2"],
            "shared_tokens": list(texts.shared(prompts, list(zip(a, b, strict=True)))),
        }
    )


def _shown(prompts: ChosenPrompts, found: Mapping[str, npt.NDArray[Any]], samples: int | None) -> dict[str, Any]:
    """Return the columns that both tables have."""
    ruzicka = found["ruzicka"]
    low, high = (ruzicka, ruzicka)
    if samples is not None:
        low, high = clopper_pearson(np.rint(ruzicka * samples).astype(np.int64), samples)
    same = [""] * len(ruzicka)
    if prompts.clusters is not None:
        pairs = zip(*(prompts.clusters[found[name]].tolist() for name in ("rank_a", "rank_b")), strict=True)
        same = ["" if min(a, b) < 0 else "yes" if a == b else "no" for a, b in pairs]
    return {
        "ruzicka": ruzicka,
        "low": low,
        "high": high,
        "cosine": found["cosine"],
        "text": found["text"],
        "same_cluster": same,
    }


def _doubts(
    prompts: ChosenPrompts, facts: Mapping[str, Any], num_unknown_tokens: int, prompt_id: str | None, num_known: int
) -> list[str]:
    found = []
    if number := facts["prompts_without_influence"]:
        found.append(f"{counted(number, 'prompt')} of unknown influence, as in imported graphs, are left out")
    if number := facts["prompts_without_edges"]:
        found.append(f"{counted(number, 'graph')} without such edges are similar to no graph")
    if number := facts["edges_unknown"]:
        found.append(f"{counted(number, 'edge')} whose weights are not finite count as 0")
    if num_unknown_tokens:
        found.append(f"{counted(num_unknown_tokens, 'token')} of unknown id count as equal to no other token")
    if facts["samples"] is not None:
        found.append(
            f"similarities are estimates from {facts['samples']} samples, with a standard deviation of at most "
            f"{0.5 / facts['samples'] ** 0.5:.2f}; the similarity of a pair that was chosen as the largest is too large"
        )
    if prompt_id is None:
        if num_known < 3:
            found.append("three prompts at least are needed to say what equally alike texts have in common")
        elif not facts["listed_of_compared"]:
            found.append(
                f"none of {counted(facts['pairs_unlike'], 'pair')} of unlike texts stands out from what equally alike "
                "texts have in common by chance"
            )
        if prompts.clusters is None:
            found.append("no clusters are named, so that nothing says what the similarities of graphs stand for")
    return found
