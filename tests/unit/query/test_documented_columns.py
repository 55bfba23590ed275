"""docs/analysis.md says what every column of every table means: no more columns and no fewer than there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jobs_of_cases import CASES, TEXTS
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer import (
    Store,
    Table,
    attribute,
    average_edges,
    compare_groups,
    cooccurring,
    dark_matter,
    edges_into,
    edges_out_of,
    feature_counts,
    load_model,
    load_transcoders,
    matching_prompts,
    merged_edges,
    prompt_vectors,
    recurring_edges,
    strongest_paths,
    target_difference,
)
from distributed_tracer.evaluate.certificate_metric import COLUMNS
from distributed_tracer.evaluate.edge_agreement import agreement_by_distance
from distributed_tracer.evaluate.faithfulness import FaithfulnessMetric
from distributed_tracer.graph.columns import STRING_OF_TOKEN, STRINGS_OF_TOKENS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text(encoding="utf-8")


def documented() -> dict[str, list[str]]:
    """The columns that each section names, in order."""
    found = {}
    for section in DOCUMENT.split("\n### ")[1:]:
        rows = [line.split("|")[1] for line in section.split("\n") if line.startswith("| ")]
        found[section.split("\n")[0].strip("`")] = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    return found


def actual(store: Store) -> dict[str, list[str]]:
    vectors = prompt_vectors(store)
    return {
        "store.prompts": [*store.prompts.columns, "tokens", "token_strings"],
        "store.nodes": [*store.nodes().columns, *STRING_OF_TOKEN],
        "store.edges": [*store.edges().columns, *STRINGS_OF_TOKENS],
        "store.active": [*store.active().columns, *STRING_OF_TOKEN],
        "store.occurrences": store.occurrences(0, 0).columns,
        "edges_into": edges_into(store, 0, 0).columns,
        "edges_out_of": edges_out_of(store, 0, 0).columns,
        "cooccurring": cooccurring(store, 0, 0).columns,
        "feature_counts": feature_counts(store).columns,
        "compare_groups": compare_groups(store, "a", "b").columns,
        "recurring_edges": recurring_edges(store).columns,
        "average_edges": average_edges(store).columns,
        "strongest_paths": strongest_paths(store["a"]).columns,
        "merged_edges": merged_edges(store["a"], ()).columns,
        "target_difference": target_difference(store["a"], 0, 1).columns,
        "prompt_vectors": vectors.nearest("a").columns,
        "dark_matter": dark_matter(store).columns,
        "matching_prompts": matching_prompts(store, []).columns,
        'store.checks("certificates")': ["prompt", *COLUMNS],
        'store.checks("edges")': ["prompt", *agreement_by_distance([]).columns],
        'store.checks("faithfulness")': ["prompt", *rows_of_a_graph().columns],
    }


def rows_of_a_graph() -> Table:
    """What faithfulness says about one graph of a tiny model."""
    case = CASES / "gpt2_relu_plt"
    loaded = load_model(str(case / "model")), load_transcoders(str(case / "transcoders"))
    return FaithfulnessMetric((1.0,)).evaluate_graph(attribute(TEXTS[0], *loaded), *loaded, 8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    graphs = [random_graph(prompt, seed=seed, density=0.0) for seed, prompt in enumerate("ab")]
    return make_store(str(tmp_path_factory.mktemp("documented")), graphs)


def test_every_table_has_a_section_with_all_of_its_columns_and_no_others(store: Store) -> None:
    described, there = documented(), actual(store)
    assert described.keys() == there.keys()
    for table, columns in there.items():
        assert sorted(described[table]) == sorted(columns), table
