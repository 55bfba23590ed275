"""What is known of each kind of result: what it answers, which tables and columns a reader wants first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .strongest_rows import Order

_VERDICTS = (
    *("name", "verdict", "q", "why", "prediction", "clusters", "prompts", "effect", "effect_low", "effect_high"),
    *("controls", "controls_high", "difference", "low", "high", "p", "p_direction", "p_difference", "p_controls"),
)
_ENDS = tuple(f"{side}_{name}" for side in ("source", "target") for name in ("kind", "layer", "feature"))


@dataclass(frozen=True)
class TableView:
    """How a table is shown."""

    title: str = ""
    columns: tuple[str, ...] = ()
    """Columns that are shown, in this order; without any, the first ones of the table."""
    order: Order = field(default_factory=Order)
    histograms: tuple[str, ...] = ()
    """Columns that have a picture of how their values are distributed."""


@dataclass(frozen=True)
class KindView:
    """What a kind of result answers, and how its tables are shown; tables without a view come after the others."""

    title: str
    question: str
    tables: Mapping[str, TableView] = field(default_factory=dict)
    tiles: tuple[str, ...] = ()
    """Facts that a reader wants first."""
    tests: tuple[str, ...] = ()
    """Facts that are numbers of tests, though their names do not say so."""
    makes_tests: bool = True
    """Whether such results are made with tests; others describe."""
    has_more_tables: bool = True
    """Whether tables without a view are shown too: not those from which a program computes what is shown."""
    is_summary: bool = False
    """Whether it repeats what other results say, so that their tests are not counted again."""
    has_clusters: bool = True
    """Whether its numbers are over prompts that may share a cluster."""


_OF_COMMUNITIES: tuple[Mapping[str, TableView], tuple[str, ...], tuple[str, ...]] = (
    {
        "levels": TableView(
            "Levels: partitions as a whole",
            (
                *("level", "resolution", "features", "communities", "significant", "communities_low"),
                *("communities_high", "ari", "nmi", "quality", "quality_identity", "z_identity", "quality_edges"),
                *("z_edges", "layer_information", "position_information"),
            ),
        ),
        "communities": TableView(
            "Most influential communities",
            (
                *("community", "level", "name", "size", "verdict", "cohesion", "stability", "stability_low"),
                *("p_identity", "p_edges", "clusters", "influence", "first_layer", "last_layer"),
                *("layer_information", "position_information", "parent", "parent_share"),
            ),
            Order("influence", "largest"),
            ("stability", "cohesion"),
        ),
        "enrichment": TableView("What communities are enriched in", (), Order("q", "smallest")),
        "between": TableView("How communities raise and lower each other", (), Order("negative", "largest")),
        "neighbours": TableView("What feeds communities, and what they feed"),
        "members": TableView("Members"),
        "runs": TableView("Runs of Leiden"),
    },
    ("features", "communities", "significant", "clusters"),
    ("num_tests_enrichment",),
)
"""Tables, first facts and numbers of tests of roles and of pathways."""

KINDS_OF_RESULTS: Mapping[str, KindView] = {
    "atlas": KindView(
        "Atlas of edges",
        "Which features, tokens, errors and targets are connected over all graphs, and how strongly on average?",
        {
            "edges": TableView(
                "Strongest edges, those from tokens left out",
                (
                    *_ENDS,
                    *("sum_share", "prompts_share", "prompts", "clusters", "prompts_row", "prompts_both", "lift"),
                    *("mean_row", "mean_row_low", "mean_row_high", "mean_present", "sum_abs", "sum_dropped"),
                ),
                Order("sum_share", "largest absolute", {"prompts": 2, "source_layer": 0}, "sum_abs"),
            ),
            "features": TableView(
                "Most influential features",
                ("layer", "feature", "prompts", "nodes", "sum_influence", "mean_influence", "mean_error_share"),
                Order("sum_influence", "largest"),
            ),
        },
        makes_tests=False,
        has_more_tables=False,
    ),
    "contrast": KindView(
        "Contrast of two sets of prompts",
        "Which features or edges differ between the prompts of set a and those of set b by more than chance?",
        {
            name: TableView(
                title,
                (
                    *("layer", "feature", *_ENDS, "g", "g_low", "g_high", "q", "p", "p_max", "mean_a", "mean_b"),
                    *("difference", "low", "high", "presence_a", "presence_b", "clusters_a", "clusters_b"),
                    *("half_1", "half_2", "differing_tokens", "unknown_a", "unknown_b"),
                ),
            )
            for name, title in (("features", "Features that differ most"), ("edges", "Edges that differ most"))
        }
        | {"tokens": TableView("Tokens that differ between the sets")},
    ),
    "weights": KindView(
        "Virtual weights",
        "Which pairs of features are connected by their weights alone, which of them act together, and which never do?",
        {
            "pairs": TableView(
                "Strongest pairs",
                (
                    *(*_ENDS, "direct", "twera", "era", "weight", "scale", "positions_both", "clusters_both"),
                    *("expected", "edges", "clusters_edges", "edge", "edge_direct", "edge_attention"),
                ),
            ),
            "together": TableView("Pairs that act together more or less often than by chance"),
            "gated": TableView("Pairs that act only when something else is there"),
            "calibration": TableView("Virtual weights against exact direct means, by distance in layers"),
        },
        ("num_interference", "num_together", "num_gated", "num_unknown"),
    ),
    "similar": KindView(
        "Similar prompts",
        "Which prompts have like graphs, and above all: which have like graphs though their texts are unlike?",
        {
            "unlike_texts": TableView("Like graphs, unlike texts"),
            "neighbours": TableView("Most similar graphs of each prompt"),
        },
        ("listed", "by_chance", "correlation_with_texts"),
        ("pairs_unlike",),
    ),
    "consensus": KindView(
        "Consensus graph",
        "Which edges are in the graphs of most clusters, and which stay in if some clusters are removed?",
        {"edges": TableView("Most frequent edges"), "nodes": TableView("Most frequent nodes")},
        ("edges_seen", "edges_in", "edges_certified", "nodes_in"),
        makes_tests=False,
    ),
    "stability": KindView(
        "Stability over thresholds",
        "Which nodes and edges of a graph stay over the thresholds of pruning?",
        {
            "settings": TableView("What each pair of thresholds keeps"),
            "steps": TableView("What neighbouring pairs of thresholds share"),
            "edges": TableView("Edges"),
            "nodes": TableView("Nodes"),
        },
        ("nodes_any", "nodes_stable", "edges_any", "edges_stable"),
        makes_tests=False,
        has_clusters=False,
    ),
    "universality": KindView(
        "Two stores compared",
        "Which features and which edges do two sets of transcoders, or two models, have in common?",
        {
            "summary": TableView("What is shared, with floor and ceiling"),
            "layers": TableView("Which layer matches which"),
            "matches": TableView("Features and their nearest", (), Order("correlation", "largest"), ("correlation",)),
            "edges": TableView("Strongest edges between matched features"),
            "features": TableView("All features"),
        },
        ("matched", "matched_a", "unmatched_a", "unknown_a", "edges_conserved"),
        ("tests", "edges_tested"),
    ),
    "dark-matter": KindView(
        "Influence through errors",
        "How much influence passes through what the transcoders leave unexplained, and where?",
        {
            "layers": TableView("By layer"),
            "positions_from_end": TableView("By distance from the end"),
            "layers_from_end": TableView("By layer and distance from the end"),
            "classes": TableView("By class of prompts"),
            "tokens": TableView("By token"),
            "linear": TableView("Linear part of the errors"),
            "prompts": TableView("Prompts with the largest share", (), Order("share"), ("share",)),
            "strongest": TableView("Strongest single errors"),
        },
        makes_tests=False,
    ),
    "vectors": KindView(
        "Graphs as vectors",
        "What does each graph look like in numbers, beside what its prompt alone says?",
        {
            "predictions": TableView("What the numbers predict on clusters that were left out"),
            "vectors": TableView(
                "Prompts", (), histograms=("graph_replacement", "graph_completeness", "graph_error_share")
            ),
        },
    ),
    "motifs": KindView(
        "Motifs",
        "Which patterns of few edges, such as feed-forward loops, are more frequent than degrees alone make them?",
        {
            "motifs": TableView(
                "Motifs against graphs with the same degrees",
                (
                    *(
                        "null",
                        "motif",
                        "controlled",
                        "clusters",
                        "graphs",
                        "graphs_unknown",
                        "observed",
                        "null_mean",
                        "log_ratio",
                    ),
                    *("low", "high", "z", "rank", "p", "q", "p_max"),
                ),
            ),
            "loops": TableView(
                "Strongest feed-forward loops that recur",
                (
                    *(
                        "first_name",
                        "middle_name",
                        "last_name",
                        "signs",
                        "coherent",
                        "clusters",
                        "prompts",
                        "prompts_sites",
                    ),
                    *("strength", "direct", "through"),
                ),
            ),
            "nulls": TableView("How far the draws can differ from each graph"),
            "graphs": TableView("Each graph against its draws"),
        },
        ("position_found", "signed_found", "layer_found", "loops_recurring"),
        tuple(f"{null}{of}_tests" for null in ("position", "signed", "layer") for of in ("", "_uncontrolled")),
    ),
    "chains": KindView(
        "Strongest chains",
        "Along which chains from tokens to targets does most influence flow on average, and in how many graphs is each "
        "chain there as a whole?",
        {"chains": TableView("Strongest chains"), "edges": TableView("Edges of these chains")},
        ("chains", "with_their_target", "whole_in_a_graph"),
        makes_tests=False,
    ),
    "roles": KindView(
        "Roles",
        "Which features are fed by the same and feed the same, so that they may have one role?",
        *_OF_COMMUNITIES,
    ),
    "pathways": KindView(
        "Pathways", "Which features raise each other, and which groups of them inhibit others?", *_OF_COMMUNITIES
    ),
    "certificates": KindView(
        "Certificates",
        "Which findings come true if their features are turned off in clusters that they were not made from, and more "
        "so than with other features?",
        {"certificates": TableView("Verdicts", _VERDICTS), "predictions": TableView("Every prediction")},
        ("confirmed", "not_confirmed", "no_power", "held_out"),
        ("tested",),
    ),
    "discovery": KindView(
        "What was discovered",
        "Which findings of all steps, made from one half of the clusters, come true in the other half?",
        {
            "steps": TableView(
                "Steps, and how many of their findings are confirmed",
                (
                    *("step", "about", "status", "found", "of", "certified", "confirmed", "confirmed_over_all"),
                    *("not_confirmed", "no_power", "why"),
                ),
            ),
            "findings": TableView(
                "Findings, those that are confirmed over all steps first",
                (
                    *("name", "features", "step", "verdict", "confirmed_over_all", "prediction", "unit", "change"),
                    *("change_controls", "excess", "excess_from", "excess_to", "q_all", "q", "p", "clusters"),
                    *("prompts", "why"),
                ),
            ),
            "features": TableView("What the features of these findings are", (), Order("findings", "largest")),
            "contrasts": TableView("Contrasts that were looked at"),
        },
        ("findings_certified", "confirmed", "confirmed_over_all", "not_confirmed", "no_power", "left_out"),
        is_summary=True,
    ),
}
"""Kinds of results by the name of the command that makes them."""


def view_of(what: str) -> KindView:
    """Return the view of a kind of result, or a general one."""
    known = KINDS_OF_RESULTS.get(what)
    return known or KindView(f"Result of {what}", "", {})
