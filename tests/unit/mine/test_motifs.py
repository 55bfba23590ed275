"""mine motifs: planted loops are found, graphs without any give none, and only if positions are kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mined_graphs import graph as recurring_graph
from motif_stores import placed_graph, random_edges
from random_stores import make_store
from scipy import stats

from distributed_tracer.cli.main import main
from distributed_tracer.config import RunConfig
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine import loop_strengths
from distributed_tracer.mine.clusters import Clusters
from distributed_tracer.mine.motif_counts import MOTIFS, MotifGraph, count_motifs
from distributed_tracer.mine.motif_graphs import Null, PromptGraph
from distributed_tracer.mine.motif_plan import plan_motifs
from distributed_tracer.mine.motif_statistics import VALUES, NullSettings, compare, graph_against_draws, over_graphs
from distributed_tracer.mine.motifs import mine_motifs
from distributed_tracer.mine.result import Result
from distributed_tracer.runtime.task_runner import task_runner
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.tasks.phases import perform_here
from distributed_tracer.tasks.task import Done, TaskCall

SHAPE = (6, 8, 6)
QUICK: dict[str, Any] = {"draws": 39, "steps": 60}


def structureless(number: int, planted: int = 0, **metadata: Any) -> Graph:
    """A random graph, in which `planted` feed-forward loops between features that have no other edge are put."""
    edges = random_edges(np.random.default_rng(number), SHAPE, num_edges=1_000)
    for loop in range(planted):
        one, two, three = ((layer, 7, 1_000 + loop) for layer in (0, 2, 4))
        edges |= {(one, two): 1.0, (two, three): 1.0, (one, three): 2.0}
    return placed_graph(f"p{number:02d}", edges, SHAPE[0], SHAPE[1], **metadata)


def row_of(result: Result, null: str, motif: str) -> dict[str, Any]:
    (row,) = (row for row in result.table("motifs").rows() if (row["null"], row["motif"]) == (null, motif))
    return row


@pytest.fixture(scope="module")
def structureless_result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("structureless")
    store = make_store(str(folder / "store"), [structureless(number) for number in range(8)])
    return mine_motifs(store, folder / "out", top=0, **QUICK)


def test_without_positions_a_graph_without_motifs_is_full_of_them(structureless_result: Result) -> None:
    """The trap: the field's usual null keeps degrees per layer, and takes the order of tokens for a motif."""
    trap, right = (row_of(structureless_result, null, "ffl") for null in ("layer", "position"))
    assert trap["z"] > 10
    assert trap["q"] < 0.05
    assert (trap["more"], trap["controlled"]) == (1.0, "no")
    assert abs(right["z"]) < 1
    assert right["q"] > 0.05
    assert right["controlled"] == "yes"
    assert any("ignores positions" in text for text in structureless_result.warnings)


def test_planted_loops_are_counted_and_found(tmp_path: Path) -> None:
    plain, planted = ([structureless(number, planted=own) for number in range(8)] for own in (0, 40))
    results = [
        mine_motifs(make_store(str(tmp_path / name), graphs), tmp_path / f"out-{name}", null="both", top=50, **QUICK)
        for name, graphs in (("plain", plain), ("planted", planted))
    ]
    counts = [own.table("graphs") for own in results]
    for motif in ("ffl", "ffl_coherent", "ffl_ppp"):
        before, after = (own["observed"][(own["null"] == "position") & (own["motif"] == motif)] for own in counts)
        assert (after - before == 40).all(), motif
    row = row_of(results[1], "position", "ffl")
    assert row["z"] > 3
    assert row["rank"] == 1.0
    assert row["q"] < 0.05
    loops = results[1].table("loops")
    listed = [(row["first_feature"], row["signs"], row["prompts"], row["instances"]) for row in loops.rows()][:40]
    assert sorted(listed) == [(1_000 + loop, "+++", 8, 8) for loop in range(40)]


