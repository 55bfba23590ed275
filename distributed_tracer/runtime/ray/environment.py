"""Environment: sets the variables that keep Ray from contacting anything outside the cluster."""

from __future__ import annotations

import os


def keep_ray_offline() -> None:
    """Switch off Ray's usage reports and its installation of packages by uv.

    Call this before Ray is imported, because Ray reads the variables then.
    """
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        os.environ.setdefault(name, "0")
