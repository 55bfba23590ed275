"""Paired prompts: the prompts that two stores have in common, and which of their tokens belong together.

Axes: X prompt, by rank; I item: a prompt of a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..store.reader import Store
from ..text import counted, listed, short
from .character_spans import NO_SEGMENT, common_segments
from .clusters import Clusters, clusters_of
from .prompts import ChosenPrompts, choose_prompts

Ints = npt.NDArray[np.int64]
_NAMED = 3


@dataclass(frozen=True, eq=False)
class PairedPrompts:
    """The prompts of two stores that have one id and one text, in the order of ids.

    A site is a segment of a prompt: a token, or the smallest piece of text that begins and ends at ends of tokens of
    both stores.
    """

    a: ChosenPrompts
    b: ChosenPrompts
    clusters: Clusters
    templates: Clusters | None
    """What prompts share that may be exchanged; None if no field was named, so that all prompts are exchanged."""
    site_of_a: Ints
    """Site of each token of store a, NO_SEGMENT for those that the other store has no counterpart of."""
    site_of_b: Ints
    num_sites_X: Ints
    only_a: Sequence[str]
    """Prompts that are left out: those of store a alone, those of store b alone, and those of unlike tokens."""
    only_b: Sequence[str]
    unaligned: Sequence[str]
    num_other_tokens: int
    """Number of prompts whose tokens are not the same in both stores."""
    num_other_targets: int
    asked: Mapping[str, Any]
    """The conditions and fields that were asked for, as arguments of `pair_prompts`."""

    def __len__(self) -> int:
        return len(self.num_sites_X)

    @property
    def template_X(self) -> Ints:
        """Number of the template within which each prompt is exchanged; one for all prompts if no field was named."""
        number_X = np.zeros(len(self)) if self.templates is None else self.templates.number_I
        return number_X.astype(np.int64)

    def digests(self) -> list[str]:
        """Return a hash of the graphs of each store: of identity, sizes and scores, which say what computed them."""
        found = []
        for side in (self.a, self.b):
            info, entries = side.store.info, (side.store.entry(prompt_id) for prompt_id in side.ids)
            scores = [(entry.replacement, entry.completeness) for entry in entries]
            described = repr((side.digest(), to_json_types([info.get("identity"), info.get("content")]), scores))
            found.append(f"sha256:{sha256(described.encode('utf-8', 'backslashreplace')).hexdigest()}")
        return found

    def doubts(self) -> list[str]:
        """Return warnings about prompts that are left out or differ."""
        found = []
        for ids, what in (
            (self.only_a, "in store a alone"),
            (self.only_b, "in store b alone"),
            (self.unaligned, "of tokens that do not make its text"),
        ):
            if ids:
                found.append(f"{counted(len(ids), 'prompt')} {what}, such as {short(ids[0])}: left out")
        if self.num_other_tokens:
            found.append(
                f"{counted(self.num_other_tokens, 'prompt')} with other tokens in the two stores: they are compared by "
                "the smallest pieces of text that begin and end at tokens of both"
            )
        if self.num_other_targets:
            found.append(
                f"{counted(self.num_other_targets, 'prompt')} with other targets in the two stores: features do not "
                "depend on them, but the influence that edges pass on does"
            )
        return found


def pair_prompts(
    store_a: Store, store_b: Store, where: str | Sequence[str], cluster: str | None, within: str | None = None
) -> PairedPrompts:
    """Return the prompts of both stores that meet all conditions in store a.

    `cluster` and `within` are metadata of store a, too: the unit of evidence, and the template within which prompts may
    be exchanged, by default the same.

    Raises ConfigError for prompts that have the same id but different texts, if there are no common prompts, and as
    `choose_prompts` and `clusters_of` do.
    """
    chosen = choose_prompts(store_a, where, cluster)
    in_a, in_b = set(store_a), set(store_b)
    ranks = [rank for rank, prompt_id in enumerate(chosen.ids) if prompt_id in in_b]
    only_a = [prompt_id for prompt_id in chosen.ids if prompt_id not in in_b]
    if not ranks:
        raise ConfigError(
            f"{store_a.url} and {store_b.url} have no prompt in common: prompts belong together if their ids are equal"
        )
    tables = [
        store.prompt_table([chosen.ids[rank] for rank in ranks], ["id", "text", "token_strings", "targets"])
        for store in (store_a, store_b)
    ]
    rows = [{row["id"]: row for row in table.rows()} for table in tables]
    _check_texts(chosen, ranks, *rows)
    kept, segments, unaligned, other_tokens, other_targets = [], [], [], 0, 0
    for rank in ranks:
        of_a, of_b = (own[chosen.ids[rank]] for own in rows)
        text = of_a["text"] if of_a["text"] is not None else of_b["text"]
        found = common_segments(of_a["token_strings"], of_b["token_strings"], text)
        if found is None:
            unaligned.append(chosen.ids[rank])
            continue
        kept.append(rank)
        segments.append(found)
        other_tokens += list(of_a["token_strings"]) != list(of_b["token_strings"])
        other_targets += list(of_a["targets"]) != list(of_b["targets"])
    if not kept:
        raise ConfigError(f"the tokens of none of {counted(len(ranks), 'common prompt')} make the prompt's text")
    sizes = np.array([max(int(own.max(initial=-1)) for own in pair) + 1 for pair in segments], dtype=np.int64)
    first = np.cumsum(sizes) - sizes
    site_of_a, site_of_b = (
        np.concatenate(
            [
                np.where(pair[side] >= 0, pair[side] + begin, NO_SEGMENT)
                for pair, begin in zip(segments, first, strict=True)
            ]
        )
        for side in (0, 1)
    )
    ids = [chosen.ids[rank] for rank in kept]
    numbers = None if chosen.clusters is None else chosen.clusters[kept]
    a = replace(chosen, ids=ids, clusters=numbers)
    clusters = _clusters(a, cluster)
    return PairedPrompts(
        a,
        ChosenPrompts(store_b, ids, numbers, chosen.cluster_names),
        clusters,
        _templates(a, within, clusters),
        *(site_of_a, site_of_b, sizes),
        *(only_a, sorted(in_b - in_a), unaligned),
        *(other_tokens, other_targets),
        {"where": [where] if isinstance(where, str) else list(where), "cluster": cluster, "within": within},
    )


def _clusters(prompts: ChosenPrompts, field: str | None) -> Clusters:
    """Return the clusters of prompts that are left, numbered without gaps."""
    found = clusters_of(prompts, field)
    kept, number_I = np.unique(found.number_I, return_inverse=True)
    return Clusters(number_I.astype(np.int32), [found.names[number] for number in kept.tolist()], found.field)


def _templates(prompts: ChosenPrompts, within: str | None, clusters: Clusters) -> Clusters | None:
    if within is None:
        return None if clusters.field is None else clusters
    numbers = choose_prompts(prompts.store, (), within)
    rank_of = numbers.rank_of
    own = [rank_of[prompt_id] for prompt_id in prompts.ids]
    assert numbers.clusters is not None  # a field was named
    return _clusters(replace(prompts, clusters=numbers.clusters[own]), within)


def _check_texts(chosen: ChosenPrompts, ranks: Sequence[int], *rows: dict[str, dict[str, Any]]) -> None:
    """Raise ConfigError if prompts have the same id but different texts; a prompt given as tokens has no text."""
    different = []
    for rank in ranks:
        texts = [own[chosen.ids[rank]]["text"] for own in rows]
        if None in texts:
            texts = (
                ["".join(own[chosen.ids[rank]]["token_strings"]) for own in rows] if texts == [None, None] else [""] * 2
            )
        if texts[0] != texts[1]:
            different.append(chosen.ids[rank])
    if different:
        raise ConfigError(
            f"{counted(len(different), 'prompt')} with different texts in the two stores: "
            f"{listed(different, _NAMED)}. Prompts of one id must have one text; "
            "leave these out with --where, or trace both stores with the same prompts"
        )
