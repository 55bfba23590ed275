"""Finding: one thing worth saying, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["problem", "warning", "info"]
_ORDER: tuple[Severity, ...] = ("problem", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """`problem`: a run would fail or its results could not be trusted. `nodes` is empty where it concerns all."""

    severity: Severity
    nodes: tuple[str, ...]
    what: str
    remedy: str = ""


def gathered(findings: Iterable[Finding]) -> list[Finding]:
    """The same said of many nodes as one finding; the worst first, otherwise in the order given."""
    nodes: dict[Finding, tuple[str, ...]] = {}
    for finding in findings:
        said = replace(finding, nodes=())
        nodes[said] = nodes.get(said, ()) + finding.nodes
    together = [replace(said, nodes=names) for said, names in nodes.items()]
    return sorted(together, key=lambda finding: _ORDER.index(finding.severity))
