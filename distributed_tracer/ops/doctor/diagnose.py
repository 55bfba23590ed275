"""Diagnosis: `diagnose` checks this machine or every node of a cluster, and reports what would prevent a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...config import CorpusConfig, RunConfig
from ...corpus.reader import read_prompts
from ...errors import ConfigError, CorpusError
from ...runtime.ray.environment import keep_ray_offline
from .cluster_checks import DRIVER, compare
from .inspect_node import probe, versions_here
from .node_checks import Finding, merge_findings
from .node_report import CheckRequest, ClusterReport, Driver
from .report_text import cluster_text
from .store_check import marker_object, try_store


@dataclass(frozen=True)
class DoctorReport:
    """Report on the machines, and the findings that follow from it."""

    cluster: ClusterReport
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """Exit code: 1 if a run should not start yet, else 0; warnings do not count."""
        return int(any(finding.severity == "problem" for finding in self.findings))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {**asdict(self.cluster), "findings": [asdict(finding) for finding in self.findings]}

    def describe(self) -> str:
        return cluster_text(self.cluster, self.findings)


def diagnose(
    question: CheckRequest,
    prompts: str | None = None,
    ray_address: str | None = None,
    timeout_seconds: float = 60.0,
    text_field: str = "text",
) -> DoctorReport:
    """Check every node of the cluster at `ray_address` or RAY_ADDRESS. Without an address, check this machine without
    Ray.

    Raises ConfigError if no Ray cluster at the address accepts the connection within the timeout.
    """
    if timeout_seconds <= 0:
        raise ConfigError(f"timeout_seconds must be positive, not {timeout_seconds}")
    address = ray_address or os.environ.get("RAY_ADDRESS")
    cluster = _cluster(question, address, timeout_seconds) if address else ClusterReport((probe(question),))
    return DoctorReport(cluster, tuple(merge_findings([*compare(cluster), *_prompts(prompts, text_field)])))


def _cluster(question: CheckRequest, address: str, timeout_seconds: float) -> ClusterReport:
    keep_ray_offline()
    from ...runtime.ray.cluster import connected
    from .ask_nodes import ask_nodes

    with (
        connected(RunConfig(ray_address=address, connect_seconds=timeout_seconds)),
        marker_object(question.store) as key,
    ):
        answers, silences = ask_nodes(replace(question, marker=key), timeout_seconds)
        store = try_store(question.store) if question.store else None
    return ClusterReport(tuple(answers), tuple(silences), Driver(versions_here(), store))


def _prompts(prompts: str | None, text_field: str) -> Iterator[Finding]:
    """Read all prompts in this process, as the driver of a run does before anything else, and yield a finding."""
    if prompts is None:
        return
    try:
        count = sum(1 for _ in read_prompts(CorpusConfig(prompts, text_field=text_field)))
    except CorpusError as error:
        yield Finding("problem", (DRIVER,), str(error), "fix it; --on-bad-prompt record continues without such lines")
    else:
        remedy = "" if count else "give a file that holds some"
        yield Finding("info" if count else "problem", (), f"{count:,} prompts can be read", remedy)
