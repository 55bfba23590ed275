"""Beyond texts: which pairs of prompts have more alike graphs than pairs with equally alike texts.

Axes: I pair of prompts, X threshold, Y stratum of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_LEAST_PAIRS, _MOST_STRATA = 50, 200


@dataclass(frozen=True, eq=False)
class TextStrata:
    """What pairs of equally alike texts have in common in their graphs: medians over strata of text overlap."""

    cuts: Floats
    """Text overlaps at which strata begin, except the first: [strata - 1]."""
    median_2Y: Floats
    """The median share in common, in each half of the edges [2, strata]."""
    ruzicka_Y: Floats
    """The median Ruzicka similarity."""

    @classmethod
    def of(cls, text_I: Floats, common_2I: Floats, ruzicka_I: Floats) -> TextStrata:
        """Return the strata of some pairs, of which there must be one at least.

        Pairs of equal overlap are in one stratum, and neighbouring overlaps are joined until a stratum has at least 50
        pairs, and at least one in 200 of all. Pairs of one stratum should be alike in text: what is left of the
        differences between their texts would count as being beyond texts.
        """
        values, counts = np.unique(text_I, return_counts=True)
        least, begins, size = max(_LEAST_PAIRS, len(text_I) // _MOST_STRATA), list[float](), 0
        for value, count in zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True):
            size += count
            if size >= least:
                begins.append(value)
                size = 0
        cuts = np.array(begins[-2::-1], dtype=np.float64)
        stratum_I = np.searchsorted(cuts, text_I, side="right")
        medians = [
            [float(np.median(values[stratum_I == number])) for number in range(len(cuts) + 1)]
            for values in (*common_2I, ruzicka_I)
        ]
        return cls(cuts, np.array(medians[:2]), np.array(medians[2]))

    def numbers(self, text_I: Floats) -> npt.NDArray[np.intp]:
        """Return the number of the stratum of each pair."""
        return np.searchsorted(self.cuts, text_I, side="right")

    def excess(self, text_I: Floats, common_2I: Floats) -> Floats:
        """Return by how much the share in common exceeds the median of equally alike texts, in both halves [2, I]."""
        return common_2I - self.median_2Y[:, self.numbers(text_I)]


def least_excess(excess_2I: Floats, stratum_I: npt.NDArray[np.intp], q: float) -> tuple[float, int, float]:
    """Return the least excess that a pair must have in both halves of the edges to be listed.

    The second number is how many pairs have it, and the third is the estimated share of chance among them. If what
    remains beyond texts is chance, an excess in one half of the edges says nothing of the other half. Then the number
    of pairs with an excess in both halves is, in each stratum, expected to be n_10 n_01 / n_00, where the others are
    counted that have it in the first half alone, in the second half alone, and in neither. The estimate is 1 + the sum
    of this over strata, divided by the number found. The 1 is that of Barber and Candès 2015, "Controlling the false
    discovery rate via knockoffs" (Annals of Statistics 43), without which a few pairs could stand out by luck. The
    excess is infinite if no threshold keeps the estimate at `q`.
    """
    both_I = excess_2I.min(axis=0)
    least_X = np.unique(both_I[both_I > 0])
    found_X = len(both_I) - np.searchsorted(np.sort(both_I), least_X)
    expected_X = np.zeros(len(least_X))
    for number in np.unique(stratum_I):
        own = excess_2I[:, stratum_I == number]
        first, second, both = (
            len(values) - np.searchsorted(np.sort(values), least_X) for values in (*own, own.min(axis=0))
        )
        neither = own.shape[1] - first - second + both
        expected_X += (first - both) * (second - both) / np.maximum(neither, 1)
    by_chance_X = (1 + expected_X) / np.maximum(found_X, 1)
    fitting = np.flatnonzero(by_chance_X <= q)
    if not len(fitting):
        return float("inf"), 0, float("nan")
    place = int(fitting[0])
    return float(least_X[place]), int(found_X[place]), float(by_chance_X[place])


def separation(score_I: Floats, is_same_I: Mask, stratum_I: npt.NDArray[np.intp] | None = None) -> float:
    """Return how well a score tells pairs that are the same from others: the area under the ROC curve.

    This is the probability that a pair that is the same has the larger score, with ties as one half: 0.5 if the score
    says nothing. With strata, only pairs of one stratum are compared with each other, and all such comparisons count
    the same. NaN if there is nothing to compare.
    """
    numbers = np.zeros(len(score_I), dtype=np.intp) if stratum_I is None else stratum_I
    won = compared = 0.0
    for number in np.unique(numbers):
        same = is_same_I[numbers == number]
        num_same, num_other = int(same.sum()), int((~same).sum())
        if num_same and num_other:
            ranks = rankdata(score_I[numbers == number])
            won += float(ranks[same].sum()) - num_same * (num_same + 1) / 2
            compared += num_same * num_other
    return won / compared if compared else float("nan")
