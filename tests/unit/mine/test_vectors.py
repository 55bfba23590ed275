"""Graph vectors equal those of one graph after another, bit for bit, and predict what was planted and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine import vectors
from distributed_tracer.mine.predict import _Judged, shuffled
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result
from distributed_tracer.mine.vector_values import read_vectors
from distributed_tracer.mine.vectors import mine_vectors
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import Store, open_store

pytest.importorskip("pyarrow")
LAYERS = 3


def graph(number: int, **metadata: Any) -> Graph:
    """A random graph with finite weights, of which every third has targets that are no probabilities."""
    sizes: Any = {"num_positions": 3 + number % 4, "num_active": 4 * (number % 5), "num_targets": 1 + number % 3}
    found = random_graph(f"p{number:03d}", seed=number, **sizes, metadata=metadata)
    scale = 3.0 if number % 3 == 0 else 0.25
    targets = tuple(replace(one, weight=one.weight * scale, token_id=abs(one.token_id)) for one in found.targets)
    return replace(found, targets=targets, weight_E=np.nan_to_num(found.weight_E, nan=-0.5))


GRAPHS = [graph(number, topic=number % 4) for number in range(13)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("vectors") / "store"), GRAPHS[:5], GRAPHS[5:])


def added(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def ratio(value: float, by: float) -> float:
    return value / by if by > 0 else np.nan


def entropy(values: Sequence[float]) -> float:
    total = added(values)
    if not total > 0:
        return np.nan
    shares = [np.float64(value / total) for value in values]
    return added([0.0 if share == 0 else float(-share * np.log(share)) for share in shares])


def vector_of(one: Graph) -> dict[str, float]:
    """The vector of one graph, by loops over its nodes and edges."""
    weights = [target.weight for target in one.targets]
    mass, kinds = added(weights), one.nodes.kind_N.tolist()
    features = one.nodes.where(NodeKind.FEATURE).tolist()
    influence = {node: float(one.influence_N[node]) for node in features}
    activation = {node: float(one.nodes.activation_N[node]) for node in features}
    all_influence = added([*influence.values()])
    shares = one.scores.path_length_H
    steps = [(length * 1.0, share) for length, share in enumerate(shares, 1)]
    mean = ratio(added([length * share for length, share in steps]), added(shares))
    spread = ratio(added([(length - mean) ** 2 * share for length, share in steps]), added(shares))
    edges = [abs(float(weight)) for weight in one.weight_E]
    negative = [abs(float(weight)) if weight < 0 else 0.0 for weight in one.weight_E]
    is_known = 0 < mass <= 1 + 1e-6
    found = {
        "prompt_tokens": len(one.tokens_P),
        "prompt_targets": len(weights),
        "prompt_top_probability": max(weights) if is_known else np.nan,
        "prompt_target_mass": mass if is_known else np.nan,
        "prompt_target_entropy": entropy(weights) if is_known else np.nan,
        "graph_replacement": one.scores.replacement,
        "graph_completeness": one.scores.completeness,
        "graph_constant_share": one.scores.constant_share,
        "graph_error_share": added(one.scores.error_share_L),
        "graph_active": len(one.active),
        "graph_features": kinds.count(0),
        "graph_errors": kinds.count(1),
        "graph_token_nodes": kinds.count(2),
        "graph_edges": len(edges),
        "graph_influence": ratio(all_influence, mass),
        "graph_influence_entropy": entropy([*influence.values()]),
        "graph_influence_max": ratio(max(influence.values(), default=np.nan), all_influence),
        "graph_path_mean": mean,
        "graph_path_deviation": float(np.sqrt(spread)),
        "graph_edge_mean_abs": ratio(added(edges), len(edges)),
        "graph_edge_negative": ratio(added(negative), added(edges)),
    }
    for layer in range(LAYERS):
        own = [node for node in features if one.nodes.layer_N[node] == layer]
        found |= {
            f"graph_features_layer_{layer}": len(own),
            f"graph_influence_layer_{layer}": ratio(added([influence[node] for node in own]), mass),
            f"graph_influence_max_layer_{layer}": ratio(max((influence[n] for n in own), default=np.nan), mass),
            f"graph_activation_mean_layer_{layer}": ratio(added([activation[node] for node in own]), len(own)),
            f"graph_activation_max_layer_{layer}": max((activation[node] for node in own), default=np.nan),
            f"graph_error_share_layer_{layer}": one.scores.error_share_L[layer],
        }
    return found


def test_every_vector_is_that_of_its_graph_alone_bit_for_bit(store: Store) -> None:
    found = read_vectors(choose_prompts(store, (), None))
    for rank, one in enumerate(GRAPHS):
        expected = vector_of(one)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert (
                np.float64(value).tobytes() == found[name][rank].tobytes() or np.isnan([value, found[name][rank]]).all()
            ), name
    assert any(np.isnan(column).any() for column in found.values())


def test_numbers_that_are_not_finite_stay_in_their_own_row(tmp_path: Path) -> None:
    strange = replace(
        GRAPHS[4],
        weight_E=np.full_like(GRAPHS[4].weight_E, -np.inf),
        influence_N=np.full_like(GRAPHS[4].influence_N, np.inf),
        scores=replace(GRAPHS[4].scores, path_length_H=(np.inf, 1.0), error_share_L=(np.nan,) * LAYERS),
    )
    found = read_vectors(choose_prompts(make_store(str(tmp_path / "s"), [*GRAPHS[:4], strange]), (), None))
    assert np.isnan(
        [found[name][4] for name in ("graph_edge_negative", "graph_influence_entropy", "graph_path_mean")]
    ).all()
    expected = read_vectors(choose_prompts(make_store(str(tmp_path / "s2"), GRAPHS[:4]), (), None))
    assert {name: column[:4].tobytes() for name, column in found.items()} == {
        n: c.tobytes() for n, c in expected.items()
    }


def test_no_bit_depends_on_parts_their_order_compaction_or_how_much_is_read(store: Store, tmp_path: Path) -> None:
    shuffled = GRAPHS.copy()
    random.Random(1).shuffle(shuffled)
    parts = [shuffled[first : first + 3] for first in range(0, len(shuffled), 3)]
    stores = [make_store(str(tmp_path / "shuffled"), *parts)]
    compact(make_store(str(tmp_path / "compacted"), *reversed(parts)).url)
    stores.append(open_store(str(tmp_path / "compacted")))
    expected = files(mine_vectors(store, tmp_path / "r", cluster="topic"))
    for number, one in enumerate(stores):
        assert files(mine_vectors(one, tmp_path / f"r{number}", cluster="topic")) == expected
    narrow = read_vectors(choose_prompts(store, (), None), most_rows=1)
    wide = read_vectors(choose_prompts(store, (), None))
    assert {name: column.tobytes() for name, column in narrow.items()} == {n: c.tobytes() for n, c in wide.items()}


def files(result: Result) -> list[bytes]:
    return [file.read_bytes() for table in result.tables for file in result.files(table)]


def test_no_cluster_is_in_two_folds_and_folds_depend_on_the_seed(store: Store, tmp_path: Path) -> None:
    tables = [
        mine_vectors(store, tmp_path / f"r{seed}", cluster="topic", seed=seed).table("vectors") for seed in (0, 1, 5)
    ]
    for table in tables:
        pairs = {*zip(table["cluster"].tolist(), table["fold"].tolist(), strict=True)}
        assert len(pairs) == len({cluster for cluster, _ in pairs}) == 4
        assert {fold for _, fold in pairs} == {0, 1, 2, 3}
    assert len({tuple(table["fold"].tolist()) for table in tables}) > 1
    alone = mine_vectors(store, tmp_path / "alone", cluster="topic", where="topic=1")
    assert {*alone.table("vectors")["fold"].tolist()} == {-1}
    assert any("too few clusters for folds" in text for text in alone.warnings)


def labelled(label_of: Any, number: int = 120, num_clusters: int = 20) -> list[Graph]:
    """Graphs whose replacement score follows the label, and whose lengths do not."""
    found = []
    for one in range(number):
        label = label_of(one, one % num_clusters)
        rng = np.random.default_rng(1_000 + one)
        base = random_graph(f"p{one:03d}", seed=one % 7, num_active=4, num_positions=3 + int(rng.integers(3)))
        scores = replace(base.scores, replacement=float(rng.normal(2.5 * label, 1.0)), completeness=float(rng.random()))
        metadata = {"label": label, "topic": one % num_clusters}
        found.append(replace(base, scores=scores, weight_E=np.nan_to_num(base.weight_E), metadata=metadata))
    return found


def predicted(path: Path, graphs: Sequence[Graph], seed: int = 0) -> dict[str, dict[str, Any]]:
    store = make_store(str(path / f"s{seed}"), graphs)
    found = mine_vectors(store, path / f"r{seed}", cluster="topic", predict=["label"], shuffles=39, seed=seed)
    return {row["columns"]: row for row in found.table("predictions").rows()}


def test_planted_labels_are_found_in_graphs_and_not_in_what_needs_no_graph(tmp_path: Path) -> None:
    found = predicted(tmp_path, labelled(lambda number, cluster: number // 20 % 2))
    assert found["graph"]["auroc_low"] > 0.7
    assert found["graph"]["p"] == 1 / 40
    assert found["graph"]["gain_low"] > 0.1
    assert found["graph"]["accuracy_low"] > found["graph"]["accuracy_majority"] + 0.1
    assert found["prompt"]["auroc_low"] < 0.5 < found["prompt"]["auroc_high"]
    assert np.isnan(found["prompt"]["gain"])


def test_labels_that_say_nothing_are_not_found_also_where_clusters_share_them(tmp_path: Path) -> None:
    """Labels of clusters, and everything else of clusters too: over prompts this looks like evidence."""
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        of_cluster = rng.permutation(np.arange(20) % 2)
        level = rng.normal(size=20)
        graphs = [
            replace(
                one,
                scores=replace(one.scores, replacement=float(level[number % 20] + 0.1 * rng.random())),
                metadata={"label": int(of_cluster[number % 20]), "topic": number % 20},
            )
            for number, one in enumerate(labelled(lambda number, cluster: 0))
        ]
        found.append(predicted(tmp_path, graphs, seed)["graph"])
    assert sum(row["p"] <= 0.05 for row in found) <= 2
    assert sum(row["auroc_low"] > 0.5 for row in found) <= 2
    assert abs(np.mean([row["auroc_shuffled"] for row in found]) - 0.5) < 0.03


def test_shuffled_labels_stay_together_as_far_as_they_were_in_clusters() -> None:
    cluster = np.repeat(np.arange(10), 6)
    same = shuffled((cluster < 5).astype(float), cluster, 50, 0)
    assert all(len({*label[cluster == one]}) == 1 for label in same for one in range(10))
    varied = shuffled(np.tile([0.0, 1.0], 30), cluster, 50, 0)
    assert all(label[cluster == one].sum() == 3 for label in varied for one in range(10))
    for labels in (same, varied):
        assert len({label.tobytes() for label in labels}) > 30


def test_the_auroc_is_that_of_all_pairs_of_one_fold_and_its_interval_leaves_out_clusters() -> None:
    rng = np.random.default_rng(3)
    score, label = rng.integers(0, 6, 40).astype(float), (rng.random(40) < 0.4).astype(float)
    cluster = rng.integers(0, 10, 40)
    fold = cluster % 3

    def by_pairs(keep: Any) -> float:
        pairs = [(score[i] > score[j]) + 0.5 * (score[i] == score[j]) for i in keep for j in keep
                 if fold[i] == fold[j] and label[i] > label[j]]  # fmt: skip
        return float(np.mean(pairs))

    judged = _Judged(np.stack([score, score], 1), np.stack([label, label], 1), cluster, fold)
    assert judged.auroc == pytest.approx(by_pairs(range(40)), rel=1e-12)
    left_out = [by_pairs(np.flatnonzero(cluster != one)) for one in range(10)]
    assert judged.without.tolist() == pytest.approx(left_out, rel=1e-12)


def test_what_cannot_be_predicted_is_refused_before_anything_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "vector_findings", lambda *args: pytest.fail("graphs are read"))
    many = make_store(str(tmp_path / "s"), [graph(n, same="x", own=n, topic=n % 4) for n in range(25)])
    for of, message in (("topik", "topik"), ("same", "has 1 value "), ("own", "has 25 values")):
        with pytest.raises(ConfigError, match=message):
            mine_vectors(many, tmp_path / "r", cluster="topic", predict=[of])
    with pytest.raises(ConfigError, match="from 19 to 10,000"):
        mine_vectors(many, tmp_path / "r", cluster="topic", predict=["topic"], shuffles=5)
    with pytest.raises(ConfigError, match="at least 3 to predict"):
        mine_vectors(many, tmp_path / "r", cluster="same", predict=["topic"])
    with pytest.raises(ConfigError, match=r"0\.05 GB"):
        mine_vectors(many, tmp_path / "r", memory_gb=0.01)


def test_the_command_says_what_predicts_and_what_it_would_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[31mred\u202e"
    graphs = [graph(number, topic=number % 6, label=hostile if number % 2 else "plain") for number in range(18)]
    store = make_store(str(tmp_path / "s"), graphs)
    command = ["mine", "vectors", store.url, "--out", str(tmp_path / "r"), "--cluster", "topic", "--predict", "label"]
    assert main([*command, "--dry-run"]) == 0
    assert "edges of 18 prompts to read" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()
    assert main([*command, "--shuffles", "19"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("18 prompts: 34 numbers of each graph, 5 numbers that need none; 6 clusters in 5 folds")
    assert "what predicts label:" in said
    assert "warning: there are only 6 clusters" in said
    assert not {"\x1b", "\u202e"} & {*said}
    assert main([*command, "--shuffles", "19", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"]["columns_of_prompts"] == 5
    assert main([*command, "--seed", "1"]) == 1
    assert "made otherwise" in capsys.readouterr().err
