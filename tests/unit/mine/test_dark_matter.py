"""Dark matter by hand-made graphs: sums by dictionaries, parts that add up, and what is not known."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store
from rounding import nearly
from scipy import stats

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine import clusters as clusters_module
from distributed_tracer.mine import error_influence
from distributed_tracer.mine.clusters import UNIT
from distributed_tracer.mine.dark_matter import dark_matter_findings
from distributed_tracer.mine.dark_matter_columns import PARTITIONS
from distributed_tracer.mine.findings import Findings
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

LAYERS = 3


def graph_of(number: int, share: Callable[[int, int], float], pruned: float = 0.0, **metadata: Any) -> Graph:
    """A graph whose errors have these shares of the influence, by layer and position, and lost `pruned` per layer."""
    num_positions = 4 + number % 3
    found = random_graph(f"p{number:02d}", seed=number, num_positions=num_positions, num_active=5, metadata=metadata)
    nodes, total = found.nodes, sum(target.weight for target in found.targets)
    influence_N = found.influence_N.copy()
    error_L = np.full(LAYERS, pruned)
    for node in nodes.where(NodeKind.ERROR):
        layer, position = int(nodes.layer_N[node]), int(nodes.position_N[node])
        influence_N[node] = np.float32(share(layer, position) * total)
        error_L[layer] += float(influence_N[node]) / total
    tokens = tuple(f"t{(number + position) % 5}" for position in range(num_positions))
    scores = replace(found.scores, error_share_L=tuple(error_L.tolist()))
    return replace(found, influence_N=influence_N, scores=scores, token_strings=tokens)


def plain(number: int) -> Graph:
    rng = np.random.default_rng(number)
    shares = rng.random((LAYERS, 8)) / 100
    pruned = 0.01 if number % 4 == 0 else 0.0
    return graph_of(
        number,
        lambda layer, position: float(shares[layer, position]),
        pruned,
        topic=f"s{number % 5}",
        kind="even" if number % 2 == 0 else None,
    )


GRAPHS = [plain(number) for number in range(12)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("dark") / "store"), GRAPHS[:7], GRAPHS[7:])


def findings(store: Store, cluster: str | None = "topic", **options: Any) -> Findings:
    return dark_matter_findings(choose_prompts(store, (), cluster), cluster, **options)


def rows(found: Findings, table: str) -> list[dict[str, Any]]:
    columns = found.tables[table].rows
    lists = [values.tolist() if isinstance(values, np.ndarray) else list(values) for values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def everything(found: Findings) -> list[str]:
    """All tables and facts as text, in which NaN is equal to NaN and no digit is lost."""
    return [*(f"{name} {rows(found, name)}" for name in found.tables), str(found.facts)]


def judged(graphs: Sequence[Graph], key_of: Callable[[Graph, int], Any], cluster: str) -> dict[Any, dict[str, float]]:
    """Means over clusters of the shares of each key, one error node after another."""
    clusters: dict[str, list[dict[Any, float]]] = defaultdict(list)
    present: dict[Any, list[float]] = defaultdict(list)
    for graph in graphs:
        total, sums = sum(target.weight for target in graph.targets), defaultdict[Any, float](float)
        for node in graph.nodes.where(NodeKind.ERROR).tolist():
            sums[key_of(graph, node)] += float(graph.influence_N[node]) / total
        clusters[graph.metadata[cluster]].append(sums)
        for key, value in sums.items():
            present[key].append(value)
    found = {}
    for key, values in present.items():
        means = [np.mean([own.get(key, 0.0) for own in members]) for members in clusters.values()]
        half = stats.sem(means) * stats.t.ppf(0.975, len(means) - 1)
        found[key] = {
            "share": np.mean(means),
            "low": np.mean(means) - half,
            "high": np.mean(means) + half,
            "prompts": len(values),
            "share_present": np.mean(values),
        }
    return found


KEYS: dict[str, Callable[[Graph, int], Any]] = {
    "layer": lambda graph, node: int(graph.nodes.layer_N[node]),
    "position": lambda graph, node: int(graph.nodes.position_N[node]),
    "from_end": lambda graph, node: len(graph.tokens_P) - 1 - int(graph.nodes.position_N[node]),
    "token": lambda graph, node: graph.token_strings[graph.nodes.position_N[node]],
}


@pytest.mark.parametrize("table", PARTITIONS)
def test_every_row_is_that_of_one_error_node_after_another(table: str, store: Store) -> None:
    by = PARTITIONS[table]
    expected = judged(GRAPHS, lambda graph, node: tuple(KEYS[name](graph, node) for name in by), "topic")
    found = {tuple(row[name] for name in by): row for row in rows(findings(store), table)}
    assert found.keys() == expected.keys()
    for key, row in found.items():
        own = {name: row[name] for name in expected[key]}
        assert own == pytest.approx(expected[key], rel=0, abs=len(GRAPHS) * LAYERS * 8 * UNIT), key


@pytest.mark.parametrize("table", PARTITIONS)
def test_parts_add_up_to_the_influence_that_ends_in_the_errors_of_the_graphs(table: str, store: Store) -> None:
    found = findings(store)
    layers = rows(found, "layers")
    placed, whole = (sum(row[name] for row in layers) for name in ("share_placed", "share"))
    assert sum(row["share"] for row in rows(found, table)) == nearly(placed, 100)
    assert found.facts["share"] == nearly(whole, 100)
    assert sum(row["share_pruned"] for row in layers) == nearly(whole - placed, 100)
    assert whole - placed > 0.005
    by_hand = [sum(graph.scores.error_share_L) for graph in GRAPHS]
    topics = [np.mean([share for share, g in zip(by_hand, GRAPHS, strict=True) if g.metadata["topic"] == topic])
              for topic in sorted({g.metadata["topic"] for g in GRAPHS})]  # fmt: skip
    assert whole == pytest.approx(np.mean(topics), rel=0, abs=LAYERS * UNIT)


def test_integers_of_one_unit_make_the_parts_add_up_exactly(store: Store) -> None:
    """With a power of two of clusters and one prompt each, no mean is rounded either."""
    ids = [graph.prompt_id for graph in GRAPHS if len(graph.tokens_P) == 4][:4]
    prompts = replace(choose_prompts(store, (), None), ids=ids)
    found = dark_matter_findings(prompts, None)
    sums = {name: sum(row["share"] for row in rows(found, name)) for name in PARTITIONS}
    assert {*sums.values()} == {sum(row["share_placed"] for row in rows(found, "layers"))}


def test_a_strong_error_that_was_planted_comes_first_everywhere(tmp_path: Path) -> None:
    graphs = [
        graph_of(number, lambda layer, position: 0.5 if (layer, position) == (1, 2) else 0.001, topic=str(number % 4))
        for number in range(8)
    ]
    has = [graph for graph in graphs if any(KEYS["layer"](graph, n) == 1 and KEYS["position"](graph, n) == 2
                                            for n in graph.nodes.where(NodeKind.ERROR).tolist())]  # fmt: skip
    assert len(graphs) > len(has) > 0
    found = findings(make_store(str(tmp_path / "s"), graphs))
    assert max(rows(found, "layers"), key=lambda row: row["share"])["layer"] == 1
    assert rows(found, "positions")[0]["position"] == 2
    strongest = rows(found, "strongest")[: len(has)]
    assert {(row["prompt"], row["layer"], row["position"]) for row in strongest} == {(g.prompt_id, 1, 2) for g in has}
    worst = rows(found, "prompts")[: len(has)]
    assert {row["prompt"] for row in worst} == {graph.prompt_id for graph in has}
    assert {row["layer"] for row in worst} == {1}


def test_where_errors_are_alike_everywhere_no_place_stands_out(tmp_path: Path) -> None:
    """Null data: all errors have independent shares from one distribution; few intervals exclude their own mean."""
    rng = np.random.default_rng(0)
    graphs = [graph_of(3 * number, lambda *_: float(rng.random()) / 50, topic=str(number % 20)) for number in range(80)]
    table = rows(findings(make_store(str(tmp_path / "s"), graphs)), "layers")
    mean = np.mean([row["share"] for row in table])
    assert all(row["low"] < mean < row["high"] for row in table)


def test_no_bit_depends_on_parts_their_order_compaction_or_how_much_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = GRAPHS.copy()
    random.Random(1).shuffle(shuffled)
    parts = [shuffled[first : first + 3] for first in range(0, len(shuffled), 3)]
    stores = [store, make_store(str(tmp_path / "shuffled"), *parts)]
    compact(make_store(str(tmp_path / "compacted"), *reversed(parts)).url)
    stores.append(open_store(str(tmp_path / "compacted")))
    expected = findings(store)
    monkeypatch.setattr(error_influence, "READ_ROWS", 1)
    monkeypatch.setattr(clusters_module, "_MOST_WAITING", 10)
    for one in stores:
        found = findings(one)
        assert everything(found) == everything(expected)


def test_classes_are_the_values_of_fields_with_few_values_or_of_those_named(store: Store) -> None:
    found = rows(findings(store), "classes")
    assert [(row["field"], row["value"]) for row in found] == [("topic", f"s{number}") for number in range(5)]
    (named,) = rows(findings(store, by=["kind"]), "classes")
    even = [sum(graph.scores.error_share_L) for graph in GRAPHS if graph.metadata["kind"] == "even"]
    assert (named["value"], named["prompts"], named["clusters"]) == ("even", len(even), 5)
    with pytest.raises(ConfigError, match="topik"):
        findings(store, by=["topik"])


def test_what_is_not_known_is_left_out_and_counted(tmp_path: Path) -> None:
    unknown = replace(GRAPHS[0], scores=replace(GRAPHS[0].scores, error_share_L=(float("nan"),) * LAYERS))
    too_much = replace(GRAPHS[1], influence_N=GRAPHS[1].influence_N + np.float32(1))
    no_weight = replace(GRAPHS[2], targets=tuple(replace(target, weight=0.0) for target in GRAPHS[2].targets))
    store = make_store(str(tmp_path / "s"), [unknown, too_much, no_weight, *GRAPHS[3:]])
    found, alone = findings(store), findings(make_store(str(tmp_path / "alone"), GRAPHS[3:]))
    assert (found.facts["prompts"], found.facts["prompts_unknown"]) == (9, 3)
    assert any("3 prompts are left out" in text for text in found.warnings)
    assert everything(found)[: len(found.tables)] == everything(alone)[: len(found.tables)]
    with pytest.raises(ConfigError, match="not known for any of the 1 prompts"):
        findings(make_store(str(tmp_path / "none"), [unknown]))


def test_warnings_say_that_clusters_are_missing_or_few_and_what_pruning_removed(store: Store) -> None:
    without = findings(store, cluster=None).warnings
    assert any("no clusters are named" in text for text in without)
    with_few = findings(store).warnings
    assert any("only 5 clusters" in text for text in with_few)
    assert any("pruning has removed errors with" in text for text in with_few)
    with pytest.raises(ConfigError, match=r"6 prompts, such as 'p01', have no 'kind'"):
        findings(store, cluster="kind")


def test_one_prompt_has_no_interval_and_keeps_its_share(tmp_path: Path) -> None:
    found = findings(make_store(str(tmp_path / "s"), GRAPHS[:1]))
    row = rows(found, "layers")[0]
    assert np.isnan([row["low"], row["high"]]).all()
    assert row["share"] == pytest.approx(GRAPHS[0].scores.error_share_L[0], rel=0, abs=UNIT)


def test_text_from_outside_is_printed_harmlessly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[31mred\u202e"
    graphs = [
        replace(one, token_strings=(hostile,) * len(one.tokens_P), metadata={"topic": hostile + one.metadata["topic"]})
        for one in GRAPHS
    ]
    store = make_store(str(tmp_path / "s"), graphs)
    assert main(["mine", "dark-matter", store.url, "--out", str(tmp_path / "r"), "--cluster", "topic"]) == 0
    said = capsys.readouterr().out
    assert "red" in said
    assert not {"\x1b", "\u202e"} & {*said}