def graph_of(edges: dict[Any, float]) -> PromptGraph:
    """What is read of a graph, without a store."""
    places = sorted({place for pair in edges for place in pair})
    number = {place: node for node, place in enumerate(places)}
    source, target = np.array([[number[one], number[other]] for one, other in edges], dtype=np.int64).T
    layer, position, feature = np.array(places).T
    none = np.zeros(len(places), dtype=bool)
    weight = np.array(list(edges.values()))
    share = np.abs(weight) / np.bincount(target, np.abs(weight))[target]
    graph = MotifGraph(source, target, weight > 0, share, none, none)
    of_place = layer * 100 + position
    groups: dict[Null, Any] = {"position": of_place, "signed": of_place, "layer": layer.copy()}
    return PromptGraph(0, graph, feature.astype(np.int64), groups, 0)


def p_values_of_null_stores(num_stores: int, num_graphs: int) -> dict[str, np.ndarray]:
    """p of each motif under the null `signed` in stores of random graphs, and the p-values of all their graphs."""
    over_clusters, of_graphs = [], []
    for store in range(num_stores):
        values = []
        for number in range(num_graphs):
            own = graph_of(random_edges(np.random.default_rng([store, number]), (4, 4, 6), num_edges=160))
            observed = count_motifs(own.graph, own.graph.source_E[None])[0]
            values.append(
                graph_against_draws(own, f"{store}-{number}", observed, "signed", NullSettings(19, 40, 0)).values
            )
        found = np.array(values).transpose(1, 0, 2)
        clusters = Clusters(np.arange(num_graphs, dtype=np.int32), [str(own) for own in range(num_graphs)], "own")
        over_clusters.append(over_graphs(dict(zip(VALUES, found, strict=True)), clusters, "signed", 999, 0))
        of_graphs.append(found[VALUES.index("p")])
    return {
        "p": np.array([own["p"] for own in over_clusters]),
        "q": np.array([own["q"] for own in over_clusters]),
        "graphs": np.concatenate(of_graphs),
    }


def check_null_stores(num_stores: int, num_graphs: int) -> None:
    found = p_values_of_null_stores(num_stores, num_graphs)
    for motif in ("ffl", "ffl_coherent", "ffl_incoherent", "ffl_ppp", "ffl_ppn", "bi_fan"):
        own = found["p"][:, MOTIFS.index(motif)]
        assert np.isfinite(own).all()
        assert stats.binomtest(int((own <= 0.05).sum()), num_stores, 0.05, "greater").pvalue > 0.001, motif
        of_graphs = found["graphs"][:, MOTIFS.index(motif)]
        known = of_graphs[~np.isnan(of_graphs)]
        assert len(known) > 0.9 * len(of_graphs)
        assert stats.binomtest(int((known <= 0.05).sum()), len(known), 0.05, "greater").pvalue > 0.001, motif
    is_kept = [not name.endswith("_share") for name in MOTIFS]
    any_found = (found["q"][:, is_kept] <= 0.05).any(axis=1)
    assert stats.binomtest(int(any_found.sum()), num_stores, 0.05, "greater").pvalue > 0.001


def test_stores_without_motifs_give_no_more_findings_than_the_stated_rate() -> None:
    check_null_stores(num_stores=16, num_graphs=8)


@pytest.mark.slow
@pytest.mark.thorough
def test_many_stores_without_motifs_give_no_more_findings_than_the_stated_rate() -> None:
    check_null_stores(num_stores=200, num_graphs=10)


def test_signs_that_belong_to_nodes_look_like_coherence_unless_they_are_kept(tmp_path: Path) -> None:
    """Features that only excite or only inhibit make coherent loops frequent, though nothing is planted."""
    graphs = []
    for number in range(8):
        edges = random_edges(np.random.default_rng(100 + number), (5, 3, 8), num_edges=700)
        signed = {pair: abs(own) * (1 if pair[0][2] % 4 else -1) for pair, own in edges.items()}
        graphs.append(placed_graph(f"p{number}", signed, 5, 3))
    result = mine_motifs(make_store(str(tmp_path / "store"), graphs), tmp_path / "out", top=0, **QUICK)
    loose, kept = (row_of(result, null, "ffl_npn") for null in ("position", "signed"))
    assert (loose["controlled"], kept["controlled"]) == ("no", "yes")
    assert loose["q"] < 0.05
    assert loose["z"] > 3
    assert kept["q"] > 0.05 or np.isnan(kept["q"])


