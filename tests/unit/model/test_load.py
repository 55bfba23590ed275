"""What a model directory may be, and what is said of one that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import TOKENIZER, save_model, tiny_config

from distributed_tracer.artifacts.location import split_revision
from distributed_tracer.errors import ModelError, UnknownArchitecture
from distributed_tracer.model.architectures import ARCHITECTURES
from distributed_tracer.model.load import load_config, load_model, load_tokenizer, model_shape


def test_shape_is_known_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((TOKENIZER / "config.json").read_text())
    shape = model_shape(str(tmp_path))
    assert (shape.num_layers, shape.d_model, shape.vocab_size) == (4, 48, 320)
    assert shape == load_model(str(TOKENIZER)).shape


def test_an_unknown_architecture_is_refused_with_the_list(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    with pytest.raises(UnknownArchitecture, match="'bert'") as refused:
        load_config(str(tmp_path))
    assert all(name in str(refused.value) for name in ARCHITECTURES)


def test_a_missing_model_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no directory .*nowhere"):
        load_model(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"cannot read config\.json of model .*empty"):
        load_model(str(tmp_path / "empty"))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "gpt2", "gpt_neox", "cohere"])
@pytest.mark.parametrize("beside", [(), ("tokenizer_config.json",)])
def test_a_model_without_its_vocabulary_is_refused(architecture: str, beside: tuple[str, ...], tmp_path: Path) -> None:
    """Of most architectures the library makes up a tokenizer that finds no token in any text."""
    tiny_config(architecture).save_pretrained(tmp_path)
    for name in beside:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match="cannot read tokenizer files of model"):
        load_tokenizer(str(tmp_path))


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    save_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_model(str(tmp_path))


def test_revisions_follow_an_at_sign(tmp_path: Path) -> None:
    assert split_revision("org/name@abc") == ("org/name", "abc")
    assert split_revision("org/name") == ("org/name", None)
    strange = tmp_path / "a@b"
    strange.mkdir()
    assert split_revision(str(strange)) == (str(strange), None)


def test_loading_in_lower_precision(tmp_path: Path) -> None:
    assert load_model(str(save_model(tmp_path)), dtype="bfloat16").dtype == torch.bfloat16


def test_a_null_that_the_library_replaces_by_its_default_is_refused_with_what_to_write(tmp_path: Path) -> None:
    path = save_model(tmp_path, "gpt_oss") / "config.json"
    config = json.loads(path.read_text())
    del config["rope_parameters"]
    path.write_text(json.dumps({**config, "rope_scaling": None}))
    with pytest.raises(ModelError, match=r"rope_scaling is null, and the library takes its default .*'yarn'"):
        load_config(str(tmp_path))
    path.write_text(json.dumps({**config, "rope_parameters": {"rope_type": "default", "rope_theta": 150000}}))
    assert load_config(str(tmp_path)).rope_parameters["rope_type"] == "default"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"num_hidden_layers": 10**9}, "says that 'num_hidden_layers' is 1e\\+09; at most 4,096"),
        ({"vision_config": {"depth": 10**9}}, "says that 'depth' is 1e\\+09"),
        ({"num_attention_heads": "many"}, "does not describe a model that can be made|cannot read config.json"),
        ({"hidden_act": "none such"}, "does not describe a model that can be made here: KeyError"),
    ],
)
def test_a_config_of_which_no_model_can_be_made_is_refused(
    changed: dict[str, object], said: str, tmp_path: Path
) -> None:
    tiny_config("llama").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ModelError, match=said):
        model_shape(str(tmp_path))


def test_a_config_of_a_far_larger_model_than_its_weights_is_refused_before_that_is_made(tmp_path: Path) -> None:
    path = save_model(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 10**9}))
    with pytest.raises(
        ModelError, match=r"describes 288,[0-9,]+ parameters, and its .safetensors files have [0-9,]+ by"
    ):
        load_model(str(tmp_path))


def test_a_tokenizer_that_cannot_be_used_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    path = save_model(tmp_path) / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": "long"}))
    with pytest.raises(ModelError, match=r"cannot read tokenizer files .*not supported between instances"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"added_tokens_decoder": {"0": {"content": "<x>", "evil\x1b[31m": True}}},
        {"added_tokens_decoder": {"0": {"evil\x1b[31m": True}}},
        {"bos_token": {"content": "<bos>", "evil\x1b[31m": True}},
        {"additional_special_tokens": [{"evil\x1b[31m": True}]},
    ],
)
def test_a_tokenizer_cannot_write_into_the_terminal(
    settings: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save_model(tmp_path) / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(ModelError, match=r"'evil\\x1b\[31m' is no option of a token"):
        load_tokenizer(str(tmp_path))
    assert "\x1b" not in "".join(capfd.readouterr())
