"""Report for people: a table with a row per node, then the findings and what to do about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...artifacts.fingerprint import Files
from ...table import Table
from ...text import format_bytes, printable
from .cluster_checks import named
from .node_checks import Finding
from .node_report import ClusterReport, Gpu, NodeReport, StoreCheck, UnreachableNode


def cluster_text(cluster: ClusterReport, findings: Sequence[Finding]) -> str:
    """Return a table, a paragraph per finding, and a last line that counts the findings."""
    rows = [*map(_row, cluster.answers), *map(_silent_row, cluster.silences)]
    columns = {name: None for row in rows for name in row}
    table = Table({name: [row.get(name) for row in rows] for name in columns})
    counts = Counter(finding.severity for finding in findings)
    verdict = "do not start yet" if counts["problem"] else "ready"
    numbers = f"problems {counts['problem']}, warnings {counts['warning']}, nodes {len(cluster.answers)} of {len(rows)}"
    return "\n".join([table.format(len(table)), "", *map(_paragraph, findings), f"{verdict}: {numbers}"])


def _row(answer: NodeReport) -> dict[str, object]:
    ahead = answer.clock_ahead_seconds
    return {
        "node": answer.node,
        "address": answer.address,
        "GPUs": _gpus(answer.gpus),
        "GPU free": format_bytes(sum(gpu.free_bytes or 0 for gpu in answer.gpus)) if answer.gpus else None,
        "cores": answer.num_cores,
        "free": format_bytes(answer.free_bytes),
        "/dev/shm": None if answer.shm_bytes is None else format_bytes(answer.shm_bytes),
        "temp free": format_bytes(answer.temp_free_bytes),
        "clock": None if ahead is None else f"{ahead:+.3f} s",
        "code": answer.versions["code"][:8],
        "store": _store(answer.store),
        "model": _files(answer.model),
        "transcoders": _files(answer.transcoders),
    }


def _silent_row(silence: UnreachableNode) -> dict[str, object]:
    return {"node": silence.node, "address": silence.address, "GPUs": "silent"}


def _gpus(gpus: Sequence[Gpu]) -> str | None:
    kinds = Counter(gpu.name for gpu in gpus)
    return ", ".join(f"{count} {name}" for name, count in kinds.items()) or None


def _store(trial: StoreCheck | None) -> str | None:
    if trial is None:
        return None
    return "error" if trial.error else "ok" if trial.create_only and trial.shared is not False else "unfit"


def _files(files: Files | None) -> str | None:
    if files is None:
        return None
    return "missing" if files.folder is None else "damaged" if files.damaged else files.fingerprint


def _paragraph(finding: Finding) -> str:
    where = f" on {named(finding.nodes)}" if finding.nodes else ""
    text = f"{finding.severity}{where}: {finding.what}"
    return printable(text) + (f"\n    {printable(finding.remedy)}" if finding.remedy else "")
