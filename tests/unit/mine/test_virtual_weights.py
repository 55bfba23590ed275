"""Virtual weights of stores: equal to plain loops, the same after rescaling, and true where the truth is planted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from feature_weights import graph_with, vectors_with
from numpy.testing import assert_array_equal
from random_stores import RUN_INFO, make_store, write_part
from rounding import additions, nearly, of_roundings, round_off
from safetensors.torch import load_file, save_file
from tiny import LAYERS, TOKENIZER, WIDTH, hf_model, save_model, save_transcoders
from transformers import AutoTokenizer

from distributed_tracer.artifacts.files_in_use import FilesInUse
from distributed_tracer.cli.main import main
from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import ConfigError, StoreMismatch
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.norm_scales import NormScales
from distributed_tracer.mine.direct_edges import direct_edges
from distributed_tracer.mine.feature_vectors import FeatureVectors, feature_vectors
from distributed_tracer.mine.result import open_result
from distributed_tracer.mine.virtual_weights import VirtualWeights, virtual_weights
from distributed_tracer.mine.weight_columns import CALIBRATION, GATED, PAIRS, TOGETHER
from distributed_tracer.model.load import wrap
from distributed_tracer.model.norm_weights import transcoder_norms
from distributed_tracer.prompt import Prompt
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.transcoder.load import load_transcoders, transcoders_by_layer

PROMPTS = [(1, 40, 296, 86, 28, 263), (1, 263, 270, 297, 40, 269), (1, 86, 40, 28, 28), (1, 297, 296, 40, 263, 86, 28)]
TABLES = ("pairs", "together", "gated", "calibration")
ALL = {"top": 10**6, "candidates": 10**6, "min_positions": 1}


def same(one: VirtualWeights, other: VirtualWeights) -> bool:
    """Whether two results are equal bit for bit."""
    return all(
        getattr(one, table)[name].tolist() == getattr(other, table)[name].tolist()
        or getattr(one, table)[name].tobytes() == getattr(other, table)[name].tobytes()
        for table in TABLES
        for name in getattr(one, table).columns
    ) and repr((one.facts, one.warnings)) == repr((other.facts, other.warnings))


def traced(architecture: str, transcoders: Path) -> list[Graph]:
    """Whole graphs of all prompts, two of which are of one template."""
    model = wrap(hf_model(architecture), AutoTokenizer.from_pretrained(TOKENIZER))
    loaded = load_transcoders(str(transcoders))
    config = TraceConfig(None, max_targets=2, keep_all=True)
    prompts = [Prompt(f"p{n}", tokens=tokens, metadata={"template": n // 2}) for n, tokens in enumerate(PROMPTS)]
    return [attribute(prompt, model, loaded, config) for prompt in prompts]


def vectors_of(architecture: str, transcoders: Path, folder: Path) -> FeatureVectors:
    hf_model(architecture).save_pretrained(folder / "model")
    loaded = transcoders_by_layer(str(transcoders))
    return FeatureVectors(loaded, transcoder_norms(str(folder / "model"), loaded.shape))


@pytest.mark.parametrize(("architecture", "kind"), [("llama", "plt"), ("gemma2", "clt")])
def test_every_number_is_that_of_plain_loops(architecture: str, kind: Any, tmp_path: Path) -> None:
    transcoders = save_transcoders(tmp_path / "transcoders", kind=kind, size=12)
    graphs = traced(architecture, transcoders)
    vectors = vectors_of(architecture, transcoders, tmp_path)
    found = virtual_weights(make_store(str(tmp_path / "store"), graphs), vectors, cluster="template", **ALL)

    read = [vectors.read(layer, np.arange(12)) for layer in range(LAYERS)]
    written = {
        (layer, to): vectors.written(layer, np.arange(12), to)
        for layer in range(LAYERS)
        for to in vectors.shape.writes_to(layer)
    }
    sites, active, split = [], {}, dict[Any, list[Any]]()
    for graph in graphs:
        names = ("layer", "position", "feature", "activation")
        rows = zip(*(getattr(graph.active, f"{name}_A").tolist() for name in names), strict=True)
        for layer, position, feature, value in rows:
            active.setdefault((layer, feature), {})[graph.prompt_id, position] = value
            sites.append((graph.prompt_id, position))
        parts, nodes, target_E = direct_edges(graph, vectors), graph.nodes, graph.target_E()
        for edge, (source, target) in enumerate(zip(graph.source_E.tolist(), target_E.tolist(), strict=True)):
            if nodes.kind_N[source] == nodes.kind_N[target] == NodeKind.FEATURE:
                key = tuple(int(x) for end in (source, target) for x in (nodes.layer_N[end], nodes.feature_N[end]))
                apart = nodes.position_N[source] != nodes.position_N[target]
                split.setdefault((key, bool(apart)), []).append(
                    (graph.metadata["template"], graph.prompt_id, graph.weight_E[edge], parts.direct_E[edge])
                )
    num_sites, scales = len(set(sites)), {graph.prompt_id: graph.scales for graph in graphs}
    mean = {key: np.mean(list(at.values())) for key, at in active.items()}

    def of_clusters(rows: list[Any], column: int) -> float:
        """Mean over edges of a prompt, prompts of a cluster, clusters."""
        by_cluster = []
        for cluster in sorted({row[0] for row in rows}):
            prompts = sorted({row[1] for row in rows if row[0] == cluster})
            by_cluster.append(
                np.mean([np.mean([float(row[column]) for row in rows if row[1] == prompt]) for prompt in prompts])
            )
        return float(np.mean(by_cluster))

    expected_pairs = {(a, b) for a in active for b in active if a[0] < b[0]}
    assert found.facts["num_compared"] == len(expected_pairs)
    assert found.facts["num_positions"] == num_sites
    assert len(found.together) == len(expected_pairs)
    relative = round_off(torch.float64, additions(LAYERS, WIDTH)) + of_roundings(torch.float32, 8)
    checked = 0
    for row in found.pairs.rows():
        a, b = ((row[f"{side}_layer"], row[f"{side}_feature"]) for side in ("source", "target"))
        terms = {
            to: (written[a[0], to][a[1]] * read[b[0]][b[1]]).sum() for to in vectors.shape.writes_to(a[0]) if to < b[0]
        }
        size = sum(np.abs(written[a[0], to][a[1]] * read[b[0]][b[1]]).sum() for to in terms)
        both = sorted(active[a].keys() & active[b].keys())
        assert (row["positions_source"], row["positions_both"]) == (len(active[a]), len(both))
        scaled = {
            (prompt, p): scales[prompt].read_PL[p, b[0]].astype(float)
            * sum(scales[prompt].write_PL[p, to].astype(float) * value for to, value in terms.items())
            for prompt, p in both
        }
        largest_scale = max(
            (scales[prompt].read_PL[p, b[0]] * scales[prompt].write_PL[p].max() for prompt, p in both), default=1.0
        )
        value = sum(terms.values())
        era = sum(active[a][at] for at in both) / num_sites * value / mean[b]
        twera = sum(active[a][at] * active[b][at] for at in both) / sum(active[b].values()) * value / mean[b]
        direct = sum(active[a][at] * active[b][at] * scaled[at] for at in both) / sum(active[b].values()) / mean[b]
        off = relative * size * mean[a] / mean[b] * 20
        assert abs(row["weight"] - mean[a] * value / mean[b]) <= off
        assert abs(row["era"] - era) <= off
        assert abs(row["twera"] - twera) <= off
        assert abs(row["direct"] - direct) <= off * largest_scale
        key = (*a, *b)
        same_rows, apart_rows = split.get((key, False), []), split.get((key, True), [])
        assert (row["edges"], row["edges_apart"]) == (len(same_rows), len(apart_rows))
        for name, column in (("edge", 2), ("edge_direct", 3)):
            if same_rows:
                largest = max(abs(float(r[column])) for r in same_rows) + size * mean[a] * largest_scale
                assert abs(row[name] - of_clusters(same_rows, column) / mean[b]) <= relative * largest / mean[b] * 20
                checked += 1
            else:
                assert np.isnan(row[name])
        if apart_rows:
            largest = max(abs(float(r[2])) for r in apart_rows)
            assert abs(row["edge_apart"] - of_clusters(apart_rows, 2) / mean[b]) <= relative * largest / mean[b]
    assert checked > 20


def test_rescaled_transcoders_change_no_reported_number(tmp_path: Path) -> None:
    folder = save_transcoders(tmp_path / "one", activation="jumprelu", size=16)
    other = save_transcoders(tmp_path / "other", activation="jumprelu", size=16)
    rng = np.random.default_rng(0)
    for layer in range(LAYERS):
        factor = torch.from_numpy(2.0 ** rng.integers(-6, 7, 16)).float()  # exact, so that no bit may change
        for name in [f"layer_{layer}.safetensors"]:
            tensors = load_file(other / name)
            for key in tensors:
                if key.startswith(("W_enc", "b_enc")) or key.endswith("threshold"):
                    tensors[key] = tensors[key] * factor.view(-1, *[1] * (tensors[key].ndim - 1))
                elif key.startswith("W_dec"):
                    tensors[key] = tensors[key] / factor.view(-1, *[1] * (tensors[key].ndim - 1))
            save_file(tensors, other / name)
    results, activations = [], []
    for name, transcoders in (("one", folder), ("other", other)):
        graphs = traced("gemma2", transcoders)
        store = make_store(str(tmp_path / f"store-{name}"), graphs)
        activations.append(np.concatenate([graph.active.activation_A for graph in graphs]))
        vectors = vectors_of("gemma2", transcoders, tmp_path)
        results.append(virtual_weights(store, vectors, cluster="template", **ALL))
    assert (activations[0] != activations[1]).any()
    assert len(results[0].pairs) > 20
    assert same(*results)


def test_pairs_too_rare_for_half_precision_survive(tmp_path: Path) -> None:
    num_prompts, small = 40, 2.0**-20
    graphs = [graph_with(f"p{n}", {(0, 1, 1): 1.0, (1, 1, 1): 1.0}) for n in range(num_prompts)]
    graphs[7] = graph_with("p7", {(0, 1, 0): small, (1, 1, 0): small})
    store = make_store(str(tmp_path), graphs)
    found = virtual_weights(store, vectors_with(np.array([[3.0, 0.0], [0.0, 0.5]])), min_positions=1)
    row = next(row for row in found.pairs.rows() if row["source_feature"] == 0)
    expectation = small / num_prompts  # E[1(a_j > 0) a_i], of one position of 40
    assert expectation < 6e-8
    assert np.float16(expectation) == 0
    assert row["era"] == expectation * 3.0 / small
    assert row["twera"] == 3.0
    assert len(found.pairs) == 2


def planted(seed: int, num_prompts: int = 120) -> list[Graph]:
    """Features 0 to 5 of layer 0 and 0 to 5 of layer 1, alike in clusters; source 0 and target 0 are never together,
    source 1 and target 1 nearly always, source 2 nearly never, and target 3 is active with source 3 only if source 4 is
    active, too."""
    rng = np.random.default_rng(seed)
    graphs = []
    for number in range(num_prompts):
        sites, edges = {}, {}
        for position in range(8):
            on = rng.random((2, 6)) < 0.35
            on[1, 0] &= not on[0, 0]
            on[1, 1] = on[0, 1] if rng.random() < 0.95 else not on[0, 1]
            on[0, 2] = on[1, 2] = rng.random() < 0.004
            on[1, 3] = on[0, 3] and on[0, 4] and rng.random() < 0.4
            for layer, feature in zip(*on.nonzero(), strict=True):
                sites[int(layer), position, int(feature)] = float(rng.exponential(1.0)) + 0.5
            for feature in range(6):
                ends = (0, position, feature), (1, position, feature)
                if all(end in sites for end in ends):
                    edges[ends] = sites[ends[0]] * 2.0 + 0.1
        graphs.append(graph_with(f"p{number:03}", sites, edges, 8, read=2.0, topic=number // 3))
    return graphs


WEIGHTS = np.full((6, 6), 0.01) + np.diag(np.full(6, 0.99))


def test_interference_union_gate_and_lack_of_power_are_told_apart(tmp_path: Path) -> None:
    found = virtual_weights(make_store(str(tmp_path), planted(0)), vectors_with(WEIGHTS), cluster="topic")
    by_pair = {(row["source_feature"], row["target_feature"]): row for row in found.together.rows()}
    assert len(by_pair) == 36
    kinds = {pair: row["finding"] for pair, row in by_pair.items()}
    assert kinds[0, 0] == "interference"
    assert kinds[1, 1] == "together"
    assert kinds[2, 0] == kinds[2, 5] == "unknown"
    assert by_pair[2, 5]["positions_both"] <= by_pair[2, 5]["expected"] + 5
    independent = {(a, b) for a in (0, 1, 3, 4, 5) for b in (0, 1, 4, 5) if a != b or a > 3} - {(0, 1), (1, 0)}
    assert {kinds[pair] for pair in independent} == {"as by chance"}
    gated = {(row["source_feature"], row["target_feature"]): row["finding"] for row in found.gated.rows()}
    assert gated == {(3, 3): "gated"}
    row = next(iter(found.gated.rows()))
    assert (row["gate_layer"], row["gate_feature"]) == (0, 4)
    assert row["share_without"] == 0 < 0.3 < row["share_with"]
    assert row["share_low"] < row["share"] < row["share_high"] <= 0.2
    assert row["clusters_with_sign"] == row["clusters_edges"] > 5
    assert row["edge_direct"] + row["edge_attention"] == row["edge"]
    assert found.facts["num_unknown"] == 10
    assert any("fewer than 5 common positions" in text for text in found.warnings)


def test_too_few_clusters_say_nothing_of_chance(tmp_path: Path) -> None:
    graphs = [replace(graph, metadata={"family": number % 7}) for number, graph in enumerate(planted(0))]
    found = virtual_weights(make_store(str(tmp_path), graphs), vectors_with(WEIGHTS), cluster="family")
    assert set(found.together["finding"]) == {"unknown"}
    assert (found.facts["num_tested_fewer"], found.facts["num_tested_more"], found.facts["num_strong"]) == (0, 0, 36)
    assert any("only 7 clusters" in text for text in found.warnings)


def test_a_negative_weight_between_features_that_avoid_each_other_may_be_inhibition(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[0, 0] = -1.0
    found = virtual_weights(make_store(str(tmp_path), planted(0)), vectors_with(weights), cluster="topic")
    row = next(row for row in found.together.rows() if (row["source_feature"], row["target_feature"]) == (0, 0))
    assert row["finding"] == "inhibition or interference"
    assert (found.facts["num_interference"], found.facts["num_inhibition"]) == (0, 1)


def test_a_target_whose_edges_change_their_sign_is_not_called_gated(tmp_path: Path) -> None:
    graphs = planted(0)
    rng = np.random.default_rng(0)
    mixed = [
        replace(graph, weight_E=graph.weight_E * rng.choice([-1, 1], len(graph.weight_E)).astype(np.float32))
        for graph in graphs
    ]
    found = virtual_weights(make_store(str(tmp_path), mixed), vectors_with(WEIGHTS), cluster="topic")
    assert found.gated["finding"].tolist() == ["not shown"]
    assert found.gated["gate_feature"].tolist() == [-1]


def test_a_gate_that_no_feature_opens_is_not_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    graphs = []
    for graph in planted(0):
        columns = graph.active.layer_A, graph.active.position_A, graph.active.feature_A, graph.active.activation_A
        kept = [
            row for row in zip(*(column.tolist() for column in columns), strict=True) if row[:1] + row[2:3] != (1, 3)
        ]
        sites = {row[:3]: row[3] for row in kept}
        edges = {}
        for layer, position, feature in list(sites):
            if (layer, feature) == (0, 3) and rng.random() < 0.12:
                sites[1, position, 3] = 1.0
                edges[(0, position, 3), (1, position, 3)] = 2.0 * sites[0, position, 3]
        graphs.append(graph_with(graph.prompt_id, sites, edges, 8, read=2.0, topic=graph.metadata["topic"]))
    found = virtual_weights(make_store(str(tmp_path), graphs), vectors_with(WEIGHTS), cluster="topic")
    row = next(iter(found.gated.rows()))
    assert (row["source_feature"], row["target_feature"], row["finding"]) == (3, 3, "gated")
    assert (row["gate_layer"], row["gate_feature"]) == (-1, -1)
    assert np.isnan(row["q_gate"])


def test_the_same_bits_for_any_parts_compacted_and_merged(tmp_path: Path) -> None:
    rng, graphs, vectors = np.random.default_rng(0), planted(2, 24), vectors_with(WEIGHTS)
    for number, graph in enumerate(graphs):  # numbers whose sums round
        scales = NormScales(
            *(rng.lognormal(0.0, 1.0, of.shape).astype(np.float32) for of in vars(graph.scales).values())
        )
        graphs[number] = replace(graph, scales=scales, metadata={"topic": number // 8})
    whole = virtual_weights(make_store(str(tmp_path / "one"), graphs), vectors, cluster="topic", min_positions=2)
    url = str(tmp_path / "many")
    store = make_store(url, graphs[20:], graphs[5:20:2], graphs[4:20:2], [*graphs[:4], graphs[19]])
    assert same(whole, virtual_weights(store, vectors, cluster="topic", min_positions=2))
    halves = [str(tmp_path / name) for name in ("first", "second")]
    for half, part in zip(halves, (graphs[12:], graphs[:12]), strict=True):
        make_store(half, part)
    merge_stores(str(tmp_path / "merged"), halves)
    merged = open_store(str(tmp_path / "merged"))
    assert same(whole, virtual_weights(merged, vectors, cluster="topic", min_positions=2))
    compact(url)
    assert same(whole, virtual_weights(open_store(url), vectors, cluster="topic", min_positions=2))
    assert not same(whole, virtual_weights(store, vectors, where="topic<=1", cluster="topic", min_positions=2))


def test_a_store_without_scales_gives_what_needs_none_and_says_what_is_missing(tmp_path: Path) -> None:
    graphs = planted(3)
    early = [replace(graph, scales=None) for graph in graphs]
    vectors = vectors_with(WEIGHTS)
    found = virtual_weights(make_store(str(tmp_path / "early"), early), vectors, cluster="topic")
    full = virtual_weights(make_store(str(tmp_path / "full"), graphs), vectors, cluster="topic")
    assert np.isnan(found.pairs["direct"][found.pairs["positions_both"] > 0]).all()
    assert np.isnan(found.pairs["edge_direct"]).all()
    assert any("trace the prompts again" in text for text in found.warnings)
    for name in ("weight", "era", "twera", "edges"):
        assert_array_equal(found.pairs[name], full.pairs[name])
    assert_array_equal(found.together["finding"], full.together["finding"])
    half = virtual_weights(make_store(str(tmp_path / "half"), graphs[:60], early[60:]), vectors, cluster="topic")
    for result in (half, full):
        scale = result.pairs["scale"][np.isfinite(result.pairs["scale"])]
        assert len(scale) >= len(full.pairs) - 1  # the rare pair may have met in early prompts only
        assert scale.tolist() == nearly([2.0] * len(scale), terms=1000)
    assert half.facts["num_prompts_without_scales"] == 60


def test_stores_that_cannot_answer_and_settings_out_of_range_are_refused(tmp_path: Path) -> None:
    graphs, vectors = planted(4, 6), vectors_with(WEIGHTS)
    store = make_store(str(tmp_path / "store"), graphs)
    without = make_store(str(tmp_path / "without"), graphs, store_active=False)
    with pytest.raises(ConfigError, match="--no-store-active"):
        virtual_weights(without, vectors)
    with pytest.raises(ConfigError, match=r"need --memory-gb \S+e-\d+, not 1e-07"):
        virtual_weights(store, vectors, memory_gb=1e-7)
    for name, wrong in (("top", 0), ("candidates", -1), ("min_positions", 2.5), ("q", 1)):
        with pytest.raises(ConfigError, match=name):
            virtual_weights(store, vectors, **{name: wrong})
    with pytest.raises(ConfigError, match="have 2 layers, and the graphs' model has 3"):
        virtual_weights(make_store(str(tmp_path / "deep"), traced("llama", save_transcoders(tmp_path / "t"))), vectors)
    store.info["identity"] = {"imported": True}
    with pytest.raises(StoreMismatch, match="imported"):
        feature_vectors(store)
    store.info["identity"] = {"model": "m"}
    with pytest.raises(ConfigError, match="name them with --transcoders"):
        feature_vectors(store)


def test_a_store_of_silent_prompts_gives_empty_tables(tmp_path: Path) -> None:
    found = virtual_weights(make_store(str(tmp_path), [graph_with("p", {})]), vectors_with(WEIGHTS))
    assert [len(getattr(found, name)) for name in TABLES] == [0, 0, 0, 0]
    assert found.facts["num_positions"] == 0
    assert "num_positions 0" in repr(found)
    assert found.findings().tables["pairs"].columns is PAIRS


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that names its model and its transcoders, which are in directories."""
    folder = tmp_path_factory.mktemp("weights")
    model, transcoders = save_model(folder / "model"), save_transcoders(folder / "transcoders", size=16)
    identity = {**RUN_INFO["identity"], "model": str(model), "transcoders": str(transcoders)}
    content = FilesInUse(str(model), str(transcoders)).identity["content"]
    url = str(folder / "store")
    ledger = Ledger(url)
    ledger.create_or_check({**RUN_INFO, "identity": {**identity, "forward_dtype": "float32"}, "content": content})
    ledger.commit(write_part(url, traced("llama", transcoders)))
    return open_store(url)