def test_a_graph_that_cannot_change_is_unknown(tmp_path: Path) -> None:
    chain = {((layer, 0, 0), (layer + 1, 0, 0)): 1.0 for layer in range(3)} | {((0, 0, 0), (2, 0, 0)): 1.0}
    graphs = [placed_graph(f"p{number}", chain, 4, 2) for number in range(6)]
    result = mine_motifs(make_store(str(tmp_path / "store"), graphs), tmp_path / "out", null="position", **QUICK)
    row = row_of(result, "position", "ffl")
    assert (row["graphs"], row["graphs_unknown"], row["clusters"]) == (0, 6, 0)
    assert all(np.isnan(row[name]) for name in ("p", "q", "z", "rank", "log_ratio"))
    assert (result.table("nulls")["fixed"] == 1).all()
    assert np.isnan(result.table("nulls")["acceptance"]).all()
    of_graphs = result.table("graphs")
    assert (of_graphs["observed"][of_graphs["motif"] == "ffl"] == 1).all()
    assert np.isnan(of_graphs["p"]).all()
    assert any("nothing is known of them" in text for text in result.warnings)
    assert any("hardly differ" in text for text in result.warnings)


def test_ranks_and_p_values_are_those_of_counting() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([[0.0, 5, 1, np.nan], [1, 5, 1, 2], [2, 5, 3, 2], [3, 5, 1, 2]])
    found = dict(zip(VALUES, compare(np.array([2.0, 5, 5, 2]), drawn, rng), strict=True))
    assert np.array_equal(found["p"][:3], [3 / 5, np.nan, 1 / 5], equal_nan=True)
    assert np.array_equal(found["p_low"][:3], [4 / 5, np.nan, 1.0], equal_nan=True)
    assert found["rank"][0] in (0.0, 0.5)
    assert found["rank"][2] == 1.0
    assert all(np.isnan(found[name][3]) for name in ("z", "p", "rank"))
    ranks = [compare(np.array([1.0]), np.ones((4, 1)) * [[1], [1], [1], [2]], rng)[-1, 0] for _ in range(400)]
    assert Counter(ranks).keys() == {-1.0, -0.5, 0.0, 0.5}, "ties are broken at random"


CASES: dict[str, Any] = {"draws": 19, "steps": 10, "top": 200}


def recurring(numbers: Sequence[int]) -> list[Graph]:
    """Graphs with circles, edges of weight 0 and of unknown weight, unknown rows, and one row that is too small."""
    found = []
    for number in numbers:
        own = recurring_graph(number, num_active=25)
        weight_E = np.where(np.abs(own.weight_E) > 1e10, 2.0, own.weight_E).astype(np.float32)
        row_N = np.bincount(own.target_E(), np.nan_to_num(np.abs(weight_E), posinf=0.0), len(own.nodes))
        row_N[np.isnan(own.row_abs_sum_N)] = np.nan
        row_N[np.flatnonzero(row_N > 0)[-1]] = 1e-3
        family = {"family": f"f{number % 3}"}
        found.append(replace(own, weight_E=weight_E, row_abs_sum_N=row_N.astype(np.float32), metadata=family))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("recurring")), recurring([4, 0, 2]), recurring([1, 3, 5, 6, 7]))


