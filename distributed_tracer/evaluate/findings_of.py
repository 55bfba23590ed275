"""Findings of results of mining as hypotheses: what each predicts if its features are turned off.

| result | turned off | predicted |
|---|---|---|
| contrast of features | the feature | in the set where it is stronger, the targets fall |
| contrast of edges | the source | in the set where the share is larger, the target falls if the share is positive |
| consensus | the source of an edge of the graph | the target falls, or rises if the signed share is negative |
| chains | the first feature | the last feature and the target fall or rise, by the signs of the edges between |
| roles, pathways | the members | the targets fall |

Sources that are tokens or errors, and targets that are errors, cannot be tested: such findings are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..mine.result import Result
from ..names import unknown
from ..text import counted
from .hypotheses import FeatureSite, Hypothesis, Prediction, Quantity

Row = Mapping[str, Any]
GROUP_A, GROUP_B = "a", "b"
_TARGETS = Quantity("targets")


@dataclass(frozen=True)
class TestableFindings:
    """The hypotheses of a result, the strongest findings first."""

    table: str
    """Table of the result whose rows the findings are."""
    hypotheses: tuple[Hypothesis, ...]
    num_left_out: int
    """Findings that no intervention can test, such as edges from tokens."""
    num_beyond: int
    """Findings that could be tested, beyond the number that was asked for."""


def findings_of(result: Result, most: int) -> TestableFindings:
    """Return the hypotheses of the `most` strongest findings of a result that an intervention can test.

    Raises ConfigError for a kind of result that makes no findings of this kind, and for one without any.
    """
    what = str(result.info["what"])
    if what not in _KINDS:
        raise ConfigError(unknown("kind of result that can be certified", what, list(_KINDS)))
    if most < 1:
        raise ConfigError(f"the number of findings must be at least 1, not {most}")
    table, found = _KINDS[what](result)
    testable = [one for one in found if one is not None]
    if not testable:
        why = f": none of its {counted(len(found), 'finding')} is about features" if found else ""
        raise ConfigError(f"the {what} at {result.path} has no findings to certify{why}")
    kept = tuple(testable[:most])
    return TestableFindings(table, kept, len(found) - len(testable), len(testable) - len(kept))


def _contrast(result: Result) -> tuple[str, list[Hypothesis | None]]:
    table = "edges" if "edges" in result.tables else "features"
    q = result.info["settings"]["q"]
    rows = result.table(table).rows()
    found = [(number, row) for number, row in enumerate(rows) if row["q"] <= q]  # NaN is not found
    return table, [(_edge_of_set if table == "edges" else _feature_of_set)(number, row) for number, row in found]


def _feature_of_set(number: int, row: Row) -> Hypothesis:
    site = _site(row)
    return Hypothesis(number, _name(site), (site,), (Prediction(_TARGETS),), _stronger(row))


def _edge_of_set(number: int, row: Row) -> Hypothesis | None:
    group = _stronger(row)
    return _edge(number, row, row[f"mean_{group}"], group)


def _stronger(row: Row) -> str:
    return GROUP_A if abs(row["mean_a"]) >= abs(row["mean_b"]) else GROUP_B


def _consensus(result: Result) -> tuple[str, list[Hypothesis | None]]:
    rows = [(number, row) for number, row in enumerate(result.table("edges").rows()) if row["status"] == "in"]
    ordered = sorted(rows, key=lambda numbered: -numbered[1]["share"])
    return "edges", [_edge(number, row, row["signed_share"]) for number, row in ordered]


def _edge(number: int, row: Row, share: float, group: str = "") -> Hypothesis | None:
    """Return what an edge predicts; None if an end of it is no feature, or its sign is not known."""
    target = _quantity(row)
    if row["source_kind"] != "feature" or target is None or not abs(share) > 0:
        return None
    source = _site(row, "source_")
    name = f"{_name(source)} → {target.describe()}"
    return Hypothesis(number, name, (source,), (Prediction(target, _sign(share)),), group)


def _quantity(row: Row) -> Quantity | None:
    """Return what the target of an edge is; None if it is an error."""
    if row["target_kind"] == "feature":
        return Quantity("feature", int(row["target_layer"]), int(row["target_feature"]))
    if row["target_kind"] == "target" and row["target_feature"] >= 0:
        return Quantity("token", number=int(row["target_feature"]))
    return None


def _chains(result: Result) -> tuple[str, list[Hypothesis | None]]:
    edges: dict[int, list[Row]] = {}
    for row in result.table("edges").rows():
        edges.setdefault(row["chain"], []).append(row)
    rows = result.table("chains", ["chain", "path"]).rows()
    return "chains", [
        _chain(number, row["path"], sorted(edges[row["chain"]], key=lambda edge: edge["step"]))
        for number, row in enumerate(rows)
    ]


def _chain(number: int, path: str, edges: list[Row]) -> Hypothesis | None:
    """Return what a chain predicts of its last feature and of its target, if its first feature is turned off."""
    first = next((place for place, edge in enumerate(edges) if edge["source_kind"] == "feature"), None)
    if first is None:
        return None
    predictions, sign = [], 1
    for edge in edges[first:]:
        sign *= _sign(edge["mean_share"])
        quantity = _quantity(edge)
        if quantity is not None:
            predictions.append(Prediction(quantity, sign))
    kept = predictions[-2:] if edges[-1]["target_kind"] == "target" else predictions[-1:]
    return Hypothesis(number, path, (_site(edges[first], "source_"),), tuple(kept)) if kept else None


def _communities(result: Result) -> tuple[str, list[Hypothesis | None]]:
    members: dict[int, list[FeatureSite]] = {}
    for row in result.table("members", ["community", "layer", "feature"]).rows():
        members.setdefault(int(row["community"]), []).append(_site(row))
    if "communities" not in result.tables:
        return "members", [_community(number, number, f"community {number}", members) for number in sorted(members)]
    rows = list(enumerate(result.table("communities").rows()))
    if "verdict" in result.table("communities").columns:
        rows = [(number, row) for number, row in rows if row["verdict"] == "significant"]
    return "communities", [
        _community(number, row["community"], row.get("name") or f"community {row['community']}", members)
        for number, row in rows
    ]


def _community(number: int, community: int, name: str, members: Mapping[int, list[FeatureSite]]) -> Hypothesis | None:
    own = tuple(sorted(members.get(community, ())))
    return Hypothesis(number, name, own, (Prediction(_TARGETS),)) if own else None


def _site(row: Row, side: str = "") -> FeatureSite:
    return int(row[f"{side}layer"]), int(row[f"{side}feature"])


def _name(site: FeatureSite) -> str:
    return f"{site[0]}:{site[1]}"


def _sign(share: float) -> int:
    return 1 if share > 0 else -1


_KINDS: Mapping[str, Callable[[Result], tuple[str, list[Hypothesis | None]]]] = {
    "contrast": _contrast,
    "consensus": _consensus,
    "chains": _chains,
    "roles": _communities,
    "pathways": _communities,
}
"""How findings are read from each kind of result, by the command that made it."""
