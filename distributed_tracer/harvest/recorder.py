"""HarvestRecorder: counts outcomes, keeps failures and commits parts; ProfileSummary: how a job went."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import JobConfig
from ..errors import CommitRefused
from ..job.provenance import made_by, versions
from ..job.summary import KEPT_FAILURES, describe_unfinished
from ..plan.work import Outcome
from ..profile.parts import commit_part
from ..redact import redacted, without_secrets
from ..store.format.part_manifest import PartManifest
from ..text import counted


@dataclass(frozen=True)
class ProfileSummary:
    """How a job went. The profile is finished if `num_left` is 0 and no decoders failed."""

    folder: Path
    num_done: int
    """Number of units (texts or pieces of them, and layers) that this call examined."""
    num_skipped: int
    """Number of units that were done before."""
    failed: tuple[Outcome, ...]
    num_left: int
    num_features: int | None
    """Number of features that are active anywhere; None if the profile is not finished."""
    seconds: float
    num_layers: int = 0
    """Number of the units in `num_done` that are layers."""

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON."""
        failed = {outcome.prompt_id: redacted(f"{outcome.phase}: {outcome.reason}") for outcome in self.failed}
        counts = {"num_done": self.num_done, "num_skipped": self.num_skipped, "num_left": self.num_left}
        return {"profile": str(self.folder), "num_features": self.num_features, **counts, "failed": failed}

    @property
    def exit_code(self) -> int:
        """0 if all is examined, 3 if something failed, 130 if the job was stopped."""
        return 130 if self.num_left else 3 if self.failed else 0

    def describe(self) -> str:
        """Return the summary as a few lines of text."""
        num_failed = len(self.failed)
        layers = f", and the decoders of {counted(self.num_layers, 'layer')}" if self.num_layers else ""
        num_texts = self.num_done - self.num_layers
        lines = [
            f"{counted(num_texts, 'text')} examined, {self.num_skipped:,} skipped (done before), {num_failed:,} failed"
            f"{layers}, in {self.seconds:,.1f} seconds"
        ]
        lines += describe_unfinished(self.failed, num_failed, self.num_left)
        if self.num_features is not None:
            lines.append(f"wrote {self.folder}: {self.num_features:,} features")
        elif not self.num_left:
            lines.append("not finished, as decoders failed: run the same command again")
        return "\n".join(lines)


class HarvestRecorder:
    """Counts outcomes, keeps failures, and commits parts."""

    def __init__(self, folder: Path, on_outcome: Callable[[Outcome], None]) -> None:
        self._folder, self._on_outcome = folder, on_outcome
        self.num_done = self.num_layers = self.num_failed_units = 0
        self.failed: list[Outcome] = []
        self.failed_layers = False

    def __call__(self, outcome: Outcome) -> None:
        is_layer = outcome.prompt_id.startswith("(decoders of layer ")
        self.num_done += outcome.status == "done"
        self.num_layers += is_layer and outcome.status == "done"
        if outcome.status == "failed":
            is_unit = outcome.phase not in ("read", "tokenize")
            self.num_failed_units += is_unit
            self.failed_layers |= is_layer and is_unit
            self.failed.append(outcome)
        self._on_outcome(outcome)

    def about(self, config: JobConfig | None) -> dict[str, Any]:
        """Return what the profile says of the run: command and versions, and the first failures by the unit's id."""
        failed = {one.prompt_id: redacted(f"{one.phase}: {one.reason}") for one in self.failed[:KEPT_FAILURES]}
        by = {"versions": versions(), "command": without_secrets(shlex.join(sys.argv))}
        return {"made_by": by if config is None else made_by(config), "failed": failed, "num_failed": len(self.failed)}

    def summary(self, num_skipped: int, num_left: int, num_features: int | None, seconds: float) -> ProfileSummary:
        """Return the summary of the run."""
        counts = (self.num_done, num_skipped, tuple(self.failed), num_left, num_features)
        return ProfileSummary(self._folder, *counts, seconds, self.num_layers)

    def commit(self, *manifests: PartManifest) -> None:
        """Let parts count. Raises CommitRefused that names those that are gone."""
        refused = {}
        for manifest in manifests:
            try:
                commit_part(self._folder, manifest.part)
            except FileNotFoundError:
                refused[manifest.part] = f"part {manifest.part} of {self._folder} is gone: no other run may write there"
        if refused:
            error = CommitRefused(next(iter(refused.values())))
            error.parts = refused
            raise error
