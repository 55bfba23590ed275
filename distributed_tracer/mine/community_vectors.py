"""Columns of graph vectors that say how much of a graph's influence each community of features has.

Sums over the nodes of a graph are added in their order in float64, as those of other columns are.
Axes: F feature that is in a community, I prompt of a part range, N node, Y community, the last of which is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.nodes import NodeKind
from ..text import printable
from .columns import Column
from .community_labels import SIGNIFICANT, community_features, community_texts
from .error_influence import target_weights
from .findings import Findings, FindingTable
from .prompts import ChosenPrompts
from .result import Result
from .scan import ScannedRange, scan_ranges
from .statistics import Floats

_STEM = "community_influence_"
NONE = f"{_STEM}none"
_WEIGHTS = "of features of {} / weights of targets"


@dataclass(frozen=True, eq=False)
class CommunityColumns:
    """The communities of a result that become columns."""

    code_F: npt.NDArray[np.int64]
    """Codes of the features, ascending: layer * 2^32 + index."""
    place_F: npt.NDArray[np.int64]
    """Column of each feature."""
    columns: dict[str, Column]
    """Names and meanings of the columns, that of features without a community last."""
    options: dict[str, Any]
    """What determines the columns, as JSON."""

    @classmethod
    def of(cls, result: Result, level: int | None = None, every: bool = False) -> CommunityColumns:
        """Return the columns of the communities that `community_features` chooses.

        Raises ConfigError for another kind of result, a level that it does not have, and where no community is chosen.
        """
        found = community_features(result, level, every)
        if not len(found):
            raise ConfigError(
                f"{result.path} has no communities{'' if every else f' that are {SIGNIFICANT}'} to make columns of"
            )
        numbers, place_F = np.unique(found["community"], return_inverse=True)
        texts = dict(zip(found["community"].tolist(), community_texts(result, found), strict=True))
        digits = len(str(int(numbers.max())))
        columns = {
            f"{_STEM}{number:0{digits}d}": Column(
                "f8", "edges", f"influence {_WEIGHTS.format(printable(texts[number]))}"
            )
            for number in numbers.tolist()
        }
        columns[NONE] = Column("f8", "edges", f"influence {_WEIGHTS.format('none of these communities')}")
        code_F = found["layer"].astype(np.int64) << 32 | found["feature"].astype(np.int64)
        order = np.argsort(code_F)
        options = {"communities": result.info["sha256"], "level": level, "every_community": every}
        return cls(code_F[order], place_F[order].astype(np.int64), columns, options)

    def values(self, prompts: ChosenPrompts, most_rows: int) -> dict[str, Floats]:
        """Return the columns in the order of ranks. Reads at most about `most_rows` nodes at once."""
        found = np.full((len(self.columns), len(prompts)), np.nan)
        for scanned in scan_ranges(prompts, max(1, most_rows), with_values=False, also=("influence",)):
            found[:, scanned.rank_I] = self._of_range(scanned).T
        return dict(zip(self.columns, found, strict=True))

    def _of_range(self, scanned: ScannedRange) -> Floats:
        """Return the values of a part range [I, Y]; NaN where the targets have no weight."""
        nodes, num_columns = scanned.nodes, len(self.columns)
        feature_N = np.flatnonzero(nodes["kind"] == NodeKind.FEATURE)
        code_N = nodes["layer"][feature_N].astype(np.int64) << 32 | nodes["feature"][feature_N].astype(np.int64)
        place_N = np.minimum(np.searchsorted(self.code_F, code_N), len(self.code_F) - 1)
        column_N = np.where(self.code_F[place_N] == code_N, self.place_F[place_N], num_columns - 1)
        weight_I = target_weights(scanned.part_range)[:, None]
        cell_N = scanned.part_range.prompt_N[feature_N] * num_columns + column_N
        influence_N = nodes["influence"][feature_N].astype(np.float64)
        sum_IY = np.bincount(cell_N, influence_N, len(weight_I) * num_columns).reshape(-1, num_columns)
        with np.errstate(invalid="ignore"):  # inf / inf, in graphs whose numbers are not finite
            values: Floats = np.divide(sum_IY, weight_I, out=np.full(sum_IY.shape, np.nan), where=weight_I > 0)
        return values


def with_communities(
    found: Findings, communities: CommunityColumns, prompts: ChosenPrompts, most_rows: int
) -> Findings:
    """Return findings whose table `vectors` has the columns of communities too, with what is not known of them."""
    values, vectors = communities.values(prompts, most_rows), found.tables["vectors"]
    table = FindingTable({**vectors.columns, **communities.columns}, {**vectors.rows, **values})
    unknown = {name: number for name, column in values.items() if (number := int(np.isnan(column).sum()))}
    facts = {**found.facts, "unknown": {**found.facts["unknown"], **unknown}, "columns_of_communities": len(values)}
    return replace(found, tables={**found.tables, "vectors": table}, facts=facts)
