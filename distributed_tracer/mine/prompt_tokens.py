"""Differences between two sets of prompts that are only differences of their tokens."""

from __future__ import annotations

from collections import Counter
from itertools import compress

import numpy as np

from ..store.reader import Store
from ..table import Table
from .feature_values import FeatureValues
from .prompt_sets import PromptSets
from .statistics import Floats


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


def share_of_differing_tokens(read: FeatureValues, tokens: Table) -> Floats:
    """Return for each feature the share of its active positions whose token occurs in the prompts of one set only.

    A feature with a share of 1 may be no more than a name of these tokens.
    """
    differing = differing_tokens(tokens)
    differs = np.fromiter((token in differing for token in read.site_token), np.float64, len(read.site_token))
    num_features = len(read.keys)
    counts = np.bincount(read.site_column, minlength=num_features)
    hits = np.bincount(read.site_column, differs, num_features)
    shares: Floats = np.divide(hits, counts, out=np.full(num_features, np.nan), where=counts > 0)
    return shares
