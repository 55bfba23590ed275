"""The texts of the tokens that occur in a store, by their numbers in the vocabulary."""

from __future__ import annotations

import numpy as np

from ..store.read.part_range import PartRange
from ..store.read.prompt_table import target_labels
from ..store.reader import Store


def token_names(store: Store) -> dict[int, str]:
    """Return the text of every token that a prompt of a store contains or that is a target of one, by token id.

    If several texts have the same number, as bytes of a character may, it is the first one in the order of Unicode,
    whatever the order of the parts; what prompts contain comes before the label of a target.
    """
    in_prompts: dict[int, str] = {}
    of_targets: dict[int, str] = {}
    for commit in range(len(store.catalogue.commits)):
        if not (held := store.catalogue.rows(commit)):
            continue
        part = store.part(commit)
        own = PartRange(part, held)
        rows = own.rows("num_targets")
        ids = part.read({"tokens/token": own.rows("num_tokens")})["tokens/token"].astype(np.int64)
        strings = own.tokens
        for pair in np.unique(ids << 32 | strings.codes).tolist():
            _keep_first(in_prompts, pair >> 32, strings.names[pair & 0xFFFFFFFF])
        target_ids = part.read({"targets/token_id": rows})["targets/token_id"].tolist()
        labels = np.array(target_labels(part), dtype=object)[rows]
        for token, label in zip(target_ids, labels.tolist(), strict=True):
            _keep_first(of_targets, token, label)
    return {token: text for token, text in (of_targets | in_prompts).items() if token >= 0}


def _keep_first(found: dict[int, str], token: int, text: str) -> None:
    if token not in found or text < found[token]:
        found[token] = text
