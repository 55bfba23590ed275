"""What vectors predict: a linear classifier, judged on clusters that it has not seen, beside what needs no graph.

The classifier is ridge regression on labels of 0 and 1. Folds are of whole clusters. The same is done with shuffled
labels, and the result says how often those are predicted as well.

Axes: I prompt that has the field, Y label (the real one first, then the shuffled ones).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from threadpoolctl import threadpool_limits

from ..errors import ConfigError
from ..names import unknown
from ..store.read.prompt_table import METADATA
from ..store.read.select import metadata_columns
from ..text import counted, short
from .clusters import Clusters, Ints, interval_of_means, metadata_values, student_half, value_text
from .prompts import ChosenPrompts
from .ridge import FoldSums, cross_fit
from .statistics import Floats

MOST_VALUES = 20
SETS = {"prompt": ("prompt_",), "graph": ("graph_",), "both": ("prompt_", "graph_")}
"""Which columns predict, by the beginnings of their names."""
_FEW_OF_A_KIND = 10


def check_predicted(prompts: ChosenPrompts, field: str, clusters: Clusters, shuffles: int) -> None:
    """Raise ConfigError for a field that cannot be predicted."""
    own = metadata_columns(prompts.store.prompts)
    if field.removeprefix(METADATA) not in own:
        raise ConfigError(unknown("metadata", field, own))
    if not 19 <= shuffles <= 10_000:
        raise ConfigError(f"shuffles must be from 19 to 10,000, not {shuffles:,}")
    if len(clusters) < 3:
        raise ConfigError(
            f"{counted(len(clusters), 'cluster')} cannot be divided into folds: there must be at least 3 to predict; "
            "name another --cluster"
        )
    values = {value_text(value) for value in metadata_values(prompts, field) if value is not None}
    if not 2 <= len(values) <= MOST_VALUES:
        raise ConfigError(
            f"{short(field)} has {counted(len(values), 'value')} in these prompts; what is predicted must have from 2 "
            f"to {MOST_VALUES}"
        )


@dataclass(frozen=True, eq=False)
class Predicted:
    """A value of a field, which is predicted against all other values."""

    field: str
    value: str
    has: npt.NDArray[np.intp]
    """Ranks of the prompts that have the field."""
    label_I: npt.NDArray[np.int64]
    """1 for each of these prompts that has the value, and 0 for the others."""

    def about(self, clusters: Clusters) -> dict[str, Any]:
        """Return the columns that do not depend on what predicts it."""
        about = {
            "field": self.field,
            "value": self.value,
            "prompts": len(self.has),
            "positive": int(self.label_I.sum()),
        }
        return {**about, "clusters": len(np.unique(clusters.number_I[self.has]))}

    def doubts(self) -> list[str]:
        """Return a warning if few prompts decide."""
        few = int(min(self.label_I.sum(), len(self.label_I) - self.label_I.sum()))
        if few >= _FEW_OF_A_KIND:
            return []
        return [f"only {counted(few, 'prompt')} decide how {short(self.field)} = {short(self.value)} is predicted"]


def predicted_values(prompts: ChosenPrompts, field: str) -> list[Predicted]:
    """Return the values of a field that are predicted.

    Of two values only the second one, in sorted order, is, since the rows of the other one would be the same.
    """
    values = metadata_values(prompts, field)
    has = np.flatnonzero([value is not None for value in values])
    texts = [value_text(values[rank]) for rank in has.tolist()]
    distinct = sorted({*texts})
    return [
        Predicted(field, value, has, np.array([text == value for text in texts], np.int64))
        for value in (distinct if len(distinct) > 2 else distinct[1:])
    ]


def predict_labels(
    vectors: Mapping[str, Floats], label_I: Floats, cluster_I: Ints, fold_I: Ints, shuffles: int, seed: int
) -> list[dict[str, Any]]:
    """Return a row for each set of columns, which says how well it predicts labels of 0 and 1.

    One thread computes it, so that no bit depends on their number.
    """
    with threadpool_limits(1, "blas"):
        label_IY = np.stack([label_I, *shuffled(label_I, cluster_I, shuffles, seed)], axis=1)
        found = {name: _Judged.of(_columns(vectors, name), label_IY, cluster_I, fold_I) for name in SETS}
        return [{"columns": name, **own.row(), **own.gain(found["prompt"])} for name, own in found.items()]


def _columns(vectors: Mapping[str, Floats], name: str) -> Floats:
    """Return the columns of a set [prompts, columns]. What is not known is the mean of what is known."""
    columns = [column for of, column in vectors.items() if of.startswith(SETS[name])]
    known = [np.where(np.isfinite(column), column, np.nan) for column in columns]
    filled = [
        np.where(np.isnan(own), own[~np.isnan(own)].mean() if not np.isnan(own).all() else 0.0, own) for own in known
    ]
    return np.stack(filled, axis=1)


def shuffled(label_I: Floats, cluster_I: npt.NDArray[Any], number: int, seed: int) -> list[Floats]:
    """Return labels that say nothing: those of whole clusters go to other clusters, and within them to any prompt.

    Labels in the order of clusters are given to prompts in another, random order of clusters, and in random order
    within each. Prompts of one cluster thus get labels that were together before, up to the edges where sizes of
    clusters differ: shuffling all prompts at once would make labels look independent that are not.
    """
    in_order = np.argsort(cluster_I, kind="stable")
    _, place_I = np.unique(cluster_I, return_inverse=True)
    random, found = np.random.default_rng(seed), []
    for _ in range(number):
        rank = random.permutation(int(place_I.max()) + 1)
        other = np.empty_like(label_I)
        other[np.lexsort((random.random(len(label_I)), rank[place_I]))] = label_I[in_order]
        found.append(other)
    return found


class _Judged:
    """How well labels are predicted on the folds that were left out."""

    def __init__(self, score_IY: Floats, label_IY: Floats, cluster_I: Ints, fold_I: Ints) -> None:
        self._label_I, self._cluster_I, self._fold_I = label_IY[:, 0], cluster_I, fold_I
        self._score_I = score_IY[:, 0]
        pairs = [_won(score, label, fold_I) for score, label in zip(score_IY.T, label_IY.T, strict=True)]
        self.auroc, *shuffles = (_share(won.sum(), against.sum()) for won, against in pairs)
        self._shuffles = np.array(shuffles)
        self.without = self._leaving_out()

    @classmethod
    def of(cls, x: Floats, label_IY: Floats, cluster_I: npt.NDArray[Any], fold_I: npt.NDArray[Any]) -> _Judged:
        folds, fold_I = np.unique(fold_I, return_inverse=True)
        score_IY = np.zeros_like(label_IY)
        for fold, fit in enumerate(cross_fit(FoldSums.of(x, label_IY, fold_I, len(folds)), together=False)):
            own = fold_I == fold
            score_IY[own] = fit.mean_y + (x[own] - fit.mean_x) @ fit.weights
        return cls(score_IY, label_IY, np.unique(cluster_I, return_inverse=True)[1], fold_I)

    def _leaving_out(self) -> Floats:
        """Return the AUROC without each cluster in turn; the classifiers stay as they are."""
        won_I, against_I = _won(self._score_I, self._label_I, self._fold_I)
        lost_I, met_I = _won(-self._score_I, 1 - self._label_I, self._fold_I)  # the same pairs, by their other end
        own_won_I, own_against_I = _won(self._score_I, self._label_I, self._cluster_I)
        sums = [
            np.bincount(self._cluster_I, values)
            for values in (won_I + lost_I - own_won_I, against_I + met_I - own_against_I)
        ]
        return np.array([
            _share(won_I.sum() - won, against_I.sum() - against) for won, against in zip(*sums, strict=True)
        ])  # fmt: skip

    def row(self) -> dict[str, Any]:
        low, high = _jackknife(self.auroc, self.without)
        is_right_I = (self._score_I > 0.5) == (self._label_I > 0.5)
        accuracy = interval_of_means(self._means(is_right_I.astype(np.float64)))
        as_high = int(np.count_nonzero(self._shuffles >= self.auroc))
        known = ~np.isnan(self._shuffles)
        return {
            "auroc": self.auroc,
            "auroc_low": low,
            "auroc_high": high,
            "auroc_shuffled": float(self._shuffles[known].mean()) if known.any() else float("nan"),
            "p": (1 + as_high) / (1 + len(self._shuffles)) if not np.isnan(self.auroc) else float("nan"),
            **dict(zip(("accuracy", "accuracy_low", "accuracy_high"), accuracy, strict=True)),
            "accuracy_majority": interval_of_means(self._means(self._majority()))[0],
        }

    def gain(self, of_prompts: _Judged) -> dict[str, float]:
        """Return how much the AUROC is above that of the prompt columns."""
        if of_prompts is self:
            return dict.fromkeys(("gain", "gain_low", "gain_high"), float("nan"))
        gain = self.auroc - of_prompts.auroc
        low, high = _jackknife(gain, self.without - of_prompts.without)
        return {"gain": gain, "gain_low": low, "gain_high": high}

    def _means(self, value_I: Floats) -> Floats:
        means: Floats = np.bincount(self._cluster_I, value_I) / np.bincount(self._cluster_I)
        return means

    def _majority(self) -> Floats:
        is_right_I = np.zeros(len(self._label_I))
        for fold in range(int(self._fold_I.max()) + 1):
            own = self._fold_I == fold
            is_right_I[own] = self._label_I[own] == float(self._label_I[~own].mean() > 0.5)
        return is_right_I


def _won(score_I: Floats, label_I: Floats, group_I: Ints) -> tuple[Floats, Floats]:
    """Return for each prompt with the label how many of its group without it score lower (half for as high), and how
    many there are; 0 for prompts without the label."""
    won_I, against_I = np.zeros((2, len(score_I)))
    order = np.argsort(group_I, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(group_I[order])) + 1):
        positive, negative = own[label_I[own] > 0.5], own[label_I[own] <= 0.5]
        if len(positive) and len(negative):
            all_ranks = stats.rankdata(score_I[np.append(positive, negative)])[: len(positive)]
            won_I[positive] = all_ranks - stats.rankdata(score_I[positive])
            against_I[positive] = len(negative)
    return won_I, against_I


def _share(won: float, pairs: float) -> float:
    return float(won / pairs) if pairs > 0 else float("nan")


def _jackknife(estimate: float, without: Floats) -> tuple[float, float]:
    """Return the 95% interval of an estimate from those without each cluster (Efron and Stein 1981, "The jackknife
    estimate of variance", Annals of Statistics 9); NaN if one of them is not known."""
    number = len(without)
    if number < 2:
        return float("nan"), float("nan")
    squares = float(np.square(without - without.mean()).sum())
    half = float(student_half(np.array([squares * (number - 1) ** 2]), number)[0])
    return estimate - half, estimate + half
