"""Enrichment of communities: the tokens and the metadata that the clusters in which they act have more than others.

Axes: Y community, F feature, X feature in a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.sparse import coo_array, csr_array

from ..store.read.prompt_table import METADATA
from ..store.read.select import metadata_columns
from ..table import Table
from .cluster_edges import FeatureActs
from .clusters import value_text
from .community_graph import Floats, Ints
from .feature_contexts import FeatureContexts
from .prompts import ChosenPrompts

TOKEN = "token"
MOST_ROWS = 10
"""Values of a community and a field that are listed at most: those with the smallest p."""
_LEAST_CLUSTERS = 2


def acting(member_YF: csr_array, acts: FeatureActs, num_clusters: int) -> csr_array:
    """Return 1 for each community and each cluster in which at least half of its features are nodes."""
    shape = (member_YF.shape[1], num_clusters)
    in_by_cluster = coo_array((np.ones(len(acts.feature_X)), (acts.feature_X, acts.cluster_X)), shape=shape).tocsr()
    counts = (member_YF @ in_by_cluster).tocoo()
    size_Y = np.asarray(member_YF.sum(axis=1)).ravel()
    kept = 2 * counts.data >= size_Y[counts.row]
    shape = (member_YF.shape[0], num_clusters)
    return coo_array((np.ones(int(kept.sum())), (counts.row[kept], counts.col[kept])), shape=shape).tocsr()


def values_of_clusters(
    prompts: ChosenPrompts,
    cluster_of: npt.NDArray[np.int32],
    field: str | None,
    contexts: FeatureContexts,
    tokens: Mapping[int, str],
) -> tuple[list[tuple[str, str]], csr_array]:
    """Return field and text of each value, and 1 for each value that a cluster has.

    A cluster has a token if one of its prompts has it, and a value of metadata if half of its prompts have it. `field`
    names the clusters, and says nothing new of them.
    """
    num_clusters = int(cluster_of.max(initial=-1)) + 1
    token_by_value, place = np.unique(contexts.token_Y, return_inverse=True)
    names = [(TOKEN, tokens.get(token, f"token of id {token}")) for token in token_by_value.tolist()]
    rows, columns = [place.astype(np.int64)], [contexts.cluster_Y]
    size_by_cluster = np.bincount(cluster_of[cluster_of >= 0], minlength=num_clusters)
    table = prompts.store.prompts
    known = metadata_columns(table)
    ids = table["id"].tolist()
    for name in sorted(known):
        if field is not None and name == field.removeprefix(METADATA):
            continue
        of_id = dict(zip(ids, table[known[name]].tolist(), strict=True))
        values = [of_id[prompt] for prompt in prompts.ids]
        texts = sorted({value_text(value) for value in values if value is not None})
        number_of = {text: number for number, text in enumerate(texts)}
        has = np.array([-1 if value is None else number_of[value_text(value)] for value in values], dtype=np.int64)
        own = (has >= 0) & (cluster_of >= 0)
        code, counts = np.unique(has[own] * num_clusters + cluster_of[own], return_counts=True)
        value, cluster = np.divmod(code, num_clusters)
        most = 2 * counts >= size_by_cluster[cluster]
        rows.append(value[most] + len(names))
        columns.append(cluster[most])
        names += [(name, text) for text in texts]
    row, column = np.concatenate(rows), np.concatenate(columns)
    return names, coo_array((np.ones(len(row)), (row, column)), shape=(len(names), num_clusters)).tocsr()


def enrichment(
    acts_by_cluster: csr_array, names: Sequence[tuple[str, str]], has_by_cluster: csr_array, q: float
) -> tuple[Table, int]:
    """Return the values that communities are enriched in at this false discovery rate, and the number of tests.

    A pair is tested if the community acts in at least two clusters, and not in all, and two clusters have the value.
    """
    num_clusters = acts_by_cluster.shape[1]
    of_Y, of_by_value = (
        np.asarray(one.sum(axis=1)).ravel().astype(np.int64) for one in (acts_by_cluster, has_by_cluster)
    )
    tested_Y = (of_Y >= _LEAST_CLUSTERS) & (of_Y < num_clusters)
    tested_by_value = (of_by_value >= _LEAST_CLUSTERS) & (of_by_value < num_clusters)
    num_tests = int(tested_Y.sum()) * int(tested_by_value.sum())
    both = csr_array(acts_by_cluster @ has_by_cluster.T).tocoo()
    kept = tested_Y[both.row] & tested_by_value[both.col] & (both.data > 1)
    row, column, count = both.row[kept], both.col[kept], both.data[kept].astype(np.int64)
    p = stats.hypergeom.sf(count - 1, num_clusters, of_by_value[column], of_Y[row])
    found_q = smallest_rates(p, num_tests)
    fields = sorted({field for field, _ in names})
    field_by_value = np.array([fields.index(field) for field, _ in names], dtype=np.int64)
    order = np.lexsort((column, -count, p, field_by_value[column], row))
    order = order[found_q[order] <= q]
    group = row[order].astype(np.int64) * (len(fields) or 1) + field_by_value[column[order]]
    first = np.searchsorted(group, group)
    order = order[np.arange(len(order)) - first < MOST_ROWS]
    row, column, count = row[order], column[order], count[order]
    return Table(
        {
            "community": row.astype(np.int64),
            "field": [names[value][0] for value in column.tolist()],
            "value": [names[value][1] for value in column.tolist()],
            "clusters_both": count,
            "clusters_community": of_Y[row],
            "clusters_value": of_by_value[column],
            "clusters_all": np.full(len(row), num_clusters, dtype=np.int64),
            "ratio": count * num_clusters / (of_Y[row] * of_by_value[column]),
            "p": p[order],
            "q": found_q[order],
        }
    ), num_tests


def smallest_rates(p: Floats, num_tests: int) -> Floats:
    """Return q of Benjamini and Hochberg for some of the tests, given that all others have a p of 1."""
    order: Ints = np.argsort(p, kind="stable")
    rates = p[order] * num_tests / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(1.0, np.minimum.accumulate(rates[::-1])[::-1])
    return q
