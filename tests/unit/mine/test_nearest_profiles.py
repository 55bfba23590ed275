"""Nearest profiles: bit for bit those of a plain comparison of all pairs, whatever their columns have in common."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from distributed_tracer.mine import nearest_profiles
from distributed_tracer.mine.nearest_profiles import nearest


def plain(profile_FX: csr_array, neighbours: int) -> dict[tuple[int, int], float]:
    """Every pair of features, one after another: products are added in the order of columns."""
    dense = profile_FX.toarray()
    number = len(dense)
    similar = np.zeros((number, number))
    for column in dense.T:
        similar += column[:, None] * column[None, :]
    np.fill_diagonal(similar, 0)
    best = [
        {*sorted((j for j in range(number) if row[j] > 0), key=lambda j, row=row: (-row[j], j))[:neighbours]}
        for row in similar
    ]
    return {(i, j): float(similar[i, j]) for i in range(number) for j in best[i] if i in best[j]}


def found(profile_FX: csr_array, neighbours: int) -> dict[tuple[int, int], float]:
    graph = nearest(profile_FX, neighbours).tocoo()
    return dict(zip(zip(graph.row.tolist(), graph.col.tolist(), strict=True), graph.data.tolist(), strict=True))


def profiles(values_FX: csr_array) -> csr_array:
    """Rows of norm 1, or without any entry."""
    rows = csr_array(values_FX)
    norm_F = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    rows.data = rows.data / np.repeat(np.where(norm_F > 0, norm_F, 1.0), np.diff(rows.indptr))
    rows.sort_indices()
    return rows


def with_hubs(rng: np.random.Generator, number: int, width: int) -> csr_array:
    """Rows whose columns are the more frequent the lower their number, with values of both signs."""
    chance_X = 0.9 / (1 + np.arange(width)) ** 0.7
    values = rng.normal(0.2, 1, (number, width)) * (rng.random((number, width)) < chance_X)
    return profiles(csr_array(values))


@pytest.mark.parametrize("neighbours", [1, 20, 500])
@pytest.mark.parametrize("hub_share", [1 / 16, 2.0, -1.0])
@pytest.mark.parametrize("tile", [31, 2048])
def test_they_are_those_of_a_plain_comparison(
    neighbours: int, hub_share: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With some hubs, without any, and if all columns are hubs; in tiles that are smaller than the number of neighbours
    and in a single one; candidates are given up again and again."""
    monkeypatch.setattr(nearest_profiles, "_HUB_SHARE", hub_share)
    monkeypatch.setattr(nearest_profiles, "_TILE", tile)
    monkeypatch.setattr(nearest_profiles, "_MOST_WAITING", 3_000)
    monkeypatch.setattr(nearest_profiles, "_BLOCK_VALUES", 7 * 300)
    monkeypatch.setattr(nearest_profiles, "_PAIR_ENTRIES", 1_000)
    profile_FX = with_hubs(np.random.default_rng(neighbours), 300, 400)
    assert found(profile_FX, neighbours) == plain(profile_FX, neighbours)


def test_of_many_that_are_alike_the_first_ones_count() -> None:
    """Rounded values, and copies of rows: most similarities are equal to others, or differ by their last bits."""
    rng = np.random.default_rng(0)
    values = with_hubs(rng, 20, 60).toarray()[rng.integers(0, 20, 400)]
    values *= 1 + 2.0**-50 * rng.integers(-2, 3, values.shape)
    for own in (values, np.rint(values * 4)):
        profile_FX = profiles(csr_array(own))
        assert found(profile_FX, 6) == plain(profile_FX, 6)


def test_differences_that_single_precision_does_not_see_decide() -> None:
    """Fifteen variants of each row: the twentieth neighbour is one of many that differ by some billionths."""
    rng = np.random.default_rng(2)
    values = np.repeat(with_hubs(rng, 20, 60).toarray(), 15, axis=0)
    values *= 1 + 2.0**-25 * rng.normal(0, 1, values.shape)
    profile_FX = profiles(csr_array(values))
    assert found(profile_FX, 20) == plain(profile_FX, 20)


def test_features_with_few_common_columns_and_features_without_any() -> None:
    rng = np.random.default_rng(1)
    sparse = random_array((300, 900), density=1 / 300, rng=rng, format="csr")
    tiny = csr_array(sparse.multiply(10.0 ** rng.integers(-9, 1, (300, 1))) + 2.0**-23 * with_hubs(rng, 300, 900))
    for values in (sparse, -sparse, tiny, csr_array((300, 900)), csr_array((1, 900))):
        profile_FX = profiles(csr_array(values))
        assert found(profile_FX, 4) == plain(profile_FX, 4)


def test_most_rows_need_no_plain_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tests above are of the bounds, too."""
    numbers = []
    kept = nearest_profiles.Search._plain
    monkeypatch.setattr(
        nearest_profiles.Search, "_plain", lambda self, rows: numbers.append(len(rows)) or kept(self, rows)
    )
    nearest(with_hubs(np.random.default_rng(5), 300, 400), 5)
    assert sum(numbers) < 15
