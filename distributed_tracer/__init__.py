"""Attribution graphs for thousands of prompts: exact, distributed with Ray, stored in Zarr."""

from __future__ import annotations

from typing import Any

from . import moved

__version__ = "0.1.0"

_PUBLIC = {
    "Graph": "graph.graph",
    "Intervention": "intervene.intervention",
    "JobConfig": "config",
    "Prompt": "prompt",
    "ReplacementModel": "intervene.replacement_model",
    "TargetSpec": "prompt",
    "TraceConfig": "config",
    "attribute": "trace.attribute",
    "compact": "store.maintenance.compact",
    "load_model": "model.load",
    "load_transcoders": "transcoder.load",
    "open_store": "store.reader",
    "prune": "graph.prune",
    "run_job": "pipeline",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Public names are loaded on first use, so that `plan` and `--help` never pay for importing torch."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)


moved.install()
