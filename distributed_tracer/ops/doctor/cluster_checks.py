"""Cluster checks: findings about each node by itself, and about differences between nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ...artifacts.fingerprint import Files
from ...text import and_more
from .node_checks import Finding, Severity, findings_alone, merge_findings, store_findings
from .node_report import ClusterReport, NodeReport

DRIVER = "driver"
_NAMED = 3


def compare(report: ClusterReport) -> list[Finding]:
    """Return all findings of a cluster report, the worst first."""
    return merge_findings(_all(report))


def _all(report: ClusterReport) -> Iterator[Finding]:
    for silence in report.silences:
        remedy = "see that the machine is up and has this version of the package; --timeout-seconds gives it more time"
        yield Finding("problem", (silence.node,), silence.reason, remedy)
    if report.driver is not None and report.driver.store is not None:
        for severity, what, remedy in store_findings(report.driver.store):
            yield Finding(severity, (DRIVER,), what, remedy)
    for answer in report.answers:
        yield from findings_alone(answer)
    yield from _versions(report)
    yield from _files("model", report.answers)
    yield from _files("transcoders", report.answers)
    yield from _gpus(report.answers)
    yield from _environment(report.answers)


def _versions(report: ClusterReport) -> Iterator[Finding]:
    found = {answer.node: answer.versions for answer in report.answers}
    if report.driver is not None:
        found[DRIVER] = report.driver.versions
    for package in {name: None for versions in found.values() for name in versions}:
        of_node = {node: versions.get(package, "absent") for node, versions in found.items()}
        what = "the code of distributed_tracer" if package == "code" else package
        # Ray refuses nodes whose versions of Python differ in more than the patch number.
        severity: Severity = "warning" if package == "python" else "problem"
        yield from _difference(severity, what, of_node, "install the same on all nodes: see constraints.txt")


def _files(what: Literal["model", "transcoders"], answers: Sequence[NodeReport]) -> Iterator[Finding]:
    files: dict[str, Files] = {}
    for answer in answers:
        found: Files | None = getattr(answer, what)
        if found is not None and found.digests is not None:
            files[answer.node] = found
    names = sorted({name for found in files.values() for name in found.digests or {}})
    other = [name for name in names if len({(found.digests or {}).get(name) for found in files.values()}) > 1]
    of_node = {node: found.fingerprint for node, found in files.items()}
    remedy = f"copy the {what} to one folder that all nodes see, or pin a @revision; --json has a hash of every file"
    yield from _difference("problem", f"{what} ({named(other)})", of_node, remedy)
    sampled = max((found.num_sampled for found in files.values()), default=0)
    if sampled:
        text = f"{what}: {sampled} large files are compared by size, header and samples of every tensor"
        yield Finding("info", (), text, "--full-hash reads all their bytes")


def _gpus(answers: Sequence[NodeReport]) -> Iterator[Finding]:
    of_node = {
        answer.node: ", ".join(sorted({f"{gpu.name} (driver {gpu.driver})" for gpu in answer.gpus}))
        for answer in answers
        if answer.gpus
    }
    yield from _difference("warning", "the kind of GPU", of_node, "the last bits of a graph may depend on the node")


def _environment(answers: Sequence[NodeReport]) -> Iterator[Finding]:
    offline = {answer.node: "set" if answer.offline else "not set" for answer in answers}
    yield from _difference("warning", "HF_HUB_OFFLINE", offline, "set it on all nodes or on none")
    if len(set(offline.values())) == 1:
        yield Finding("info", (), f"HF_HUB_OFFLINE is {next(iter(offline.values()))}")
    open_ = [a for a in answers if a.token_auth is False and not _is_loopback(a.address)]
    if open_:
        yield Finding(
            "warning",
            tuple(answer.node for answer in open_),
            "Ray listens on the network and asks for no token: anyone who reaches its ports can run code there",
            "start Ray with RAY_AUTH_MODE=token: see cluster/README.md",
        )
    elif any(answer.token_auth for answer in answers):
        yield Finding("info", (), "Ray asks for a token (RAY_AUTH_MODE=token)")


def _difference(severity: Severity, what: str, of_node: Mapping[str, str], remedy: str) -> Iterator[Finding]:
    """Yield a finding about the nodes in the minority, if the nodes have different values."""
    groups: dict[str, list[str]] = {}
    for node, value in of_node.items():
        groups.setdefault(value, []).append(node)
    if len(groups) < 2:
        return
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    text = "; ".join(f"{value} on {named(nodes)}" for value, nodes in ordered)
    others = tuple(node for _, nodes in ordered[1:] for node in nodes)
    yield Finding(severity, others, f"{what} differs: {text}", remedy)


def named(nodes: Sequence[str]) -> str:
    """Return the first names and the number of further ones."""
    return ", ".join(nodes[:_NAMED]) + and_more(len(nodes) - _NAMED)


def _is_loopback(address: str | None) -> bool:
    return address is None or address.startswith("127.") or address in ("::1", "localhost")
