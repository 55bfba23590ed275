"""Jobs that profile the small reference models, and what their files hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs_of_cases import CASES, LOCAL, write_prompts

from distributed_tracer.config import RunConfig
from distributed_tracer.harvest.settings import ProfileJob
from distributed_tracer.profile.layout import DOCUMENT

SMALL: dict[str, Any] = {"contexts": 2, "quantiles": 2, "around": 2, "top_tokens": 3, "neighbours": 2}


def profile_job(
    directory: Path,
    rows: Sequence[dict[str, Any]],
    run: RunConfig = LOCAL,
    out: str = "profile",
    case: str = "llama_relu_plt",
    **options: Any,
) -> ProfileJob:
    """Return a job over `rows` into `directory/out`."""
    prompts = str(write_prompts(directory / "texts.jsonl", rows))
    files = {name: str(CASES / case / name) for name in ("model", "transcoders")}
    return ProfileJob(str(directory / out), prompts=prompts, run=run, **files, **(SMALL | options))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of a profile but its document, by name."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(files.items()) if name != DOCUMENT}
