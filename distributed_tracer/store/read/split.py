"""Splits: conditions that divide prompts into two sets by a hash of one of their values, such as `split(subject)<=0.5`.

Prompts with equal values are in the same set, so that what is found in one set can be tested in the other. The share of
a value depends on nothing but the value: not on other prompts, the order of prompts, or a seed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ...documents.json_text import to_json_types
from ...errors import ConfigError
from ...table import Table
from ...text import short
from .select import cluster_column

_SPLIT = re.compile(r"split\((?P<key>.+)\)\s*(?P<sign>>=|<=)\s*(?P<share>[01](?:\.\d{0,15})?|\.\d{1,15})", re.DOTALL)
_PREFIX = "split("


def is_split(condition: str) -> bool:
    """Return whether a condition divides prompts by a hash, rather than by what they are."""
    return condition.startswith(_PREFIX)


def without_splits(conditions: Iterable[str]) -> list[str]:
    """Return the conditions that say what prompts are."""
    return [condition for condition in conditions if not is_split(condition)]


def in_split(prompts: Table, condition: str) -> npt.NDArray[np.bool_]:
    """Return which rows of the table of prompts meet a condition `split(KEY)<=SHARE` or `split(KEY)>=SHARE`.

    KEY is metadata, or `id` for the prompts' own ids. A prompt without a value is in neither set. Raises ConfigError
    for a malformed condition, a share above 1, or a key that no prompt has.
    """
    found = _SPLIT.fullmatch(condition)
    share = float(found["share"]) if found else 2.0
    if found is None or share > 1:
        raise ConfigError(
            f"a split is split(KEY)<=SHARE or split(KEY)>=SHARE with a share from 0 to 1, as in split(topic)<=0.5, not "
            f"{short(condition, 200)}"
        )
    values = prompts[cluster_column(prompts, found["key"])].tolist()
    shares = np.array([split_share(value) for value in values], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        meets: npt.NDArray[np.bool_] = shares <= share if found["sign"] == "<=" else shares >= share
    return meets


def split_share(value: object) -> float:
    """Return a number from 0 to 1 that is the same for equal values, and looks random over different ones.

    It is the first 8 bytes of the SHA-256 of the value as JSON, as a share of 2^64; NaN for a missing value.
    """
    if value is None:
        return float("nan")
    text = json.dumps(to_json_types(value), sort_keys=True).encode("ascii")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2.0**64
