"""Environment variables that keep Ray from contacting anything outside the cluster."""

from __future__ import annotations

import os


def keep_ray_offline() -> None:
    """To be called before Ray is imported, when it reads these: nothing is reported, nothing installed."""
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        os.environ.setdefault(name, "0")