@pytest.fixture(scope="module")
def result(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return mine_motifs(store, tmp_path_factory.mktemp("result") / "out", cluster="family", **CASES)


def bytes_of(result: Result) -> dict[str, bytes]:
    return {name: path.read_bytes() for name in result.tables for path in result.files(name)}


def test_the_tables_do_not_depend_on_parts_workers_and_compaction(store: Store, result: Result, tmp_path: Path) -> None:
    other = make_store(str(tmp_path / "store"), *([own] for own in recurring([7, 6, 5, 4, 3, 2, 1, 0])))
    with task_runner(RunConfig(workers=2)) as run:
        found = mine_motifs(other, tmp_path / "parts", cluster="family", run=run, **CASES)
    assert bytes_of(found) == bytes_of(result)
    compact(other.url)
    compacted = mine_motifs(open_store(other.url), tmp_path / "compacted", cluster="family", **CASES)
    assert bytes_of(compacted) == bytes_of(result)
    assert {**found.facts} == {**compacted.facts} == {**result.facts}


def test_another_seed_draws_other_graphs_but_counts_the_same(store: Store, result: Result, tmp_path: Path) -> None:
    other = mine_motifs(store, tmp_path / "out", cluster="family", seed=1, **CASES)
    one, two = result.table("graphs"), other.table("graphs")
    assert np.array_equal(one["observed"], two["observed"], equal_nan=True)
    assert not np.array_equal(one["null_mean"], two["null_mean"], equal_nan=True)


class Stopping:
    """Does the calls until some were done, then fails as a machine does; notes how many it did."""

    def __init__(self, most: int) -> None:
        self.most, self.done = most, 0

    def __call__(self, calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        for call in calls:
            if self.done == self.most:
                raise OSError("the machine stops")
            yield from perform_here([call])
            self.done += 1


def test_a_run_that_was_interrupted_goes_on(
    store: Store, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed_tracer.mine.motifs._TEST_ROWS", 1)
    first, second, third = Stopping(5), Stopping(1_000), Stopping(0)
    with pytest.raises(OSError, match="the machine stops"):
        mine_motifs(store, tmp_path / "out", cluster="family", run=first, **CASES)
    found = mine_motifs(store, tmp_path / "out", cluster="family", run=second, **CASES)
    assert bytes_of(found) == bytes_of(result)
    assert second.done == 8 + 2 * 2 + 1 - 5, "a task for each graph, two for each part's loops, and one that chooses"
    again = mine_motifs(store, tmp_path / "out", cluster="family", run=third, **CASES)
    assert bytes_of(again) == bytes_of(found)


def sites_of(graph: Graph) -> list[tuple[int, int, int]]:
    """Kind, layer and feature or token of each node."""
    nodes = graph.nodes
    return [
        (int(kind), int(layer), int(graph.targets[feature].token_id if kind == NodeKind.TARGET else feature))
        for kind, layer, feature in zip(nodes.kind_N, nodes.layer_N, nodes.feature_N, strict=True)
    ]


def enumerated_loops(graphs: Sequence[Graph]) -> dict[Any, Any]:
    """For each loop, by sites and signs: prompt -> [strength, instances]."""
    found: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0]))
    for graph in graphs:
        kept = {
            (source, target): weight
            for source, target, weight in graph.edges()
            if np.isfinite(weight) and weight and source != target
        }
        row = np.nan_to_num(graph.row_abs_sum_N.astype(float))
        share = {pair: abs(own) / row[pair[1]] if row[pair[1]] > 0 else 0.0 for pair, own in kept.items()}
        share = {pair: own if own <= 1.0001 else 0.0 for pair, own in share.items()}
        sites = sites_of(graph)
        into = defaultdict(list)
        for source, target in kept:
            into[target].append(source)
        for middle, last in kept:
            for first in into[middle]:
                if (first, last) in kept:
                    pairs = ((first, middle), (middle, last), (first, last))
                    signs = "".join("+" if kept[pair] > 0 else "-" for pair in pairs)
                    entry = found[sites[first], sites[middle], sites[last], signs][graph.prompt_id]
                    entry[0] += share[pairs[0]] * share[pairs[1]] * share[pairs[2]]
                    entry[1] += 1
    return found


