"""Provenance of a store: versions, configuration and command line, without credentials."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__
from ..artifacts.files_in_use import FilesInUse
from ..config import JobConfig, as_dict
from ..plan.plan import Plan
from ..redact import without_secrets

_PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "ray", "zarr", "numpy")


def run_info(config: JobConfig, num_features: Sequence[int] = (), files: FilesInUse | None = None) -> dict[str, Any]:
    """Return the record that a store gets once; `identity` and `content` decide whether a later run may continue it.

    `num_features` are the numbers of features of each layer's transcoder. `files` describes the files that the run
    has already looked at.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    content = (files or FilesInUse(config.model.model, config.transcoders.transcoders)).identity
    sizes = {"num_features": list(num_features)} if num_features else {}
    return {"identity": config.identity(), **content, **sizes, "created": created, **made_by(config)}


def made_by(config: JobConfig) -> dict[str, Any]:
    """Return the record that every run writes about itself: command, configuration, versions and platform."""
    return {
        "command": without_secrets(shlex.join(sys.argv)),
        "config": _clean(as_dict(config)),
        "versions": versions(),
        "platform": platform.platform(),
    }


def as_planned(plan: Plan) -> dict[str, Any]:
    """Return what a run's record says of its plan: what the configuration leaves to the device.

    They are the type of device, where the round size comes from, and the rows of a sweep for prompts of `tokens` (the
    least and the largest number) tokens. A prompt for which memory does not suffice is tried again with half as many.
    """
    ranges: list[dict[str, Any]] = []
    for length, cost in sorted(plan.costs.items()):
        if not ranges or ranges[-1]["rows"] != cost.sweep_rows:
            ranges.append({"rows": cost.sweep_rows, "tokens": [length, length]})
        ranges[-1]["tokens"][1] = length
    return {"device": plan.machine.device, "round_size_origin": plan.round_size_origin, "sweep_rows": ranges}


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    return without_secrets(value) if isinstance(value, str) else value


def versions() -> dict[str, str]:
    """Return the versions of this package, of Python, and of the packages that results may depend on."""
    found = {"distributed_tracer": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a laptop that only reads stores does not need all of them
            found[package] = "absent"
    return found
