"""SetTests: tests of the differences of many quantities between two sets of prompts; the same for features and edges.

Quantities come in blocks of matrices [prompts, quantities], so that memory does not hold the values of all of them at
once. The tests of a quantity do not depend on its block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..text import counted
from .permutation import PermutationTest, exchange_labels, exchange_presence, flip_signs, p_of_largest
from .prompt_sets import FEW_CLUSTERS, PromptSets
from .statistics import (
    Floats,
    MeanTest,
    halves,
    known_mean,
    paired_t,
    q_values,
    replicated_share,
    two_part,
    welch,
)
from .task_arrays import load_arrays, save_arrays

ELEMENTS = 1 << 21
"""Number of values in a block, unless there are more prompts."""
COLUMNS = (
    *("mean_a", "mean_b", "difference", "low", "high", "g", "g_low", "g_high", "half_1", "half_2"),
    *("p", "q", "q_by", "p_max", "p_welch", "p_permutation", "p_presence", "t", "df"),
    *("presence_a", "presence_b", "clusters_a", "clusters_b", "prompts_a", "prompts_b", "unknown_a", "unknown_b"),
)
"""The columns that every contrast has."""
Columns = dict[str, npt.NDArray[Any]]

_TESTS = ("both", "welch")
_COLUMN, _OF_MAGNITUDE = "column_", ("p", "observed", "largest", "is_exact")
"""Beginning of the names of columns in saved statistics; fields of the saved permutation test."""
_LEAST_CHOSEN = 10
_OF_TESTS = ("mean_a", "mean_b", "difference", "low", "high", "g", "g_low", "g_high", "t", "df")


@dataclass(frozen=True)
class ContrastSettings:
    """How differences are tested. Raises ConfigError for values out of range."""

    test: Literal["both", "welch"] = "both"
    q: float = 0.05
    min_clusters: int = 3
    permutations: int = 9_999
    seed: int = 0

    def __post_init__(self) -> None:
        if self.test not in _TESTS:
            raise ConfigError(unknown("test", self.test, _TESTS))
        if not 0 < self.q < 1:
            raise ConfigError(f"q is a false discovery rate between 0 and 1, not {self.q!r}")
        for name, least in (("min_clusters", 1), ("permutations", 99), ("seed", 0)):
            number = getattr(self, name)
            if not isinstance(number, int) or number < least:
                raise ConfigError(f"{name} must be an integer of at least {least}, not {number!r}")


class SetTests:
    """Takes the values of quantities, block by block, and then has a row of statistics for each."""

    def __init__(self, sets: PromptSets, settings: ContrastSettings, presence_alone: bool = False) -> None:
        """`presence_alone` is whether presence is tested also where the means of the values cannot be."""
        self.sets, self.settings, self.presence_alone = sets, settings, presence_alone
        self._blocks: list[Columns] = []
        self._magnitudes: list[PermutationTest] = []
        self.num_unknown = 0
        """Number of pairs of a prompt and a quantity whose value is not known."""

    @property
    def columns_at_once(self) -> int:
        """The number of quantities of a block."""
        return max(1, ELEMENTS // len(self.sets.ids))

    def add(self, value: Floats, present: Floats, also: Mapping[str, Floats] | None = None) -> None:
        """Test a block of quantities.

        `value` [prompts, quantities] is NaN where not known, `present` is 1 where the quantity is present and else 0,
        with the prompts in the order of `sets.ids`. The means over clusters of every matrix of `also` become columns of
        its name with `_a` and `_b`.
        """
        sets, draws, seed = self.sets, self.settings.permutations, self.settings.seed
        a, b, names_a, names_b = sets.by_unit(value)
        share_a, share_b, *_ = sets.by_unit(present)
        tests: MeanTest
        if sets.pairs is None:
            tests = welch(a, b)
            is_a = np.arange(len(a) + len(b)) < len(a)
            magnitude = exchange_labels(np.concatenate([a, b]), is_a, draws, seed)
            presence = exchange_presence(np.concatenate([share_a, share_b]), is_a, draws, seed)
        else:
            tests = paired_t(a, b)
            magnitude = flip_signs(a - b, draws, seed)
            presence = flip_signs(share_a - share_b, draws, seed)
        has_magnitude = (tests.units_a > 1) & (tests.units_b > 1)
        has_presence = (min(len(share_a), len(share_b)) > 1) & (has_magnitude | self.presence_alone)
        p_permutation = np.where(has_magnitude, magnitude.p, np.nan)
        p_presence = np.where(has_presence, presence.p, np.nan)
        p_magnitude = np.maximum(tests.p, p_permutation) if self.settings.test == "both" else tests.p
        first_a, first_b = halves(names_a, seed), halves(names_b, seed)
        is_unknown = np.isnan(value)
        self.num_unknown += int(is_unknown.sum())
        of_prompts = {
            f"{name}_{end}": counts[mask].sum(0).astype(np.int64)
            for end, mask in (("a", sets.is_a), ("b", ~sets.is_a))
            for name, counts in (("prompts", present), ("unknown", is_unknown))
        }
        means: Columns = {}
        for name, matrix in (also or {}).items():
            of_a, of_b, *_ = sets.by_unit(matrix)
            means |= {f"{name}_a": known_mean(of_a), f"{name}_b": known_mean(of_b)}
        self._magnitudes.append(magnitude)
        self._blocks.append(
            {
                **{name: getattr(tests, name) for name in _OF_TESTS},
                "clusters_a": tests.units_a,
                "clusters_b": tests.units_b,
                "half_1": _difference(a[first_a], b[first_b], sets.pairs is not None),
                "half_2": _difference(a[~first_a], b[~first_b], sets.pairs is not None),
                "p": two_part(p_magnitude, p_presence),
                "p_welch": tests.p,
                "p_permutation": p_permutation,
                "p_presence": p_presence,
                "presence_a": known_mean(share_a),
                "presence_b": known_mean(share_b),
                **of_prompts,
                **means,
            }
        )

    def save(self, folder: Path) -> None:
        """Write the statistics of all blocks into a folder."""
        columns = {
            f"{_COLUMN}{name}": np.concatenate([block[name] for block in self._blocks]) for name in self._blocks[0]
        }
        magnitude = PermutationTest.joined(self._magnitudes)
        tests = {name: np.array(getattr(magnitude, name)) for name in _OF_MAGNITUDE}
        save_arrays(folder, {**columns, **tests, "num_unknown": np.array(self.num_unknown)})

    def add_saved(self, folder: Path) -> None:
        """Add the statistics that were written into a folder, as those of the next quantities."""
        arrays = load_arrays(folder)
        self._blocks.append(
            {name.removeprefix(_COLUMN): values for name, values in arrays.items() if name.startswith(_COLUMN)}
        )
        p, observed, largest, is_exact = (arrays[name] for name in _OF_MAGNITUDE)
        self._magnitudes.append(PermutationTest(p, observed, largest, bool(is_exact)))
        self.num_unknown += int(arrays["num_unknown"])

    def columns(self) -> Columns:
        """Return the statistics of all quantities, in the order in which they came."""
        found = {name: np.concatenate([block[name] for block in self._blocks]) for name in self._blocks[0]}
        found["p_max"] = np.where(np.isnan(found["p_permutation"]), np.nan, p_of_largest(self._magnitudes))
        return found | {"q": q_values(found["p"]), "q_by": q_values(found["p"], "by")}

    def facts(self, columns: Columns, measure: str, num_rare: int, differing_tokens: Floats) -> dict[str, Any]:
        """Return numbers of prompts, clusters, tests and assignments, and the settings.

        `differing_tokens` says for each row in which share of its places tokens differ between the sets.
        """
        sets, settings = self.sets, self.settings
        num_tested = int((~np.isnan(columns["p"])).sum())
        is_found = columns["q"] <= settings.q
        num_found = int(is_found.sum())
        sides = (("a", sets.is_a), ("b", ~sets.is_a))
        return {
            "measure": measure,
            "test": settings.test,
            "paired": sets.pairs is not None,
            **{f"{of}_{name}": number for name, is_in in sides for of, number in sets.sizes(is_in)},
            "tested": num_tested,
            "not_tested": len(columns["p"]) - num_tested,
            "too_rare": num_rare,
            "found": num_found,
            "found_at_differing_tokens": int((is_found & (differing_tokens == 1)).sum()),
            "q": settings.q,
            "assignments": len(self._magnitudes[0].largest),
            "exact": self._magnitudes[0].is_exact,
            "replicated": replicated_share(columns["half_1"], columns["half_2"], max(_LEAST_CHOSEN, num_found)),
        }

    def warnings(self, facts: Mapping[str, Any], noun: str) -> list[str]:
        """Return warnings about the sets and about the tests; `noun` is what is tested, in the plural."""
        found, least = list(self.sets.warnings), 1 / facts["assignments"]
        too_large = least * 2 * facts["tested"] > facts["q"]
        if facts["test"] == "both" and too_large and not facts["found"]:
            remedy = "there are no more of them" if facts["exact"] else "draw more of them (permutations)"
            found.append(
                f"with {counted(facts['assignments'], 'assignment')} of labels to clusters no p-value is below "
                f"{2 * least:.2g}, too large for {counted(facts['tested'], 'test')} at q = {facts['q']:g} unless many "
                f"{noun} differ: finding nothing says nothing here; {remedy}"
            )
        if facts["test"] == "welch" and min(facts["clusters_a"], facts["clusters_b"]) < FEW_CLUSTERS:
            found.append(
                f"Welch's test alone, with few clusters, relies on normally distributed means of clusters: {noun} that "
                "are present in some clusters only have none, and p-values may be far too small"
            )
        return found


def by_p(columns: Columns, size: Floats, *keys: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the order of the rows: the smallest p first, then the largest size of either sign, then by the keys."""
    return np.lexsort((*reversed(keys), -np.abs(np.nan_to_num(size)), columns["p"]))


def _difference(a: Floats, b: Floats, is_paired: bool) -> Floats:
    """Return the difference of the means over some units; over those pairs of which both values are known if paired."""
    return known_mean(a - b) if is_paired else known_mean(a) - known_mean(b)
