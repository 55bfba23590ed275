"""Exact attribution graphs for thousands of prompts, computed on Ray and stored in Zarr."""

from __future__ import annotations

from typing import Any

from . import moved, notebook

__version__ = "0.1.0"

_PUBLIC = {
    "AblationResult": "evaluate.ablation",
    "ChainsResult": "mine.mine_chains",
    "CommunitySettings": "mine.community_settings",
    "ConsensusGraph": "mine.consensus",
    "ContrastResult": "mine.contrast",
    "CorpusConfig": "config",
    "DiscoverSettings": "discovery.settings",
    "EdgeContrastResult": "mine.contrast_edges",
    "EdgeEffectMetric": "evaluate.edge_effects",
    "EdgeParts": "mine.direct_edges",
    "EvaluationJob": "evaluate.job",
    "FaithfulnessMetric": "evaluate.faithfulness",
    "Feature": "intervene.supernode",
    "FeatureProfile": "profile.feature_profile",
    "FeatureVectors": "mine.feature_vectors",
    "ForwardCache": "model.forward_cache",
    "Graph": "graph.graph",
    "Group": "graph.context",
    "Intervention": "intervene.intervention",
    "InterventionGraph": "intervene.intervention_graph",
    "JobConfig": "config",
    "Label": "graph.labels",
    "LabelFile": "labels.label_file",
    "Labels": "graph.labels",
    "Model": "model.model",
    "ModelConfig": "config",
    "NodeKey": "graph.context",
    "Profile": "profile.reader",
    "ProfileJob": "harvest.settings",
    "Prompt": "prompt",
    "PromptVectors": "query.prompt_vectors",
    "PruningStability": "mine.stability",
    "ReplacementModel": "intervene.replacement_model",
    "RunConfig": "config",
    "SERIES": "plot.style",
    "SimilarPrompts": "mine.similar",
    "Store": "store.reader",
    "StoreConfig": "config",
    "Supernode": "intervene.supernode",
    "Table": "table",
    "TableStream": "table_stream",
    "TargetSpec": "prompt",
    "TraceConfig": "config",
    "TracerError": "errors",
    "TranscoderConfig": "config",
    "Universality": "mine.universality",
    "VirtualWeights": "mine.virtual_weights",
    "add_labels": "labels.in_store",
    "atlas_edges": "mine.atlas_edges",
    "atlas_edges_into": "mine.atlas_edges",
    "atlas_edges_out_of": "mine.atlas_edges",
    "attribute": "trace.attribute",
    "average_edges": "query.average_edges",
    "brief_summary": "report.brief",
    "brief_text": "report.brief",
    "cluster_supernodes": "intervene.cluster_supernodes",
    "community_features": "mine.community_labels",
    "community_groups": "mine.community_labels",
    "compact": "store.maintenance.compact",
    "compare_graphs": "query.compare",
    "compare_groups": "query.compare_groups",
    "consensus_graph": "mine.consensus",
    "contrast_edges": "mine.contrast_edges",
    "contrast_features": "mine.contrast",
    "cooccurring": "query.cooccurrence",
    "copy_store": "store.maintenance.copy",
    "dark_matter": "query.dark_matter",
    "direct_edges": "mine.direct_edges",
    "discover": "discovery.discover",
    "draw_comparison": "plot.compare",
    "draw_corpus": "plot.corpus",
    "draw_faithfulness": "plot.faithfulness",
    "draw_graph": "plot.graph",
    "draw_interventions": "plot.interventions",
    "edge_check": "report.edge_check",
    "edge_check_text": "report.edge_check",
    "edges_into": "query.feature_edges",
    "edges_out_of": "query.feature_edges",
    "export_feature_files": "export.features",
    "export_graph": "export.formats",
    "export_many": "export.many",
    "export_npz": "export.npz",
    "faithfulness": "report.faithfulness",
    "faithfulness_text": "report.faithfulness",
    "feature_counts": "query.feature_counts",
    "feature_summary": "query.feature_summary",
    "feature_text": "report.feature",
    "feature_vectors": "mine.feature_vectors",
    "import_graphs": "importers.import_graphs",
    "interventions_text": "report.interventions",
    "load_model": "model.load",
    "load_transcoders": "transcoder.load",
    "load_viewer_supernodes": "intervene.viewer_supernodes",
    "matching_prompts": "query.matching_prompts",
    "merge_stores": "store.maintenance.merge",
    "merged_edges": "query.merged_edges",
    "mine_atlas": "mine.atlas",
    "mine_contrast": "mine.mine_contrast",
    "mine_motifs": "mine.motifs",
    "mine_dark_matter": "linear_errors.job",
    "mine_pathways": "mine.communities",
    "mine_roles": "mine.communities",
    "mine_vectors": "mine.vectors",
    "new_figure": "plot.style",
    "open_profile": "profile.reader",
    "open_result": "mine.result",
    "open_store": "store.reader",
    "plan_job": "pipeline",
    "plan_text": "report.plan",
    "position_folds": "graph.position_folds",
    "prompt_vectors": "query.prompt_vectors",
    "prune": "graph.prune",
    "pruning_stability": "mine.stability",
    "read_label_file": "labels.label_file",
    "recurring_edges": "query.recurring_edges",
    "rule_labels": "labels.rules",
    "run_evaluation": "evaluate.job",
    "run_job": "pipeline",
    "run_profile": "harvest.job",
    "run_with_cache": "model.forward_cache",
    "save_figure": "plot.style",
    "similar_prompts": "mine.similar",
    "split_store": "store.maintenance.split",
    "strongest_chains": "mine.mine_chains",
    "strongest_paths": "query.strongest_paths",
    "subgraph_scores": "graph.subgraph_scores",
    "suggest_groups": "intervene.suggest_groups",
    "target_difference": "query.target_difference",
    "task_runner": "runtime.task_runner",
    "universality": "mine.universality",
    "virtual_weights": "mine.virtual_weights",
    "write_report": "result_page.page",
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


def _graph_drawing(graph: Any) -> str:
    from .plot.notebook import graph_drawing

    return graph_drawing(graph)


moved.install()
notebook.register("Graph", _graph_drawing)
