"""Provenance of a part: what run.json says about where graphs come from, so that a part alone says it too."""

from __future__ import annotations

import json
from typing import Any

_COPIED = ("identity", "content", "revisions", "versions", "created")


def provenance_of(run: bytes | None) -> dict[str, Any]:
    """Attributes of a part, from run.json: model, transcoders, options, dtypes, content hashes, versions.

    Nothing where there is no run.json yet or it is not understood: whether it is one is for others to check.
    """
    try:
        info = json.loads(run or b"{}")
    except (ValueError, RecursionError):
        return {}
    return {name: info[name] for name in _COPIED if name in info} if isinstance(info, dict) else {}
