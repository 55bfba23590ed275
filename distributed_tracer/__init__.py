"""Exact attribution graphs for thousands of prompts, computed on Ray and stored in Zarr."""

from __future__ import annotations

from typing import Any

from . import moved

__version__ = "0.1.0"

_PUBLIC = {
    "AblationResult": "evaluate.ablation",
    "CorpusConfig": "config",
    "EdgeEffectMetric": "evaluate.edge_effects",
    "EvaluationJob": "evaluate.job",
    "FaithfulnessMetric": "evaluate.faithfulness",
    "Feature": "intervene.supernode",
    "ForwardCache": "model.forward_cache",
    "Graph": "graph.graph",
    "Intervention": "intervene.intervention",
    "InterventionGraph": "intervene.intervention_graph",
    "JobConfig": "config",
    "Model": "model.model",
    "ModelConfig": "config",
    "Prompt": "prompt",
    "ReplacementModel": "intervene.replacement_model",
    "RunConfig": "config",
    "SERIES": "plot.style",
    "Store": "store.reader",
    "StoreConfig": "config",
    "Supernode": "intervene.supernode",
    "Table": "table",
    "TargetSpec": "prompt",
    "TraceConfig": "config",
    "TracerError": "errors",
    "TranscoderConfig": "config",
    "attribute": "trace.attribute",
    "cluster_supernodes": "intervene.cluster_supernodes",
    "compact": "store.maintenance.compact",
    "copy_store": "store.maintenance.copy",
    "dark_matter": "query.dark_matter",
    "draw_corpus": "plot.corpus",
    "draw_faithfulness": "plot.faithfulness",
    "draw_graph": "plot.graph",
    "draw_interventions": "plot.interventions",
    "edge_check": "report.edge_check",
    "edge_check_text": "report.edge_check",
    "edges_into": "query.feature_edges",
    "edges_out_of": "query.feature_edges",
    "export_graph": "export.formats",
    "export_many": "export.many",
    "export_npz": "export.npz",
    "faithfulness": "report.faithfulness",
    "faithfulness_text": "report.faithfulness",
    "feature_counts": "query.feature_counts",
    "interventions_text": "report.interventions",
    "load_model": "model.load",
    "load_transcoders": "transcoder.load",
    "load_viewer_supernodes": "intervene.viewer_supernodes",
    "matching_prompts": "query.matching_prompts",
    "merge_stores": "store.maintenance.merge",
    "new_figure": "plot.style",
    "open_store": "store.reader",
    "plan_job": "pipeline",
    "plan_text": "report.plan",
    "prune": "graph.prune",
    "recurring_edges": "query.recurring_edges",
    "run_evaluation": "evaluate.job",
    "run_job": "pipeline",
    "run_with_cache": "model.forward_cache",
    "save_figure": "plot.style",
    "split_store": "store.maintenance.split",
}
"""Public names and the modules that define them. Modules may move; these names change only with a line in the
changelog."""

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `plan` and `--help` never import torch."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)


moved.install()
