"""What each format's configuration may say, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
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

from distributed_tracer.errors import TranscoderError
from distributed_tracer.transcoder.load import load_transcoders, transcoder_shape

WEIGHTS = random_weights()
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
    doubling = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    (tmp_path / "config.yaml").write_text(f"a0: &a0 [x]\n{doubling}model_kind: *a39\n")
    refused(tmp_path, "model_kind must be a string, not [")


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


def test_what_the_config_says_goes_before_a_k_in_the_file(tmp_path: Path) -> None:
    write_with_k(tmp_path, torch.tensor(2), activation="topk", k=3)
    assert active(tmp_path) == 3
    write_with_k(tmp_path, torch.tensor(2), activation="relu")
    assert transcoder_shape(str(tmp_path)).activation == "relu"


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    (tmp_path / "layer_1.safetensors").unlink()
    refused(tmp_path, "nothing for layers [1]; found layers [0, 2]")
    (tmp_path / "layer_99999999999999.safetensors").touch()
    refused(tmp_path, "nothing for layers [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]; found layers [0, 2, 99999999999999]")


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
        ({"hook_name": "blocks.0.hook_mlp_in"}, "differ in where they read and write"),
        ({"hook_name_out": "blocks.1.hook_mlp_out"}, "blocks.N.SITE of one layer N"),
        ({"hook_name_out": None}, "not ('blocks.0.mlp.hook_in', None)"),
    ],
)
def test_saelens_hooks_must_be_of_one_layer_and_alike(hooks: dict[str, object], words: str, tmp_path: Path) -> None:
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


def test_saelens_weights_without_their_config_are_refused(tmp_path: Path) -> None:
    write_saelens(tmp_path, WEIGHTS, "transcoder")
    (tmp_path / "number-1" / "cfg.json").unlink()
    refused(tmp_path, "no such file", "number-1/cfg.json")


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


def test_sparse_coders_of_other_modules_are_not_transcoders(tmp_path: Path) -> None:
    write_sparsify(tmp_path, WEIGHTS)
    for layer in range(3):
        (tmp_path / f"layers.{layer}.mlp").rename(tmp_path / f"layers.{layer}.attn")
    refused(tmp_path, "layers.N.mlp: nothing for layers [0]")
