"""What each format's configuration may say, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transcoder_formats import (
    FORMATS,
    WIDTH,
    K,
    gemma_tensors,
    plt_tensors,
    random_weights,
    save,
    save_npz,
    write_clt,
    write_gemma_scope_2,
    write_plt,
    write_saelens,
    write_sparsify,
    write_yaml,
)

from distributed_tracer.artifacts.location import HubFolder, LocalFolder
from distributed_tracer.errors import TranscoderError
from distributed_tracer.ops.bundle.sources import transcoder_source
from distributed_tracer.transcoder.load import load_transcoders, transcoder_shape

WEIGHTS = random_weights()
ROWS = ("W_enc", "b_enc", "W_dec", "threshold")
X_PD = torch.ones(1, WIDTH)


def refused(directory: Path, *words: str) -> None:
    """Both the shape and the weights are, and the message has all of these words."""
    for attempt in (transcoder_shape, load_transcoders):
        with pytest.raises(TranscoderError) as caught:
            attempt(str(directory))
        for word in words:
            assert word in str(caught.value)


def active(directory: Path) -> int:
    return len(load_transcoders(str(directory)).encode(0, X_PD)[0])


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ---- which format it is


def test_a_folder_of_unknown_files_says_what_was_found_and_what_is_known(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"weights-{number}.bin").touch()
    refused(
        tmp_path, "found weights-0.bin", "and 2 more", "config.yaml with layer_N.safetensors", "SAELens", "sparsify"
    )
    refused(tmp_path, "Gemma Scope)", "Gemma Scope 2)")


def test_layers_without_a_config_are_not_guessed_at(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    (tmp_path / "config.yaml").unlink()
    refused(tmp_path, "found layer_0.safetensors", "config.yaml with layer_N.safetensors")


def test_an_empty_folder_has_no_files(tmp_path: Path) -> None:
    refused(tmp_path, "found no files")


# ---- circuit-tracer


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model_kind", None, ["model_kind must be a string, not None"]),
        ("model_kind", "sae", ["unknown model_kind 'sae'", "transcoder_set, cross_layer_transcoder"]),
        ("feature_input_hook", None, ["feature_input_hook must be a string"]),
        ("feature_input_hook", "hook_mlp_in", ["unknown input hook 'hook_mlp_in'", "ln2.hook_normalized"]),
        ("feature_output_hook", "mlp.hook_in", ["unknown output hook 'mlp.hook_in'", "mlp.hook_out, hook_mlp_out"]),
        ("activation", "gelu", ["unknown activation 'gelu'", "relu, jumprelu, topk"]),
        ("activation", "topk", ["activation is topk", "k must be a positive number, not None", "layer_0.safetensors"]),
        ("activation", "jumprelu", ["activation is jumprelu", "layer_0.safetensors has no threshold"]),
        ("transcoders", "layer_0.safetensors", ["transcoders must be a list"]),
        ("transcoders", ["layer_0.safetensors", "gone.safetensors"], ["no such file", "gone.safetensors"]),
        ("transcoders", ["hf://user/repo"], ["'hf://user/repo' is not hf://user/repo/path"]),
    ],
)
def test_a_config_that_is_wrong_is_refused(key: str, value: object, words: list[str], tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text()) | {key: value}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    refused(tmp_path, *words)


@pytest.mark.parametrize("k", [0, -1, True, 2.5, "4"])
def test_k_must_be_a_positive_number(k: object, tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, activation="topk", k=k)
    refused(tmp_path, f"not {k!r}")


def test_k_larger_than_the_dictionary_is_refused(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, activation="topk", k=12)
    refused(tmp_path, "layer_0.safetensors: k is 12, but there are only 11 features")


@pytest.mark.parametrize("saved", [torch.tensor([2, 3]), torch.tensor(2.5), torch.tensor(0), torch.tensor(True)])
def test_a_saved_k_must_be_one_positive_number(saved: torch.Tensor, tmp_path: Path) -> None:
    write_with_k(tmp_path, saved)
    refused(tmp_path, "layer_0.safetensors: k must be one positive whole number, not [")


def test_a_config_that_would_grow_when_shown_is_shown_in_brief(tmp_path: Path) -> None:
    for levels, reason in ((13, "model_kind must be a string, not ["), (39, "holds more than 100,000 values")):
        doubling = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, levels + 1))
        (tmp_path / "config.yaml").write_text(f"a0: &a0 [x]\n{doubling}model_kind: *a{levels}\n")
        refused(tmp_path, reason)


@pytest.mark.parametrize("text", ["- a list", "model_kind: [", "!!python/object/apply:os.system ['true']"])
def test_a_config_that_is_not_plain_yaml_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    refused(tmp_path, "config.yaml")


def write_with_k(directory: Path, saved: torch.Tensor, **config: Any) -> None:
    for layer, w in enumerate(WEIGHTS):
        save({**plt_tensors(w), "k": saved}, directory / f"layer_{layer}.safetensors")
    write_yaml(directory, **config)


@pytest.mark.parametrize("k", [torch.tensor(2), torch.tensor([2])])
@pytest.mark.parametrize("config", [{"activation": "topk"}, {}])
def test_k_may_be_in_the_file_as_circuit_tracer_saves_it(
    k: torch.Tensor, config: dict[str, Any], tmp_path: Path
) -> None:
    write_with_k(tmp_path, k, **config)
    assert transcoder_shape(str(tmp_path)).activation == "topk"
    assert active(tmp_path) == 2


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"activation": "topk", "k": 3}, ["k is 3", "layer_0.safetensors has k = 2"]),
        ({"activation": "relu"}, ["activation is relu", "layer_0.safetensors has k = 2"]),
        ({"activation": "jumprelu"}, ["activation is jumprelu", "has no threshold"]),
    ],
)
def test_a_config_that_contradicts_a_k_in_the_file_is_refused(
    config: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    write_with_k(tmp_path, torch.tensor(2), **config)
    refused(tmp_path, *words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"activation": "relu"}, ["activation is relu", "layer_0.safetensors has thresholds"]),
        ({"activation": "topk", "k": 3}, ["activation is topk", "layer_0.safetensors has thresholds"]),
        ({"k": 3}, ["k is 3", "activation is jumprelu; only topk has a k"]),
    ],
)
def test_a_config_that_contradicts_thresholds_in_the_file_is_refused(
    config: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    write_plt(tmp_path, WEIGHTS, threshold=True, **config)
    refused(tmp_path, *words)


@pytest.mark.parametrize("stem", ["post_encoder", "W_skip_0", "embed_skip"])
def test_weights_of_an_unknown_name_beside_the_layers_are_refused(stem: str, tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    save({"weight": WEIGHTS[0].W_skip}, tmp_path / f"{stem}.safetensors")
    refused(tmp_path, f"{stem}.safetensors is neither layer_N", "what its weights are for")


def test_a_topk_set_without_k_says_how_to_give_it(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, activation="topk")
    refused(tmp_path, "neither in the config nor in", "Add a line `k: NUMBER` to a copy of the config", "hf download")


def test_the_k_of_a_set_on_the_hub_that_is_published_elsewhere_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hundreds = [
        replace(w, **{name: getattr(w, name).repeat(13, *[1] * (getattr(w, name).ndim - 1)) for name in ROWS})
        for w in WEIGHTS
    ]
    write_plt(tmp_path, hundreds, activation="topk")
    repo = "facebook/crv-8b-instruct-transcoders"
    monkeypatch.setattr(HubFolder, "files", lambda folder: LocalFolder(tmp_path).files())
    monkeypatch.setattr(HubFolder, "fetch", lambda folder, names: LocalFolder(tmp_path).fetch(names))
    assert len(load_transcoders(repo).encode(0, torch.randn(1, WIDTH))[0]) == 128
    with pytest.raises(TranscoderError, match="k must be a positive number, not None"):
        transcoder_shape("someone/else")
    bundled = transcoder_source(repo)
    assert yaml.safe_load(bundled.files["transcoders/config.yaml"]())["k"] == 128


# ---- what is not known, in every format


FOREIGN = {
    "plt-relu": "layer_1.safetensors",
    "plt-jumprelu": "layer_1.safetensors",
    "clt-relu": "W_dec_1.safetensors",
    "gemma-scope": "layer_1/width_16k/average_l0_71/params.npz",
    "gemma-scope-2": "layer_1_width_16k_l0_small/params.safetensors",
    "gemma-scope-2-clt": "width_16k/params_layer_1.safetensors",
    "saelens": "number-1/sae_weights.safetensors",
    "sparsify": "layers.1.mlp/sae.safetensors",
    "openmoss": "layer1_transcoder_8x_k4/sae_weights.safetensors",
}


@pytest.mark.parametrize("key", ["post_encoder.weight", "W_dec_tied", "input_norm.scale", "W_skip_embed"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_tensor_that_is_not_known_is_refused_by_name_in_every_format(name: str, key: str, tmp_path: Path) -> None:
    path = FORMATS[name].save(tmp_path, WEIGHTS) / FOREIGN[name]
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            save_npz({**{k: torch.from_numpy(v) for k, v in arrays.items()}, key: torch.ones(2)}, path)
    else:
        save({**load_file(path), key: torch.ones(2)}, path)
    refused(tmp_path, f"{path}: ['{key}'] is not known in")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("plt-relu", "activation_function.threshold_2"),
        ("plt-jumprelu", "k"),
        ("saelens", "threshold"),
        ("saelens", "W_skip"),
        ("sparsify", "threshold"),
        ("openmoss", "activation_function.log_jumprelu_threshold"),
        ("openmoss", "W_E_glu"),
    ],
)
def test_a_tensor_of_another_kind_of_transcoder_is_refused(name: str, key: str, tmp_path: Path) -> None:
    path = FORMATS[name].save(tmp_path, WEIGHTS) / FOREIGN[name]
    save({**load_file(path), key: WEIGHTS[1].threshold}, path)
    refused(tmp_path, f"{path}: ['{key}'] is not known in")


CONFIGS = {
    "plt-relu": "config.yaml",
    "clt-relu": "config.yaml",
    "gemma-scope-2": "layer_1_width_16k_l0_small/config.json",
    "gemma-scope-2-clt-described": "width_16k/config.json",
    "saelens": "number-1/cfg.json",
    "sparsify": "layers.1.mlp/cfg.json",
    "openmoss": "layer1_transcoder_8x_k4/config.json",
}


def set_in(path: Path, **changes: object) -> None:
    if path.suffix == ".json":
        edit_json(path, **changes)
    else:
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [("tied_decoders", True), ("input_normalization", "rms"), ("embed_skip", False), ("bandwidth", 0)],
)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_setting_that_is_not_known_is_refused_by_name_in_every_format(
    name: str, key: str, value: object, tmp_path: Path
) -> None:
    path = FORMATS[name].save(tmp_path, WEIGHTS) / CONFIGS[name]
    set_in(path, **{key: value})
    refused(tmp_path, f"{path}: settings that this package does not know: {key} is {value!r}. They may change")


@pytest.mark.parametrize("name", CONFIGS)
def test_what_training_wrote_down_of_itself_changes_nothing(name: str, tmp_path: Path) -> None:
    path = FORMATS[name].save(tmp_path, WEIGHTS) / CONFIGS[name]
    set_in(path, lr=1e-4, batch_size=64, dataset="text", wandb_project="x", seed=0, tied_decoders=None)
    assert transcoder_shape(str(tmp_path)).num_layers == 3


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    (tmp_path / "layer_1.safetensors").unlink()
    refused(tmp_path, "nothing for layers [1]; found layers [0, 2]")
    (tmp_path / "layer_99999999999999.safetensors").touch()
    refused(tmp_path, "nothing for layers [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]; found layers [0, 2, 99999999999999]")


# ---- a folder per layer whose configuration names the layer


FOLDERS = {"saelens": "hook_name", "openmoss": "hook_point_in"}


@pytest.mark.parametrize("name", FOLDERS)
def test_layers_that_read_at_different_sites_are_refused(name: str, tmp_path: Path) -> None:
    path = FORMATS[name].save(tmp_path, WEIGHTS) / CONFIGS[name]
    set_in(path, **{FOLDERS[name]: "blocks.1.hook_resid_mid"})
    refused(tmp_path, "differ in where they read and write: [('hook_resid_mid', 'hook_mlp_out'), ('mlp.hook_in'")


@pytest.mark.parametrize("name", FOLDERS)
def test_two_folders_of_one_layer_are_refused(name: str, tmp_path: Path) -> None:
    folder = (FORMATS[name].save(tmp_path, WEIGHTS) / CONFIGS[name]).parent
    shutil.copytree(folder, tmp_path / "again")
    refused(tmp_path, "2 transcoders for layer 1 (again/sae_weights.safetensors, ")


@pytest.mark.parametrize("name", FOLDERS)
def test_weights_without_their_configuration_are_refused(name: str, tmp_path: Path) -> None:
    path = FORMATS[name].save(tmp_path, WEIGHTS) / CONFIGS[name]
    path.unlink()
    refused(tmp_path, "no such file", CONFIGS[name])


def test_a_config_without_any_layer_is_refused(tmp_path: Path) -> None:
    write_yaml(tmp_path)
    refused(tmp_path, "layer_N.safetensors: nothing for layers [0]")


def test_ten_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    weights = [random_weights(seed)[0] for seed in range(11)]
    write_plt(tmp_path, weights)
    transcoders = load_transcoders(str(tmp_path))
    assert all(torch.equal(transcoders.decoder_bias(layer), w.b_dec) for layer, w in enumerate(weights))


def test_layers_with_and_without_thresholds_do_not_mix(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, threshold=True)
    save(plt_tensors(WEIGHTS[1]), tmp_path / "layer_1.safetensors")
    refused(tmp_path, "layers differ in their activation: jumprelu and relu")


def test_a_skip_connection_of_some_layers_is_theirs_alone(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, skip=True)
    save(plt_tensors(WEIGHTS[1]), tmp_path / "layer_1.safetensors")
    transcoders = load_transcoders(str(tmp_path))
    assert transcoders.shape.has_skip
    assert [transcoders.skip(layer) is None for layer in range(3)] == [False, True, False]


def test_cross_layer_encoders_and_decoders_come_in_pairs(tmp_path: Path) -> None:
    write_clt(tmp_path, WEIGHTS)
    (tmp_path / "W_dec_2.safetensors").unlink()
    refused(tmp_path, "3 files W_enc_N but 2 files W_dec_N")


def test_a_list_of_files_must_be_of_the_models_kind(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    names = [f"layer_{layer}.safetensors" for layer in range(3)]
    write_yaml(tmp_path, "cross_layer_transcoder", transcoders=names)
    refused(tmp_path, "model_kind is cross_layer_transcoder, but not all of its files are")


# ---- Gemma Scope


def test_of_several_transcoders_for_a_layer_none_is_chosen(tmp_path: Path) -> None:
    FORMATS["gemma-scope"].save(tmp_path, WEIGHTS)
    save_npz(gemma_tensors(WEIGHTS[1]), tmp_path / "layer_1/width_65k/average_l0_3/params.npz")
    refused(tmp_path, "2 transcoders for layer 1 (layer_1/width_16k/average_l0_71/params.npz", "config.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architecture", "topk"),
        ("type", "sae"),
        ("hf_hook_point_in", "model.layers.1.output"),
        ("hf_hook_point_out", "model.layers.1.self_attn.o_proj.output"),
    ],
)
def test_gemma_scope_2_dictionaries_that_are_no_transcoders_are_refused(key: str, value: str, tmp_path: Path) -> None:
    write_gemma_scope_2(tmp_path, WEIGHTS)
    edit_json(tmp_path / "layer_1_width_16k_l0_small" / "config.json", **{key: value})
    refused(tmp_path, "layer_1_width_16k_l0_small/config.json", key, repr(value))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"affine_connection": True}, ["affine_connection is True", "has no affine_skip_connection"]),
        ({"type": "clt"}, ["type is 'clt'", "is that of a transcoder"]),
        (
            {"hf_hook_point_in": "model.layers.2.pre_feedforward_layernorm.output"},
            ["it is of layer 2", "says layer 1"],
        ),
    ],
)
def test_a_gemma_scope_2_config_must_agree_with_its_file(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    write_gemma_scope_2(tmp_path, WEIGHTS)
    edit_json(tmp_path / "layer_1_width_16k_l0_small" / "config.json", **changes)
    refused(tmp_path, "layer_1_width_16k_l0_small/config.json", *words)


@pytest.mark.parametrize(("kind", "words"), [("crosscoder", "type is 'crosscoder'"), ("transcoder", "that of a clt")])
def test_a_gemma_scope_2_dictionary_over_layers_is_a_clt(kind: str, words: str, tmp_path: Path) -> None:
    FORMATS["gemma-scope-2-clt-described"].save(tmp_path, WEIGHTS)
    edit_json(tmp_path / "width_16k" / "config.json", type=kind)
    refused(tmp_path, "width_16k/config.json", words)


@pytest.mark.parametrize("place", ["resid_post_all", "attn_out", "mlp_out_all", "crosscoder"])
def test_gemma_scope_2_parameters_of_other_places_are_known_by_their_folder(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir()
    write_gemma_scope_2(tmp_path / place, WEIGHTS)
    for config in (tmp_path / place).rglob("config.json"):
        config.unlink()
    refused(tmp_path, f"parameters of {place.removesuffix('_all')}")


@pytest.mark.parametrize("source", ["google/gemma-scope-2b-pt-res", "google/gemma-scope-9b-pt-att/layer_0@main"])
def test_gemma_scope_autoencoders_are_known_by_their_repository(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FORMATS["gemma-scope"].save(tmp_path, WEIGHTS)
    monkeypatch.setattr(HubFolder, "files", lambda folder: LocalFolder(tmp_path).files())
    with pytest.raises(TranscoderError, match="not transcoders of its MLPs"):
        transcoder_shape(source)


# ---- SAELens


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architecture", "jumprelu"),
        ("apply_b_dec_to_input", True),
        ("normalize_activations", "layer_norm"),
        ("reshape_activations", "hook_z"),
        ("activation_fn", "topk"),
        ("activation_fn_str", "tanh-relu"),
        ("finetuning_scaling_factor", True),
        ("hook_head_index", 0),
        ("activation_fn_kwargs", {"k": 5}),
        ("model_from_pretrained_kwargs", {"fold_ln": True}),
    ],
)
def test_saelens_options_that_change_the_meaning_are_refused(key: str, value: object, tmp_path: Path) -> None:
    write_saelens(tmp_path, WEIGHTS, "transcoder", flat=True)
    edit_json(tmp_path / "number-2" / "cfg.json", **{key: value})
    refused(tmp_path, "number-2/cfg.json", f"{key} is {value!r}")


def test_saelens_options_at_their_neutral_values_are_accepted(tmp_path: Path) -> None:
    neutral = {"normalize_activations": None, "reshape_activations": "none", "activation_fn": "relu"}
    write_saelens(tmp_path, WEIGHTS, "transcoder", flat=True, finetuning_scaling_factor=False, **neutral)
    assert transcoder_shape(str(tmp_path)).num_layers == 3


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        ({"hook_name_out": "blocks.1.hook_mlp_out"}, "blocks.N.SITE of one layer N"),
        ({"hook_name_out": None}, "not ('blocks.0.mlp.hook_in', None)"),
    ],
)
def test_saelens_hooks_must_be_of_one_layer(hooks: dict[str, object], words: str, tmp_path: Path) -> None:
    write_saelens(tmp_path, WEIGHTS, "transcoder", flat=True)
    edit_json(tmp_path / "number-0" / "cfg.json", **hooks)
    refused(tmp_path, words)


def test_an_unknown_saelens_hook_is_refused(tmp_path: Path) -> None:
    write_saelens(tmp_path, WEIGHTS, "transcoder", flat=True)
    for layer in range(3):
        edit_json(tmp_path / f"number-{layer}" / "cfg.json", hook_name=f"blocks.{layer}.hook_mlp_in")
    refused(tmp_path, "unknown input hook 'hook_mlp_in'; known are mlp.hook_in")


def test_saelens_metadata_must_be_an_object(tmp_path: Path) -> None:
    write_saelens(tmp_path, WEIGHTS, "transcoder", metadata=["blocks.0.mlp.hook_in"])
    refused(tmp_path, "metadata must be an object, not ['blocks.0.mlp.hook_in']")


# ---- sparsify


@pytest.mark.parametrize(("key", "value"), [("transcode", False), ("activation", "groupmax"), ("signed", True)])
def test_sparsify_options_that_change_the_meaning_are_refused(key: str, value: object, tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS)
    edit_json(tmp_path / "layers.1.mlp" / "cfg.json", **{key: value})
    refused(tmp_path, "layers.1.mlp/cfg.json", f"{key} is {value!r}")


@pytest.mark.parametrize("k", [None, 0, "32"])
def test_sparsify_needs_k(k: object, tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS, k=k)
    refused(tmp_path, "layers.0.mlp/cfg.json: k must be a positive number")


def test_a_promised_skip_connection_must_be_there(tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS, skip_connection=True)
    refused(tmp_path, "layers.0.mlp/sae.safetensors: no tensor W_skip")


@pytest.mark.parametrize("name", ["model.layers.{}.mlp", "h.{}.mlp", "gpt_neox.layers.{}.mlp"])
def test_sparsify_folders_may_have_the_names_of_any_models_modules(name: str, tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS)
    for layer in range(3):
        (tmp_path / f"layers.{layer}.mlp").rename(tmp_path / name.format(layer))
    assert transcoder_shape(str(tmp_path)).num_layers == 3
    assert active(tmp_path) <= K


@pytest.mark.parametrize("training", [None, {}, {"transcode": False}])
def test_sparse_coders_that_nothing_calls_transcoders_are_refused(training: object, tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS, transcode=None)
    if training is not None:
        (tmp_path / "config.json").write_text(json.dumps(training))
    refused(tmp_path, "layers.0.mlp/cfg.json", "taken for an autoencoder")


def test_a_skip_connection_that_is_denied_must_not_be_there(tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS, skip=True, skip_connection=False)
    refused(tmp_path, "layers.0.mlp/cfg.json: skip_connection is False, but", "has W_skip")


def test_sparse_coders_of_other_modules_are_not_transcoders(tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS)
    for layer in range(3):
        (tmp_path / f"layers.{layer}.mlp").rename(tmp_path / f"layers.{layer}.attn")
    refused(tmp_path, "layers.N.mlp: nothing for layers [0]")


# ---- OpenMOSS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sae_type", "lorsa"),
        ("sae_type", "clt"),
        ("act_fn", "batchtopk"),
        ("norm_activation", "token-wise"),
        ("norm_activation", "batch-wise"),
        ("use_glu_encoder", True),
    ],
)
def test_openmoss_options_that_do_not_fold_into_weights_are_refused_with_the_reason(
    key: str, value: object, tmp_path: Path
) -> None:
    path = FORMATS["openmoss"].save(tmp_path, WEIGHTS) / CONFIGS["openmoss"]
    edit_json(path, **{key: value})
    refused(tmp_path, f"{path}: {key} is {value!r}, which cannot be traced: ")


@pytest.mark.parametrize("hook", ["blocks.1.mlp.hook_in", "blocks.0.hook_mlp_out", None])
def test_openmoss_dictionaries_must_read_and_write_two_places_of_a_layer(hook: object, tmp_path: Path) -> None:
    path = FORMATS["openmoss"].save(tmp_path, WEIGHTS) / CONFIGS["openmoss"]
    edit_json(path, hook_point_out=hook)
    refused(tmp_path, "must be two places blocks.N.SITE of one layer N")


@pytest.mark.parametrize("norm", [None, torch.tensor(0.0), torch.tensor(float("nan")), torch.ones(2)])
def test_openmoss_needs_the_norms_that_its_values_were_divided_by(norm: torch.Tensor | None, tmp_path: Path) -> None:
    path = FORMATS["openmoss-scaled"].save(tmp_path, WEIGHTS) / FOREIGN["openmoss"]
    tensors, key = load_file(path), "dataset_average_activation_norm.blocks.1.hook_mlp_out"
    del tensors[key]
    save(tensors | ({key: norm} if norm is not None else {}), path)
    refused(tmp_path, str(path), key)