def test_listed_loops_are_those_of_enumeration(store: Store, tmp_path: Path) -> None:
    result = mine_motifs(store, tmp_path / "out", null="layer", cluster="family", draws=19, steps=1, top=100_000)
    graphs = list(store.graphs(list(store)))
    cluster_of = {own.prompt_id: own.metadata["family"] for own in graphs}
    sizes = Counter(cluster_of.values())
    expected = {
        key: own for key, own in enumerated_loops(graphs).items() if len({cluster_of[prompt] for prompt in own}) >= 2
    }
    assert len(expected) == len(result.table("loops")) == result.facts["loops_recurring"] > 40
    kinds = [kind.name.lower() for kind in NodeKind]
    present = [set(sites_of(graph)) for graph in graphs]
    strengths = []
    for row in result.table("loops").rows():
        ends = [
            (kinds.index(row[f"{own}_kind"]), row[f"{own}_layer"], row[f"{own}_feature"])
            for own in ("first", "middle", "last")
        ]
        own = expected.pop((*ends, row["signs"]))
        assert (row["prompts"], row["instances"]) == (len(own), sum(count for _, count in own.values()))
        assert row["prompts_sites"] == sum(present_in.issuperset(ends) for present_in in present) >= len(own)
        strength = sum(value / sizes[cluster_of[prompt]] for prompt, (value, _) in own.items()) / len(sizes)
        assert abs(row["strength"] - strength) <= 2.0**-40 * (row["instances"] + len(own)) + nearly_of(strength)
        assert row["coherent"] == ("yes" if row["signs"].count("-") % 2 == 0 else "no")
        strengths.append(row["strength"])
    assert not expected
    assert strengths == sorted(strengths, reverse=True)


def nearly_of(value: float) -> float:
    return 100 * np.finfo(np.float64).eps * value


def test_with_little_memory_only_loops_are_listed_that_are_certain(store: Store, tmp_path: Path) -> None:
    plan: dict[str, Any] = {"null": "layer", "cluster": "family", "draws": 19, "steps": 1, "top": 100_000}
    whole = mine_motifs(store, tmp_path / "whole", **plan).table("loops")
    small = mine_motifs(store, tmp_path / "small", memory_gb=2_000 * loop_strengths.ROW_BYTES / 1e9, **plan)
    few = small.table("loops")
    assert 0 < len(few) < len(whole)
    assert list(few.rows()) == list(whole.rows())[: len(few)]
    assert not small.facts["loops_complete"]
    assert any("do not fit" in text for text in small.warnings)


def test_a_graph_with_too_many_loops_to_list_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_strengths, "MOST_LOOPS", 10)
    with pytest.raises(ConfigError, match="more than 10 feed-forward loops, too many to list: use --top 0"):
        mine_motifs(store, tmp_path / "out", null="layer", draws=19, steps=1)
    assert mine_motifs(store, tmp_path / "out", null="layer", draws=19, steps=1, top=0).facts["loops"] == 0


def test_only_edges_from_features_are_counted_on_request(store: Store, tmp_path: Path) -> None:
    result = mine_motifs(store, tmp_path / "out", null="position", edges="features", draws=19, steps=2, top=20)
    assert set(result.table("loops")["first_kind"].tolist()) <= {"feature"}
    for graph in store.graphs(list(store)):
        edges = [own for own in graph.edges() if graph.nodes.kind_N[own[0]] == NodeKind.FEATURE]
        kept = [own for own in edges if np.isfinite(own[2]) and own[2] and own[0] != own[1]]
        (row,) = (row for row in result.table("nulls").rows() if row["prompt"] == graph.prompt_id)
        assert (row["edges"], row["left_out"]) == (len(kept), len(edges) - len(kept))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"null": "positions"}, "position"),
        ({"draws": 3}, "draws must be at least 19, not 3"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"edges": "some"}, "features"),
        ({"cluster": "famly"}, "family"),
        ({"memory_gb": 0}, "memory_gb must be more than 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(store: Store, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_motifs(store, **options)


def test_the_command_says_what_it_takes_and_what_it_finds(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["mine", "motifs", store.url, "--out", str(tmp_path / "out"), "--cluster", "family", "--draws", "19"]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "8 prompts in 3 clusters" in said
    assert "on one core" in said
    assert not (tmp_path / "out").exists()
    assert main([*command, "--steps", "10"]) == 0
    said = capsys.readouterr().out
    assert "null signed: " in said
    assert "feed-forward loops that recur" in said
    assert "warning: " in said
    assert "\x1b" not in said
