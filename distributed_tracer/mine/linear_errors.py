"""Linear errors: how much of what transcoders miss is a linear function of what they read, judged on clusters left out.

Axes: I prompt by rank, X token of all prompts, by rank and position, L layer, Y error node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..table_folder import new_file
from .clusters import UNIT, Clusters, Ints, interval_of_means, student_half
from .columns import COUNT, NO_UNIT, Column
from .error_influence import error_nodes
from .findings import FindingTable
from .prompts import ChosenPrompts
from .statistics import Floats

_JUDGED = "on clusters left out of the fit"
_ENDS = {"low": "lower", "high": "upper"}


def _with_ends(name: str, column: Column) -> dict[str, Column]:
    ends = {
        f"{name}_{end}": Column("f8", column.unit, f"{which} end of the 95% interval of `{name}` over clusters")
        for end, which in _ENDS.items()
    }
    return {name: column, **ends}


LINEAR: dict[str, Column] = {
    "layer": Column("i2", NO_UNIT, "layer of the errors"),
    "tokens": Column("i8", COUNT, "positions of errors, of those whose text so far no other fold has"),
    "prompts": Column("i8", COUNT, "prompts of these positions"),
    "clusters": Column("i8", COUNT, "clusters of these prompts"),
    **_with_ends("constant", Column("f8", NO_UNIT, f"share of |error|² that one constant vector explains, {_JUDGED}")),
    **_with_ends("linear", Column("f8", NO_UNIT, f"share of |error|² that constant and linear map explain, {_JUDGED}")),
    **_with_ends("r2", Column("f8", NO_UNIT, f"share of |error - constant|² that the linear map explains, {_JUDGED}")),
    "penalty": Column("f8", NO_UNIT, "ridge penalty per row for inputs of standard deviation 1, median over folds"),
    "share": Column("f8", NO_UNIT, "share of all influence that ends in these errors, of those in the graphs"),
    **_with_ends(
        "share_nonlinear",
        Column("f8", NO_UNIT, "estimate: of `share`, each node's times |error - constant - linear map| / |error|"),
    ),
}


@dataclass(frozen=True, eq=False)
class LayerErrors:
    """What was found of the errors of one layer. Squares are sums over those positions of a prompt that count."""

    tokens_I: Ints
    """Number of positions that count: those at which no prompt of another fold has the same text so far. 0 for a prompt
    that has none, or whose values are not finite."""
    square_I: Floats
    """Σ |error|²."""
    varying_I: Floats
    """Σ |error - constant|²."""
    rest_I: Floats
    """Σ |error - constant - linear map|²."""
    rest_X: npt.NDArray[np.float32]
    """|error - constant - linear map| / |error| at every position; NaN where there is no error."""
    penalties: Floats

    def write(self, path: Path) -> None:
        """Write the arrays to a file, which appears whole or not at all."""
        with new_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{own.name: getattr(self, own.name) for own in fields(self)})

    @classmethod
    def read(cls, path: Path) -> LayerErrors:
        """Read what `write` has written."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{own.name: arrays[own.name] for own in fields(cls)})


def linear_errors(
    prompts: ChosenPrompts, clusters: Clusters, first_I: Ints, layers: Sequence[LayerErrors]
) -> tuple[FindingTable, dict[str, Any], list[str]]:
    """Return the table of all layers, facts and warnings. `first_I` is the first token of each prompt."""
    influence_IL, rest_IL, is_known_I = _influence(prompts, first_I, layers)
    rows = []
    for layer, found in enumerate(layers):
        of_prompts = _fit_columns(found, clusters)
        is_known = is_known_I & (found.tokens_I > 0)
        share, nonlinear = (
            interval_of_means(clusters.means(values[:, layer], is_known)) for values in (influence_IL, rest_IL)
        )
        rows.append({"layer": layer, **of_prompts, "share": share[0], **_three("share_nonlinear", nonlinear)})
    share, rest = (sum(row[name] for row in rows) for name in ("share", "share_nonlinear"))
    num_left_out = int(np.count_nonzero(np.any([found.tokens_I == 0 for found in layers], axis=0)))
    num_tokens, num_judged = len(layers[0].rest_X), int(layers[0].tokens_I.sum())
    facts = {
        "nonlinear_of_influence": rest / share if share > 0 else float("nan"),
        "tokens": num_tokens,
        "tokens_judged": num_judged,
        "prompts_not_judged": num_left_out,
    }
    doubts = [
        "share_nonlinear is an estimate: it takes the influence of an error to follow its length, and no path to change"
    ]
    if num_left_out:
        doubts.append(
            f"{num_left_out:,} prompts do not count in the fit: prompts of other folds have the same text, or values "
            "are not finite"
        )
    return FindingTable(LINEAR, {name: [row[name] for row in rows] for name in LINEAR}), facts, doubts


def _fit_columns(found: LayerErrors, clusters: Clusters) -> dict[str, Any]:
    """Return the columns of the fit: per prompt the mean over its positions, per cluster that over its prompts."""
    has_I = found.tokens_I > 0
    tokens_I = np.maximum(found.tokens_I, 1)
    square, varying, rest = (
        clusters.means(values / tokens_I, has_I) for values in (found.square_I, found.varying_I, found.rest_I)
    )
    return {
        "tokens": int(found.tokens_I.sum()),
        "prompts": int(np.count_nonzero(has_I)),
        "clusters": len(square),
        **_three("constant", _explained(varying, square)),
        **_three("linear", _explained(rest, square)),
        **_three("r2", _explained(rest, varying)),
        "penalty": float(np.median(found.penalties)),
    }


def _explained(rest: Floats, whole_means: Floats) -> tuple[float, float, float]:
    """Return 1 - Σ rest / Σ whole over clusters, and the ends of its interval.

    The interval is that of a ratio of means (Cochran 1977, "Sampling Techniques", chapter 6), with Student's t.
    """
    whole = float(whole_means.mean()) if len(whole_means) else 0.0
    if not whole > 0:
        return float("nan"), float("nan"), float("nan")
    ratio = float(rest.mean()) / whole
    deviations = (rest - ratio * whole_means) / whole
    half = float(student_half(np.array([np.square(deviations).sum()]), len(whole_means))[0])
    return 1 - ratio, 1 - ratio - half, 1 - ratio + half


def _influence(
    prompts: ChosenPrompts, first_I: Ints, layers: Sequence[LayerErrors]
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return for each prompt and layer the influence that ends in errors, and that in their nonlinear part."""
    rest_LX = [np.nan_to_num(found.rest_X, nan=1.0) for found in layers]
    influence_IL, rest_IL = np.zeros((2, len(prompts), len(layers)))
    is_known_I = np.zeros(len(prompts), bool)
    for nodes in error_nodes(prompts):
        is_known_I[nodes.rank_I] = nodes.is_known_I
        place_Y = first_I[nodes.rank_Y] + nodes.position_Y
        for layer, rest_X in enumerate(rest_LX):
            own = np.flatnonzero(nodes.layer_Y == layer)
            rank_Y, share_Y = nodes.rank_Y[own], nodes.share_Y[own] * UNIT
            np.add.at(influence_IL[:, layer], rank_Y, share_Y)
            np.add.at(rest_IL[:, layer], rank_Y, share_Y * rest_X[place_Y[own]])
    return influence_IL, rest_IL, is_known_I


def _three(name: str, ends: tuple[float, float, float]) -> Mapping[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
