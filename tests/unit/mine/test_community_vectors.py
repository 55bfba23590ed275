"""Columns of communities in graph vectors equal sums over the nodes of one graph after another, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from community_results import HOSTILE, Chosen, write_communities
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine.community_vectors import NONE, CommunityColumns
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.mine.vector_columns import vector_columns
from distributed_tracer.mine.vectors import mine_vectors
from distributed_tracer.store.reader import Store

pytest.importorskip("pyarrow")


def graph(number: int) -> Graph:
    found = random_graph(f"p{number:02d}", seed=number, num_active=4 * (number % 5), num_targets=1 + number % 3)
    return replace(found, weight_E=np.nan_to_num(found.weight_E))


GRAPHS = [
    *map(graph, range(9)),
    replace(graph(9), targets=tuple(replace(one, weight=0.0) for one in graph(9).targets)),
]
SITES = sorted(
    {
        (int(one.nodes.layer_N[node]), int(one.nodes.feature_N[node]))
        for one in GRAPHS
        for node in one.nodes.where(NodeKind.FEATURE).tolist()
    }
)
FIRST, SECOND, UNSTABLE = SITES[:9], SITES[9:20], SITES[20:24]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("vectors") / "store"), GRAPHS[:4], GRAPHS[4:])


@pytest.fixture(scope="module")
def result(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Result:
    chosen = [Chosen(0, "first", FIRST), Chosen(0, HOSTILE, SECOND), Chosen(1, "few", UNSTABLE, "unstable")]
    chosen += [Chosen(1, f"other {number}", [], "unstable") for number in range(8)]
    return write_communities(store, tmp_path_factory.mktemp("mined") / "roles", chosen)


def shares(one: Graph, sites: list[tuple[int, int]], is_other: bool = False) -> float:
    """The influence of the nodes of some features, or of all others, divided by the weights of the targets."""
    total = 0.0
    for node in one.nodes.where(NodeKind.FEATURE).tolist():
        if ((int(one.nodes.layer_N[node]), int(one.nodes.feature_N[node])) in sites) != is_other:
            total += float(one.influence_N[node])
    mass = 0.0
    for target in one.targets:
        mass += target.weight
    return total / mass if mass > 0 else np.nan


def test_every_value_is_that_of_its_graph_alone_bit_for_bit(store: Store, result: Result) -> None:
    columns = CommunityColumns.of(result)
    wide, narrow = (columns.values(choose_prompts(store, (), None), rows) for rows in (10**6, 1))
    assert [*wide] == ["community_influence_0", "community_influence_1", NONE]
    for rank, one in enumerate(GRAPHS):
        expected = [shares(one, FIRST), shares(one, SECOND), shares(one, [*FIRST, *SECOND], is_other=True)]
        assert np.array([column[rank] for column in wide.values()]).tobytes() == np.array(expected).tobytes(), one
    assert {name: column.tobytes() for name, column in narrow.items()} == {n: c.tobytes() for n, c in wide.items()}
    assert any((column > 0).any() for column in wide.values())
    assert np.isnan(wide[NONE][9]), "its targets have no weight"


def test_they_stand_beside_the_other_columns_and_predict_nothing(store: Store, result: Result, tmp_path: Path) -> None:
    columns = CommunityColumns.of(result, 1, every=True)
    assert [*columns.columns] == ["community_influence_2", NONE]
    alone = mine_vectors(store, tmp_path / "alone")
    found = mine_vectors(store, tmp_path / "r", communities=columns)
    vectors, before = found.table("vectors"), alone.table("vectors")
    assert vectors.columns == [*before.columns, *columns.columns]
    for name in before.columns:
        assert vectors[name].tolist() == pytest.approx(before[name].tolist(), nan_ok=True, abs=0) or name in (
            "prompt",
            "cluster",
        )
    assert found.facts["columns_of_communities"] == 2
    assert found.facts["unknown"][NONE] == 1
    assert "columns_of_communities" not in alone.facts
    with pytest.raises(ConfigError, match="made otherwise"):
        mine_vectors(store, tmp_path / "r", communities=CommunityColumns.of(result))


def test_the_command_takes_a_result_and_says_what_is_missing(
    store: Store, result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["mine", "vectors", store.url, "--out", str(tmp_path / "r"), "--communities", str(result.path)]
    assert main([*command, "--dry-run"]) == 0
    assert f"{len(vector_columns(3)) + 3} columns" in capsys.readouterr().out
    assert main(command) == 0
    assert ", 3 columns of communities;" in capsys.readouterr().out
    about = open_result(tmp_path / "r").describe("vectors")
    meanings = dict(zip(about["column"].tolist(), about["meaning"].tolist(), strict=True))
    assert meanings["community_influence_1"] == (
        "influence of features of role 1: \\x1b[2J<img src=x onerror=alert(1)> / weights of targets"
    )
    for flags, says in (
        (["--level", "1"], "has no communities that are significant to make columns of"),
        (["--level", "7"], "has the levels [0, 1], not 7"),
    ):
        assert main([*command, *flags]) == 1
        assert says in capsys.readouterr().err
    assert main([*command[:5], "--communities", str(tmp_path)]) == 1
    assert "there is no result of mining" in capsys.readouterr().err
    assert main([*command[:5], "--level", "1"]) == 1
    assert "name it with --communities" in capsys.readouterr().err
