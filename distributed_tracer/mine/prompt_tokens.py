"""Differences between two sets of prompts that are only differences of their tokens."""

from __future__ import annotations

from collections import Counter
from itertools import compress

import numpy as np

from ..store.reader import Store
from ..table import Table
from .prompt_sets import PromptSets


def token_shares(store: Store, sets: PromptSets) -> Table:
    """Return the tokens that unequal shares of the prompts of both sets contain, the largest difference first.

    Columns: token, share_a and share_b (of the prompts of a set, those that contain the token), only_in (`a` or `b` if
    no prompt of the other set contains it, else empty).
    """
    table = store.prompt_table(sets.ids, ["id", "token_strings"])
    tokens_of = {row["id"]: {*row["token_strings"]} for row in table.rows()}
    every = sorted({token for tokens in tokens_of.values() for token in tokens})
    share = {}
    for name, mask in (("a", sets.is_a), ("b", ~sets.is_a)):
        ids = list(compress(sets.ids, mask))
        counts = Counter(token for prompt in ids for token in tokens_of[prompt])
        share[name] = np.array([counts[token] / len(ids) for token in every])
    difference = share["a"] - share["b"]
    order = np.argsort(-np.abs(difference), kind="stable")
    order = order[difference[order] != 0]
    only = ["a" if share["b"][row] == 0 else "b" if share["a"][row] == 0 else "" for row in order]
    shares = {f"share_{name}": values[order] for name, values in share.items()}
    return Table({"token": [every[row] for row in order], **shares, "only_in": only})


def differing_tokens(tokens: Table) -> set[str]:
    """Return the tokens that occur in the prompts of one set only, given what `token_shares` returns."""
    return {*compress(tokens["token"].tolist(), (tokens["only_in"] != "").tolist())}
