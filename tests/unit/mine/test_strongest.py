"""Rows that come first in the order of a column, found batch by batch: the same as if all were sorted at once."""

from __future__ import annotations

import numpy as np

from distributed_tracer.mine.strongest import By, Strongest
from distributed_tracer.table import Table

RNG = np.random.default_rng(5)
WORDS = ["", "apple", "Apple", "pear", "Zebra", "zebra", "éclair", "10", "9", "<b>"]


def kept(values: list[str], most: int, by: By) -> list[int]:
    """Return the numbers of the rows that are kept of batches of seven rows."""
    strongest = Strongest(most, "text", by)
    for first in range(0, len(values), 7):
        some = values[first : first + 7]
        rows = np.arange(first, first + len(some))
        strongest.add(Table({"row": rows, "text": np.array(some, dtype=object)}))
    assert strongest.table is not None
    found: list[int] = strongest.table["row"].tolist()
    return found


def test_texts_are_sorted_without_regard_to_case_and_empty_ones_come_last() -> None:
    for _ in range(30):
        values = [str(word) for word in RNG.choice(WORDS, 60)]
        known = [row for row, text in enumerate(values) if text]
        empty = [row for row, text in enumerate(values) if not text]
        for most in (1, 5, 30, 100):
            first = sorted(known, key=lambda row: values[row].casefold())
            assert kept(values, most, "smallest") == [*first, *empty][:most]
            last = sorted(known, key=lambda row: values[row].casefold(), reverse=True)
            assert kept(values, most, "largest") == [*last, *empty][:most]
