"""similar_prompts: which prompts of a store have similar graphs, beside how similar their texts are.

edge shares ─▶ inverted index, or sketches ─▶ what equally alike texts have in common ─▶ every prompt with all others

Axes: I prompt, Y pair of prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted, listed
from .beyond_texts import TextStrata, least_excess
from .findings import Findings, InMemoryResult, mine_in_phases, phases_of_memory
from .pair_list import MOST_LISTED, PAIR, PairList, correlation, sample_of, separations
from .prompt_similarity import TextVectors
from .prompts import ChosenPrompts, choose_prompts
from .proportions import clopper_pearson
from .result import Result
from .similar_columns import TABLES
from .similar_tasks import VALUE_BYTES, SimilarPhases

Floats = npt.NDArray[np.float64]
Edges = Literal["features", "all"]


@dataclass(frozen=True)
class SimilarSettings:
    """What is compared, and what is listed. Raises ConfigError for values out of range."""

    prompt_id: str | None = None
    edges: Edges = "features"
    top: int = 10
    samples: int | None = None
    max_text: float = 0.5
    q: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("top", 1), ("samples", 16)):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, int) or number < least):
                raise ConfigError(f"{name} must be an integer of at least {least}, not {number!r}")
        if not 0 <= self.max_text <= 1:
            raise ConfigError(f"max_text is an overlap between 0 and 1, not {self.max_text!r}")
        if not 0 < self.q < 1:
            raise ConfigError(f"q is a share between 0 and 1, not {self.q!r}")


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
    settings = SimilarSettings(prompt_id, edges, top, samples, max_text, q, seed)
    prompts = choose_prompts(store, where, cluster)
    with phases_of_memory(prompts, {"memory_gb": memory_gb}) as phases:
        return similar_in_phases(phases, prompts, settings)


def mine_similar(
    prompts: ChosenPrompts,
    out: str | Path,
    settings: SimilarSettings,
    asked: Mapping[str, Any],
    memory_gb: float = 2.0,
    run: Execute = perform_here,
) -> Result:
    """Write the similar prompts into the folder `out`, and return the result; a finished one is returned as it is.

    `asked` are the conditions and the field that determine the prompts and their clusters. `run` does the work, as for
    `mine_atlas`; what a killed run has finished is not done again. Raises ConfigError for a folder with another result.
    """

    def find(phases: Phases) -> Findings:
        return similar_in_phases(phases, prompts, settings).findings()

    num_values = prompts.num_edges if settings.samples is None else settings.samples * len(prompts)
    options = {**asked, **asdict(settings)}
    options["prompt"] = options.pop("prompt_id")
    given = {"memory_gb": memory_gb}
    return mine_in_phases(out, "similar", prompts, options, find, run, VALUE_BYTES * num_values, given)


def similar_in_phases(phases: Phases, prompts: ChosenPrompts, settings: SimilarSettings) -> SimilarPrompts:
    """Return what `similar_prompts` returns, for prompts that are chosen already; phases of tasks do the long work.

    They are given `memory_gb`.
    """
    prompt_id, edges, top, samples = settings.prompt_id, settings.edges, settings.top, settings.samples
    own_rank = None if prompt_id is None else prompts.rank(prompt_id)
    work = SimilarPhases.begin(phases, prompts, edges, samples, settings.seed)
    graphs, texts = work.comparison.graphs, work.comparison.texts
    known = work.known
    if own_rank in graphs.unknown or not len(known):
        raise ConfigError(
            f"the influence in the graph of {listed([prompt_id or prompts.ids[0]])} is not known, as in imported "
            "graphs without it, so that no edge has a share of it"
        )
    facts: dict[str, Any] = {
        "edges": edges,
        "samples": samples,
        "seed": settings.seed,
        "prompts_without_influence": len(graphs.unknown),
        "prompts_without_edges": int((graphs.index.sum_I[known] == 0).sum()),
        "edges_unknown": graphs.num_unknown_edges,
        "values": graphs.num_values,
    }
    strata, least = None, math.inf
    if prompt_id is None and len(known) > 2:
        compared = work.compare_sample(sample_of(prompts, known, settings.seed))
        strata, least, of_pairs = _beyond_texts(prompts, compared, settings.max_text, settings.q)
        facts |= of_pairs
    ranks = known.tolist() if own_rank is None else [own_rank]
    nearest, unlike = work.compare(ranks, top, settings.max_text, strata, least)
    if strata is not None:
        facts["listed"] = unlike.total
    return SimilarPrompts(
        _neighbours(prompts, nearest, samples),
        _unlike_texts(prompts, texts, unlike, strata, samples),
        facts,
        tuple(_doubts(prompts, facts, texts.num_unknown, prompt_id, len(known))),
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
