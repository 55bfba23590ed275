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