def test_the_command_writes_a_result_and_prints_an_answer(
    real: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    command = [
        "mine",
        "weights",
        real.url.removeprefix("file://"),
        "--out",
        str(tmp_path / "out"),
        "--min-positions",
        "2",
    ]
    assert main([*command, "--dry-run"]) == 0
    assert "4 prompts" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main(command) == 0
    answer = capsys.readouterr().out
    assert "largest |TWERA|" in answer
    assert "warning: no cluster was named" in answer
    result = open_result(tmp_path / "out")
    expected = virtual_weights(real, min_positions=2)
    for name in TABLES:
        assert_array_equal(result.table(name).columns, getattr(expected, name).columns)
        for column in result.table(name).columns:
            assert_array_equal(result.table(name)[column], getattr(expected, name)[column])
    assert result.facts["num_compared"] == expected.facts["num_compared"]
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["provenance.json", "tables"]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["what"] == "weights"
    assert main([*command, "--q", "0.1"]) == 1
    assert "q" in capsys.readouterr().err


def test_other_files_than_those_of_the_store_are_refused(real: Store, tmp_path: Path) -> None:
    other = save_transcoders(tmp_path / "transcoders", size=16, seed=1)
    with pytest.raises(StoreMismatch, match="made with other files:\n  transcoders"):
        feature_vectors(real, str(other))
    with pytest.raises(StoreMismatch, match="made with other files:\n  model"):
        feature_vectors(real, model=str(save_model(tmp_path / "model", seed=1)))
    again = open_store(real.url)
    again.info["num_features"] = [16, 16, 17]
    with pytest.raises(StoreMismatch, match="features of each layer"):
        feature_vectors(again)


def described(section: str) -> Iterable[str]:
    """Names of columns in a section of the document."""
    document = (Path(__file__).parents[3] / "docs" / "weights.md").read_text(encoding="utf-8")
    text = document.partition(f"\n### {section}\n")[2].partition("\n#")[0]
    rows = [line.split("|")[1] for line in text.split("\n") if line.startswith("| `")]
    return [name for row in rows for name in row.replace("`", " ").replace(",", " ").split()]


@pytest.mark.parametrize(
    ("section", "columns"), [("pairs", PAIRS), ("together", TOGETHER), ("gated", GATED), ("calibration", CALIBRATION)]
)
def test_the_document_describes_every_column_of_a_table(section: str, columns: Any) -> None:
    common = {*described("All tables of pairs")} if section != "calibration" else set()
    assert {*described(section)} | common == columns.keys()
