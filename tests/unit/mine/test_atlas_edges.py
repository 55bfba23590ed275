"""Questions to an atlas are answered as a filter and a sort of its whole table answer them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store
from results_in_batches import ResultInBatches

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.labels import Label
from distributed_tracer.labels.in_store import add_labels
from distributed_tracer.mine.atlas import mine_atlas
from distributed_tracer.mine.atlas_edges import atlas_edges, atlas_edges_into, atlas_edges_out_of, atlas_feature
from distributed_tracer.mine.findings import Findings, FindingTable, mine_findings
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.store.reader import open_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions")
    graphs = [random_graph(f"p{number}", seed=number % 2, num_active=30) for number in range(4)]
    add_labels(make_store(str(path / "store"), graphs), [(*a_feature(graphs[0]), Label("\x1b[31m<b>", "me"))])
    mine_atlas(open_store(str(path / "store")), path / "atlas")
    return path


@pytest.fixture(scope="module")
def atlas(folder: Path) -> Result:
    return ResultInBatches(folder / "atlas", open_result(folder / "atlas").info)


def a_feature(graph: Any) -> tuple[int, int]:
    """The feature with the most edges into it."""
    node = int(np.argmax(np.diff(graph.indptr) * (graph.nodes.kind_N == 0)))
    return int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])


FEATURE = a_feature(random_graph("p0", seed=0, num_active=30))


def ends(rows: Any) -> list[tuple[Any, ...]]:
    names = [f"{side}_{name}" for side in ("source", "target") for name in ("kind", "layer", "feature")]
    return [tuple(row[name] for name in names) for row in rows]


def share_of(row: dict[str, Any]) -> float:
    count = row["prompts_row"] - row["prompts"] + row["prompts_share"]
    return float(row["sum_share"] / count) if count else float("nan")


@pytest.mark.parametrize(
    ("where", "meets"),
    [
        ((), lambda row: True),
        ("source_kind=feature", lambda row: row["source_kind"] == "feature"),
        (
            ["target_layer>=1", "prompts==2", "sum <= 0.5"],
            lambda row: row["target_layer"] >= 1 and row["prompts"] == 2 and row["sum"] <= 0.5,
        ),
        ("mean_share>=0.1", lambda row: share_of(row) >= 0.1),
    ],
)
@pytest.mark.parametrize("top", [1, 20, None])
def test_the_strongest_edges_are_those_of_the_sorted_table(
    atlas: Result, where: Any, meets: Any, top: int | None
) -> None:
    every = [row for row in atlas.table("edges").rows() if meets(row)]
    assert len(every) > 20
    expected = sorted(every, key=lambda row: -abs(row["sum_share"]))[:top]
    found = atlas_edges(atlas, where, top)
    assert ends(found.rows()) == ends(expected)
    assert found["sum_share"].tolist() == [row["sum_share"] for row in expected]
    assert found.columns[6] == "mean_share"


def test_another_order_and_the_mean_share_are_those_of_the_documented_formula(atlas: Result) -> None:
    every = atlas.table("edges")
    count = every["prompts_row"] - every["prompts"] + every["prompts_share"]
    share = np.divide(every["sum_share"], count, out=np.full(len(every), np.nan), where=count > 0)
    found = atlas_edges(atlas, top=None, order="mean_share")
    assert found["mean_share"].tolist()[:10] == share[np.argsort(-np.abs(share), kind="stable")].tolist()[:10]
    assert np.isnan(found["mean_share"][np.isnan(found["mean_share"]).argmax() :]).all(), "unknown ones are last"


def test_edges_into_and_out_of_a_feature_are_all_of_its_edges(atlas: Result) -> None:
    for function, side in ((atlas_edges_into, "target"), (atlas_edges_out_of, "source")):
        own = [
            row
            for row in atlas.table("edges").rows()
            if (row[f"{side}_kind"], row[f"{side}_layer"], row[f"{side}_feature"]) == ("feature", *FEATURE)
        ]
        found = function(atlas, *FEATURE, top=None)
        assert set(ends(found.rows())) == set(ends(own)) != set()
        strength = np.abs(found["sum_share"])
        assert (np.diff(strength) <= 0).all()
    assert atlas_feature(atlas, *FEATURE)["nodes"].tolist() > [0]
    assert len(atlas_feature(atlas, 0, 1_000_000)) == 0


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("cluster>=2", "no column of edges 'cluster'"),
        ("prompts", "a condition is COLUMN=VALUE"),
        ("prompts>=few", "compares numbers of prompts with 'few'"),
        ("source_kind>=feature", "is text"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(atlas: Result, where: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        atlas_edges(atlas, where)


def test_another_result_and_another_order_are_refused(atlas: Result, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="order by"):
        atlas_edges(atlas, order="source_kind")
    prompts = choose_prompts(open_store(str(folder / "store")), (), None)
    other = mine_findings(tmp_path / "o", "pairs", prompts, {}, lambda: Findings({"edges": FindingTable({}, {})}))
    with pytest.raises(ConfigError, match="'pairs', and not an atlas"):
        atlas_edges_into(other, 0, 1)


def test_the_command_line_asks_an_atlas(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store, feature = str(folder / "atlas"), str(folder / "store"), f"{FEATURE[0]}:{FEATURE[1]}"
    for arguments, says in (
        (["--feature", feature, "--show", "edges-into", "--store", store], f"into {feature} '\\x1b[31m<b>', by"),
        (["--feature", feature, "--show", "edges-out"], f"out of {feature}, by |sum_share|"),
        (["--feature", feature], "mean_influence"),
        (["--feature", "0:1000000"], "0:1000000 is a node of no graph"),
        (["--where", "prompts>=2", "--where", "source_kind=token", "--store", store], "the strongest edges"),
        (["--limit", "3"], "pruned, 4 prompts"),
    ):
        assert main(["query", path, *arguments]) == 0
        said = capsys.readouterr().out
        assert says in said
        assert "\x1b" not in said
    for arguments, says in (
        (["--feature", feature, "--show", "together"], "a store does"),
        (["--token", "x"], "of an atlas, --where chooses edges"),
        (["--show", "edges-into"], "goes with --feature"),
        (["--feature", feature, "--where", "prompts>=1"], "do not go with --feature"),
    ):
        assert main(["query", path, *arguments]) == 1
        assert says in capsys.readouterr().err
    assert main(["query", store, "--store", store]) == 1
    assert "--store goes with an atlas" in capsys.readouterr().err
    assert main(["query", path, "--limit", "1", "--json"]) == 0
    assert capsys.readouterr().out.count('"source"') > 20
