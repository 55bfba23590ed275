"""A table of codes finds what a search finds, whatever the codes are."""

from __future__ import annotations

import numpy as np
import pytest

from distributed_tracer.graph import code_lookup
from distributed_tracer.graph.code_lookup import CodeLookup, distinct


@pytest.mark.parametrize("most_empty", [0, 1 << 40], ids=["searched", "table"])
def test_every_code_is_found_where_a_search_finds_it(most_empty: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_lookup, "_LEAST_PLACES", most_empty)
    monkeypatch.setattr(code_lookup, "_MOST_EMPTY", 0)
    rng = np.random.default_rng(0)
    code_N = rng.integers(0, 9, 5000) << 32 | rng.integers(1000, 3000, 5000)
    code_N[:4] = 3 << 32, (3 << 32) + 70_000, 8 << 32, 0  # ends of groups
    code_I = distinct(code_N)
    assert np.array_equal(code_I, np.array(sorted({*code_N.tolist()})))
    found_N = CodeLookup(code_I).numbers(code_N)
    assert found_N.dtype == np.int32
    assert np.array_equal(found_N, np.searchsorted(code_I, code_N))


def test_codes_that_would_leave_most_places_empty_take_no_table() -> None:
    code_I = np.array([0, 1, (1 << 32) - 1, 7 << 32], dtype=np.int64)
    lookup = CodeLookup(code_I)
    assert lookup.numbers(code_I[::-1].copy()).tolist() == [3, 2, 1, 0]
    assert sum(values.nbytes for values in vars(lookup).values() if isinstance(values, np.ndarray)) == code_I.nbytes


def test_no_codes_are_found_among_none() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert len(distinct(none)) == 0
    assert len(CodeLookup(none).numbers(none)) == 0
