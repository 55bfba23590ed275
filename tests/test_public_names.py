"""What others rely on, spelled out: changing a line here is a decision."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import distributed_tracer
from distributed_tracer.cli.main import main

PUBLIC = {
    "AblationResult",
    "ChainsResult",
    "CommunitySettings",
    "ConsensusGraph",
    "ContrastResult",
    "CorpusConfig",
    "DiscoverSettings",
    "EdgeContrastResult",
    "EdgeEffectMetric",
    "EdgeParts",
    "EvaluationJob",
    "FaithfulnessMetric",
    "Feature",
    "FeatureProfile",
    "FeatureVectors",
    "ForwardCache",
    "Graph",
    "Group",
    "Intervention",
    "InterventionGraph",
    "JobConfig",
    "Label",
    "LabelFile",
    "Labels",
    "Model",
    "ModelConfig",
    "NodeKey",
    "Profile",
    "ProfileJob",
    "Prompt",
    "PromptVectors",
    "PruningStability",
    "ReplacementModel",
    "RunConfig",
    "SERIES",
    "SimilarPrompts",
    "Store",
    "StoreConfig",
    "Supernode",
    "Table",
    "TableStream",
    "TargetSpec",
    "TraceConfig",
    "TracerError",
    "TranscoderConfig",
    "Universality",
    "VirtualWeights",
    "__version__",
    "add_labels",
    "atlas_edges",
    "atlas_edges_into",
    "atlas_edges_out_of",
    "attribute",
    "average_edges",
    "brief_summary",
    "brief_text",
    "cluster_supernodes",
    "compact",
    "compare_graphs",
    "compare_groups",
    "consensus_graph",
    "contrast_edges",
    "contrast_features",
    "cooccurring",
    "copy_store",
    "dark_matter",
    "community_features",
    "community_groups",
    "draw_comparison",
    "draw_corpus",
    "draw_faithfulness",
    "draw_graph",
    "draw_interventions",
    "direct_edges",
    "discover",
    "edge_check",
    "edge_check_text",
    "edges_into",
    "edges_out_of",
    "export_feature_files",
    "export_graph",
    "export_many",
    "export_npz",
    "faithfulness",
    "faithfulness_text",
    "feature_counts",
    "feature_summary",
    "feature_text",
    "feature_vectors",
    "import_graphs",
    "interventions_text",
    "load_model",
    "load_transcoders",
    "load_viewer_supernodes",
    "matching_prompts",
    "merge_stores",
    "merged_edges",
    "mine_atlas",
    "mine_contrast",
    "mine_dark_matter",
    "mine_motifs",
    "mine_pathways",
    "mine_roles",
    "mine_vectors",
    "universality",
    "new_figure",
    "open_profile",
    "open_result",
    "open_store",
    "plan_job",
    "plan_text",
    "position_folds",
    "prompt_vectors",
    "prune",
    "pruning_stability",
    "read_label_file",
    "recurring_edges",
    "rule_labels",
    "run_evaluation",
    "run_job",
    "run_profile",
    "run_with_cache",
    "save_figure",
    "similar_prompts",
    "split_store",
    "strongest_chains",
    "strongest_paths",
    "subgraph_scores",
    "suggest_groups",
    "target_difference",
    "task_runner",
    "virtual_weights",
    "write_report",
}
RUN = {
    "--workers",
    "--local",
    "--no-local",
    "--gpus-per-worker",
    "--decoders",
    "--threads",
    "--ray-address",
    "--attempts",
    "--placement-seconds",
    "--stuck-seconds",
    "--connect-seconds",
    "--slices",
    "--expected-active",
    "--progress",
    "--no-progress",
    "--log-format",
}
JOB = {
    "--model",
    "--forward-dtype",
    "--device-map",
    "--transcoders",
    "--prompts",
    "--prompt-format",
    "--text-field",
    "--on-bad-prompt",
    "--store",
    "--weight-bits",
    "--store-active",
    "--no-store-active",
    "--part-prompts",
    "--part-edges",
    "--part-seconds",
    "--retry-seconds",
    "--max-feature-nodes",
    "--round-size",
    "--max-targets",
    "--target-mass",
    "--constant-node",
    "--no-constant-node",
    "--node-threshold",
    "--edge-threshold",
    "--keep-all",
    "--no-keep-all",
    "--sweep-rows",
    "--sweep-dtype",
    "--max-closing-error",
    "--keep-row-mass",
    *RUN,
}
JSON = {"--json", "--no-json"}
CHECKED = {"--model", "--transcoders", "--device-map", *RUN, *JSON}
DISCOVER = {
    *("--cluster", "--where", "--only", "--without", "--contrast-by", "--share", "--contrasts", "--min-clusters"),
    *("--threshold", "--chains", "--permutations", "--shuffles", "--bootstraps", "--draws", "--findings", "--sample"),
    *("--controls", "--strength", "--alpha", "--seed", "--memory-gb", "--model", "--transcoders", "--device-map"),
    *("--dry-run", "--no-dry-run"),
}
CHOSEN = {"--communities", "--level", "--every-community", "--no-every-community"}
"""Options that choose communities."""
OPTIONS = {
    "trace": JOB,
    "plan": JOB,
    "doctor": {
        *("--ray-address", "--model", "--transcoders", "--store", "--prompts", "--text-field"),
        *("--full-hash", "--no-full-hash", "--timeout-seconds"),
        *JSON,
    },
    "submit": {"--address", "--follow", "--no-follow", "--stop", "--python"},
    "status": {"--watch", *JSON},
    "show": {"--prompt", "--top", "--brief", "--no-brief", "--characters", "--tokens", "--nodes", *JSON},
    "query": {"--feature", "--show", "--where", "--token", "--target", "--layer", "--limit", "--store", *JSON},
    "feature": {"--profile", "--top", *JSON},
    "intervene": {
        *("--model", "--forward-dtype", "--device-map", "--transcoders", "--text", "--set", "--groups", "--labels"),
        *("--suggest", "--no-suggest", "--freeze-attention", "--no-freeze-attention", "--generate", "--out", "--limit"),
        *(CHOSEN - {"--communities"}),
        *JSON,
    },
    "compact": set(),
    "verify": JSON,
    "verify-edges": {*("--sample", "--sources", "--seed", "--tolerance"), *CHECKED},
    "faithfulness": {"--sample", "--seed", "--out", *CHECKED},
    "certify": {
        *("--cluster", "--where", "--findings", "--sample", "--controls", "--strength", "--alpha", "--seed", "--out"),
        *("--model", "--transcoders", "--device-map", "--dry-run", "--no-dry-run", *RUN, *JSON),
    },
    "discover": {*("--out", *DISCOVER), *RUN, *JSON},
    "repair": {"--dry-run", "--no-dry-run"},
    "export": {"--prompt", "--all", "--no-all", "--where", "--out", "--format", "--for", "--scan", *CHOSEN},
    "prepare-upload": {"--prompt", "--where", "--out", "--scan"},
    "import": {
        *("--store", "--prefix", "--drop-unknown", "--no-drop-unknown", "--num-layers", "--tokenizer", "--processes"),
    },
    "profile": {
        *("--out", "--model", "--transcoders", "--prompts", "--store", "--prompt-format", "--text-field"),
        *("--forward-dtype", "--device-map", "--context-length", "--contexts", "--quantiles", "--around"),
        *("--top-tokens", "--neighbours", "--seed", "--memory-gb", "--part-seconds", "--dry-run", "--no-dry-run"),
        *RUN,
        *JSON,
    },
    "export-features": {"--out", "--packed", "--no-packed"},
    "report": {"--out", "--store", "--top"},
    "serve": {
        *("--host", "--port", "--profile", "--mined", "--model", "--transcoders", "--device"),
        *("--author", "--allow-host", "--token-file", "--page", "--read-only", "--no-read-only"),
    },
    "draw": {*("--out", "--prompt", "--by", "--layers", "--top", "--edges", "--labels", "--size", "--width"), *CHOSEN},
    "compare": {"--out", "--top", *JSON},
    "info": JSON,
    "digest": set(),
    "copy": set(),
    "merge": set(),
    "split": {"--where", "--prompts"},
    "gc": {"--grace-hours", "--dry-run", "--no-dry-run", *JSON},
    "bundle": {
        "--out",
        "--model",
        "--transcoders",
        "--prompts",
        "--wheels",
        "--no-wheels",
        "--python",
        "--platform",
        "--torch-index",
    },
    "verify-bundle": set(),
    "version": set(),
    "labels": set(),
    "annotations": set(),
    "mine": set(),
}
OF_LABELS = {
    "labels add": {"--source", "--format", "--author"},
    "labels make": {"--profile", "--author"},
    "labels list": {"--feature", "--source", "--limit", *JSON},
    "labels export": set(),
    "labels remove": {"--source", "--author"},
}
"""Options of the commands of `labels`."""
SAID = {"--kind", "--prompt", "--feature", "--author"}
OF_ANNOTATIONS = {
    "annotations list": {*SAID, "--history", "--no-history", "--limit", *JSON},
    "annotations note": {"--prompt", "--feature", "--author"},
    "annotations undo": {"--author"},
    "annotations export": SAID,
    "annotations import": set(),
}
"""Options of the commands of `annotations`."""
TASKS = {"--workers", "--ray-address"}
MINED = {"--out", "--memory-gb", "--where", "--cluster", "--dry-run", "--no-dry-run", *JSON}
COMMUNITIES = {
    *(
        "--resolutions",
        "--min-clusters",
        "--bootstraps",
        "--shuffles",
        "--alpha",
        "--labels-out",
        "--seed",
        "--profile",
    ),
}
OF_MINE = {
    "mine atlas": {*MINED, "--fold", "--no-fold", *TASKS},
    "mine dark-matter": {*MINED, "--classes", "--top", "--seed", "--model", "--transcoders", "--device-map", *RUN},
    "mine vectors": {*MINED, *TASKS, "--predict", "--shuffles", "--seed", *CHOSEN},
    "mine weights": {*MINED, *TASKS, "--transcoders", "--model", "--top", "--candidates", "--min-positions", "--q"},
    "mine chains": {*MINED, *TASKS, "--atlas", "--top", "--begin", "--target", "--min-edges", "--min-prompts"},
    "mine contrast": {
        *(*MINED, *TASKS),
        *("--a", "--b", "--of", "--measure", "--paired", "--test", "--q", "--min-clusters", "--permutations", "--seed"),
    },
    "mine consensus": {
        *(*MINED, *TASKS),
        *(
            "--rule",
            "--threshold",
            "--within",
            "--share",
            "--subsample",
            "--samples",
            "--resamples",
            "--seed",
            "--draw",
        ),
    },
    "mine similar": {*MINED, *TASKS, "--prompt", "--edges", "--top", "--samples", "--max-text", "--q", "--seed"},
    "mine motifs": {
        *(*MINED, *TASKS),
        *("--null", "--draws", "--steps", "--edges", "--top", "--min-clusters", "--seed"),
    },
    "mine universality": {*MINED, *TASKS, "--within", "--measure", "--shuffles", "--q", "--min-clusters", "--seed"},
    "mine roles": {*MINED, *TASKS, "--neighbours", *COMMUNITIES},
    "mine pathways": {*MINED, *TASKS, *COMMUNITIES},
    "mine stability": MINED - {"--cluster"} | {*TASKS, "--prompt", "--node-thresholds", "--edge-thresholds"},
}
"""Options of the commands of `mine`."""


def help_of(*command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


def test_public_names_are_these_and_all_can_be_imported() -> None:
    assert set(distributed_tracer.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(distributed_tracer, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = distributed_tracer.nonsense


def test_commands_are_these(capsys: pytest.CaptureFixture[str]) -> None:
    assert names_in(help_of(capsys=capsys)) == OPTIONS.keys()
    assert {f"labels {name}" for name in names_in(help_of("labels", capsys=capsys))} == OF_LABELS.keys()
    found = {f"annotations {name}" for name in names_in(help_of("annotations", capsys=capsys))}
    assert found == OF_ANNOTATIONS.keys()
    assert {f"mine {name}" for name in names_in(help_of("mine", capsys=capsys))} == OF_MINE.keys()


def names_in(text: str) -> set[str]:
    """The names of the commands that a help text lists."""
    found = re.search(r"\{(.*?)\}", text, re.DOTALL)
    assert found is not None
    return set("".join(found[1].split()).split(","))


@pytest.mark.parametrize("command", OPTIONS | OF_LABELS | OF_ANNOTATIONS | OF_MINE)
def test_options_are_these(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (line.strip("│| ") for line in help_of(*command.split(), capsys=capsys).splitlines())
    listed = (line.split("  ")[0] for line in lines if re.match(r"(-h, )?--[a-z]", line))
    names = {name for line in listed for name in re.findall(r"(?<!\S)--[a-z][a-z-]*", line)}
    assert names == (OPTIONS | OF_LABELS | OF_ANNOTATIONS | OF_MINE)[command] | {"--help"}


def test_the_package_runs_as_a_module() -> None:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "distributed_tracer", "version"], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == distributed_tracer.__version__
