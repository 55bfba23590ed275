"""Every edge of a graph is direct part + linear skips + attention, whatever the model's norms and the transcoders.

Axes: A active feature, K target, E edge, X edge between features at one position, D model width.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen import FLAVOURS, TOKENS, Case, build
from random_graphs import random_graph, with_added_columns
from random_stores import make_store
from rounding import additions, of_roundings, round_off
from safetensors.torch import load_file, save_file
from tiny import LAYERS, TOKENIZER, WIDTH, hf_model, save_transcoders
from transformers import AutoTokenizer

from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import ConfigError, ModelError, ShapeMismatch
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine.direct_edges import direct_edges
from distributed_tracer.mine.feature_vectors import FeatureVectors, pair_products
from distributed_tracer.model.load import wrap
from distributed_tracer.model.norm import Norm
from distributed_tracer.model.norm_weights import TranscoderNorms, needs_norms, transcoder_norms
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.trace.rows import RowComputer
from distributed_tracer.transcoder.load import load_transcoders, transcoders_by_layer

CASES = [
    ("llama", "plt-topk-normalized"),
    ("llama", "clt-jumprelu-resid"),
    ("qwen3", "plt-relu-skip"),
    ("gemma2", "plt-relu-skip"),
    ("gemma2", "clt-post-norm"),
    ("gpt2", "plt-topk-normalized"),
    ("gpt_neox", "plt-relu-skip"),
    ("olmo2", "clt-post-norm"),
    ("granite", "clt-jumprelu-resid"),
    ("phi", "clt-post-norm"),
    ("qwen3", "four-layers-skip"),
]
"""Every kind of norm before and after the MLP, its absence, parallel layers, a factor on what layers add, every site,
a linear skip, and cross-layer transcoders that write through norms and past them."""
MORE_FLAVOURS: dict[str, dict[str, Any]] = {
    "clt-post-norm": {"kind": "clt"},
    "four-layers-skip": {"skip": True, "num_layers": 4},  # an edge passes two skips
}


@pytest.fixture(autouse=True)
def _flavour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, options in MORE_FLAVOURS.items():
        monkeypatch.setitem(FLAVOURS, name, options)


def flags(flavour: str) -> dict[str, int]:
    """Flags of the model that fit the transcoders."""
    return {"num_hidden_layers": FLAVOURS[flavour].get("num_layers", LAYERS)}


def save(folder: Path, architecture: str, **flags: Any) -> str:
    """Save the weights that `build` uses, in the precision of the case."""
    hf_model(architecture, **flags).to(torch.float64).save_pretrained(folder / "model")
    return str(folder / "model")


def vectors_of(folder: Path, case: Case, architecture: str, flavour: str) -> FeatureVectors:
    """The vectors, read from the files of the case alone."""
    transcoders = transcoders_by_layer(str(folder / f"{architecture}-{flavour}"), "float64")
    norms = transcoder_norms(save(folder, architecture, **flags(flavour)), case.transcoders.shape, "float64")
    return FeatureVectors(transcoders, norms if needs_norms(case.transcoders.shape) else None)


def stored(folder: Path, case: Case) -> Graph:
    """The graph of the case after it was stored and read again: all nodes, rounded to float32."""
    config = TraceConfig(None, max_targets=3, sweep_dtype="float64")
    made = attribute(list(TOKENS), case.model, case.transcoders, config)
    return make_store(str(folder / "store"), [made]).graph(made.prompt_id)


@pytest.mark.parametrize(("architecture", "flavour"), CASES)
def test_the_engine_without_attention_gives_the_direct_part_of_every_edge(
    architecture: str, flavour: str, tmp_path: Path
) -> None:
    case = build(tmp_path, architecture, flavour, **flags(flavour))
    graph = stored(tmp_path, case)
    vectors = vectors_of(tmp_path, case, architecture, flavour)
    parts = direct_edges(graph, vectors)
    assert not parts.unknown

    features_A = graph.nodes.where(NodeKind.FEATURE)
    assert len(features_A) == len(case.features)  # features are the first nodes, all of those that are active
    target_E = graph.target_E()
    is_same_E = graph.nodes.position_N[target_E] == graph.nodes.position_N[graph.source_E]
    between_X = np.flatnonzero(is_same_E & (target_E < len(features_A)) & (graph.source_E < len(features_A)))
    known_E = np.isfinite(parts.direct_E)
    assert set(np.flatnonzero(known_E & is_same_E)) == set(between_X)
    assert known_E[~is_same_E].all()
    assert not parts.direct_E[~is_same_E].any()
    assert np.array_equal(parts.attention_E[~is_same_E], graph.weight_E[~is_same_E].astype(np.float64))

    no_patterns = [torch.zeros_like(pattern) for pattern in case.cache.patterns_HPP]
    cut_cache = replace(case.cache, patterns_HPP=no_patterns)
    cut = replace(case, rows=RowComputer(case.model, cut_cache, case.transcoders, case.features, sweep_rows=64))
    judge_X = cut.all_rows()[0].numpy()[target_E[between_X], graph.source_E[between_X]]
    without_attention_X = parts.direct_E[between_X] + parts.skip_E[between_X]
    magnitude_X = magnitudes(graph, vectors, between_X)
    relative = of_roundings(torch.float32, 2 * (LAYERS + 1)) + round_off(torch.float64, additions(LAYERS, WIDTH))
    assert (np.abs(without_attention_X - judge_X) <= relative * magnitude_X).all()
    whole_X = case.all_rows()[0].numpy()[target_E[between_X], graph.source_E[between_X]]
    off_X = relative * magnitude_X + of_roundings(torch.float32, 1) * np.abs(whole_X)
    off_X += round_off(torch.float64, 2 * additions(LAYERS, WIDTH), float(np.abs(whole_X).max()))
    assert (np.abs(parts.attention_E[between_X] - (whole_X - judge_X)) <= off_X).all()
    direct_X, attention_X = (np.abs(of[between_X]) > off_X for of in (parts.direct_E, parts.attention_E))
    assert (direct_X & attention_X).any()  # an edge has two parts to be told apart
    assert bool((np.abs(parts.skip_E[between_X]) > off_X).any()) == vectors.shape.has_skip


def magnitudes(graph: Graph, vectors: FeatureVectors, between_X: np.ndarray) -> np.ndarray:
    """Sums of the absolute terms, to which roundings are relative: bounded by norms of the vectors."""
    scales = graph.scales
    assert scales is not None
    skips = [vectors.through_skip(layer, np.eye(WIDTH)) for layer in range(graph.num_layers)]
    size = [0.0 if skip is None else float(np.linalg.norm(skip)) for skip in skips]
    write, read = (float(np.abs(of).max()) for of in (scales.write_PL, scales.read_PL))
    through = np.prod([1 + write * read * of for of in size])
    found = []
    for edge in between_X.tolist():
        source, target = int(graph.source_E[edge]), int(graph.target_E()[edge])
        layer, reader = (int(graph.nodes.layer_N[node]) for node in (source, target))
        feature_of = graph.nodes.feature_N
        u = np.linalg.norm(vectors.read(reader, feature_of[[target]]))
        v = sum(
            np.linalg.norm(vectors.written(layer, feature_of[[source]], to)) for to in vectors.shape.writes_to(layer)
        )
        found.append(abs(float(graph.nodes.activation_N[source])) * write * read * u * v * through)
    return np.array(found)


def test_where_a_parallel_layer_reads_before_attention_adjacent_features_have_a_direct_part_only(
    tmp_path: Path,
) -> None:
    case = build(tmp_path, "phi", "clt-post-norm")
    graph = stored(tmp_path, case)
    vectors = vectors_of(tmp_path, case, "phi", "clt-post-norm")
    parts = direct_edges(graph, vectors)
    nodes, target_E = graph.nodes, graph.target_E()
    is_feature_N = nodes.kind_N == NodeKind.FEATURE
    is_adjacent_E = nodes.layer_N[target_E] == nodes.layer_N[graph.source_E] + 1
    is_same_E = nodes.position_N[target_E] == nodes.position_N[graph.source_E]
    own = np.flatnonzero(is_adjacent_E & is_same_E & is_feature_N[target_E] & is_feature_N[graph.source_E])
    relative = of_roundings(torch.float32, 2 * (LAYERS + 2)) + round_off(torch.float64, additions(LAYERS, WIDTH))
    assert len(own)
    assert (np.abs(parts.attention_E[own]) <= relative * magnitudes(graph, vectors, own)).all()


def test_a_graph_without_scales_says_what_to_do_and_keeps_what_is_known(tmp_path: Path) -> None:
    graph = random_graph("old", num_layers=LAYERS, num_active=12, density=0.5)
    graph = replace(graph, nodes=replace(graph.nodes, feature_N=graph.nodes.feature_N % 40))
    vectors = FeatureVectors(load_transcoders(str(save_transcoders(tmp_path, output_site="hook_mlp_out"))))
    parts = direct_edges(graph, vectors)
    same = graph.nodes.position_N[graph.target_E()] == graph.nodes.position_N[graph.source_E]
    assert "trace the prompts again" in parts.unknown
    assert np.isnan(parts.direct_E[same]).all()
    assert same.any()
    assert not same.all()
    assert not parts.direct_E[~same].any()
    assert not direct_edges(with_added_columns(graph), vectors).unknown
    with pytest.raises(ConfigError, match="have 3 layers, and the graph's model has 2"):
        direct_edges(random_graph("other", num_layers=2), vectors)
    with pytest.raises(ConfigError, match="layer 1 has 40 features; there is no feature 40"):
        vectors.read(1, np.array([3, 40]))


def test_parts_of_an_edge_do_not_depend_on_the_other_edges(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 333))
    rows = rng.integers(0, 50, (2, 400))
    whole = pair_products(a, b, *rows)
    assert all(pair_products(a, b, *rows[:, [n]])[0] == whole[n] for n in range(400))
    assert np.abs(whole - (a[rows[0]] * b[rows[1]]).sum(1)).max() <= round_off(torch.float64, 333, 10.0)


ONE_OF_EACH_KIND = ("llama", "gemma2", "gemma3", "gpt2", "gpt_neox", "olmo", "olmo2", "glm4", "phi", "cohere")
ONE_OF_EACH_KIND += ("apertus", "starcoder2", "llama4_text", "stablelm_parallel", "granite")


@pytest.mark.parametrize("architecture", ONE_OF_EACH_KIND)
def test_norms_read_from_a_checkpoint_are_those_of_the_loaded_model(architecture: str, tmp_path: Path) -> None:
    hf = hf_model(architecture)
    hf.save_pretrained(tmp_path / "model")
    model = wrap(hf, AutoTokenizer.from_pretrained(TOKENIZER))
    shape = load_transcoders(str(save_transcoders(tmp_path / "transcoders"))).shape
    norms = transcoder_norms(str(tmp_path / "model"), shape)

    def same(ours: Norm | None, theirs: Norm | None) -> bool:
        if ours is None or theirs is None:
            return ours is theirs
        if ours.weight_D is None or theirs.weight_D is None:
            return ours.weight_D is theirs.weight_D and ours.centred == theirs.centred
        return torch.equal(ours.weight_D, theirs.weight_D.double()) and ours.centred == theirs.centred

    for ours, layer in zip(norms, model.layers, strict=True):
        assert same(ours.read, layer.mlp_norm)
        assert same(ours.write, layer.mlp_post_norm)


def test_a_checkpoint_that_lacks_norms_or_is_of_another_size_is_refused(tmp_path: Path) -> None:
    model = save(tmp_path, "llama")
    shape = load_transcoders(str(save_transcoders(tmp_path / "transcoders"))).shape
    with pytest.raises(ShapeMismatch, match=r"3 layers and width 48.*3 layers and width 32"):
        transcoder_norms(model, replace(shape, d_model=48))
    path = Path(model) / "model.safetensors"
    tensors = load_file(path)
    renamed = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(renamed, path, {"format": "pt"})
    assert isinstance(transcoder_norms(model, shape)[0], TranscoderNorms)  # the names of another program
    save_file({name: t for name, t in tensors.items() if "layers.1.post_attention" not in name}, path)
    with pytest.raises(ModelError, match=r"'layers\.1\.post_attention_layernorm\.weight'.*there is none"):
        transcoder_norms(model, shape)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"cannot read the norms|header"):
        transcoder_norms(model, shape)
