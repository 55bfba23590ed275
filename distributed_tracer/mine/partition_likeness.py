"""How alike two partitions are: adjusted Rand index, mutual information, and the best match of each community.

Axes: N node. A label of -1 is a community of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_PERMUTATIONS = 20


def table_of(one_N: Ints, other_N: Ints) -> csr_array:
    """Return how many nodes each pair of communities has in common."""
    one, other = (_own(label_N) for label_N in (one_N, other_N))
    shape = (int(one.max(initial=0)) + 1, int(other.max(initial=0)) + 1)
    return coo_array((np.ones(len(one)), (one, other)), shape=shape).tocsr()


def rand_index(one_N: Ints, other_N: Ints) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985): 1 for equal partitions, 0 on average by chance."""
    table = table_of(one_N, other_N)
    rows, columns = _sums(table)
    both, ones, others = (float((values * (values - 1) / 2).sum()) for values in (table.data, rows, columns))
    every = len(one_N) * (len(one_N) - 1) / 2
    if not every:
        return float("nan")
    expected = ones * others / every
    most = (ones + others) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def mutual_information(one_N: Ints, other_N: Ints) -> tuple[float, float, float]:
    """Return the mutual information of two partitions and the entropy of each, in nats."""
    table, number = table_of(one_N, other_N).tocoo(), max(1, len(one_N))
    rows, columns = (values / number for values in _sums(table))
    joint = table.data / number
    information = float((joint * np.log(joint / (rows[table.row] * columns[table.col]))).sum())
    entropies = [float(-(part * np.log(part)).sum()) for part in (rows[rows > 0], columns[columns > 0])]
    return max(0.0, information), entropies[0], entropies[1]


def normalised_information(one_N: Ints, other_N: Ints) -> float:
    """Return mutual information / mean entropy; 1 if both have one community only."""
    information, *entropies = mutual_information(one_N, other_N)
    return information / (sum(entropies) / 2) if sum(entropies) > 0 else 1.0


def adjusted_information(one_N: Ints, other_N: Ints, rng: np.random.Generator) -> float:
    """Return mutual information above chance, relative to the mean entropy above chance (Vinh, Epps and Bailey 2010).

    Chance is the mean over random permutations of the labels. NaN if a partition has one community only.
    """
    information, *entropies = mutual_information(one_N, other_N)
    by_chance = float(np.mean([mutual_information(one_N, rng.permutation(other_N))[0] for _ in range(_PERMUTATIONS)]))
    most = sum(entropies) / 2 - by_chance
    return (information - by_chance) / most if min(entropies) > 0 and most > 1e-9 else float("nan")


def membership_information(label_N: Ints, class_N: Ints, num: int) -> Floats:
    """Return, for each of `num` communities, what the class of a node says of whether it is in the community.

    It is the mutual information / the entropy of membership: 1 if classes decide it, 0 if they say nothing. NaN for a
    community that has all nodes.
    """
    number = len(label_N)
    classes, inverse = np.unique(class_N, return_inverse=True)
    own = label_N >= 0
    table = np.zeros((num, len(classes)))
    np.add.at(table, (label_N[own], inverse[own]), 1)
    size, total = table.sum(axis=1), np.bincount(inverse, minlength=len(classes))
    entropy = _entropy(size / number)
    given = (_entropy(table / total) * total).sum(axis=1) / number
    found: Floats = np.divide(entropy - given, entropy, out=np.full(num, np.nan), where=entropy > 0).clip(0)
    return found


def best_matches(label_N: Ints, other_N: Ints, present_N: npt.NDArray[np.bool_]) -> tuple[Floats, Ints]:
    """Return the Jaccard overlap of each community with its best match, and the match: a label of `other_N`, or -1.

    Only nodes that are present count (Hennig 2007, "Cluster-wise assessment of cluster stability"). A community of
    which none is present has NaN.
    """
    num = int(label_N.max(initial=-1)) + 1
    own = present_N & (label_N >= 0)
    size = np.bincount(label_N[own], minlength=num)
    both = own & (other_N >= 0)
    other_size = np.bincount(other_N[present_N & (other_N >= 0)], minlength=1)
    table = coo_array((np.ones(int(both.sum())), (label_N[both], other_N[both])), shape=(num, len(other_size))).tocsr()
    table = table.tocoo()
    overlap = table.data / (size[table.row] + other_size[table.col] - table.data)
    best, match = np.where(size > 0, 0.0, np.nan), np.full(num, -1, dtype=np.int64)
    order = np.lexsort((table.col, -overlap, table.row))
    first = order[np.append(True, np.diff(table.row[order]) != 0)[: len(order)]]
    best[table.row[first]], match[table.row[first]] = overlap[first], table.col[first]
    alone = np.flatnonzero((match < 0) & (size > 0))  # every present member is a community of its own in the other
    best[alone] = 1.0 / size[alone]
    return best, match


def _own(label_N: Ints) -> Ints:
    """Return labels from 0, with one of its own for each -1."""
    label_N = label_N.astype(np.int64).copy()
    alone = np.flatnonzero(label_N < 0)
    label_N[alone] = label_N.max(initial=-1) + 1 + np.arange(len(alone))
    return np.unique(label_N, return_inverse=True)[1].astype(np.int64)


def _sums(table: csr_array) -> tuple[Floats, Floats]:
    return np.asarray(table.sum(axis=1)).ravel(), np.asarray(table.sum(axis=0)).ravel()


def _entropy(share: Floats) -> Floats:
    found = np.zeros(np.shape(share))
    for part in (share, 1 - share):
        positive = part > 0
        found[positive] -= part[positive] * np.log(part[positive])
    return found
