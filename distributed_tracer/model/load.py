"""A Hugging Face directory or hub id -> Model: placed by accelerate, frozen, with the sites of its architecture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..shapes import ModelShape
from .layer import Layer
from .name import is_path, split_revision
from .norm import Norm
from .sites import Sites, sites_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_HUB_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Model:
    """A placed model and the linear parts of it that attribution walks through."""

    hf: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    shape: ModelShape
    sites: Sites
    layers: tuple[Layer, ...]
    final_norm: Norm
    unembed_VD: Tensor
    unembed_mean_D: Tensor
    unembed_bias_V: Tensor | None

    def __repr__(self) -> str:
        shape = self.shape
        return f"<Model {shape.architecture}: {shape.num_layers} layers, {self.dtype}, on {self.input_device}>"

    @property
    def decoder_layers(self) -> nn.ModuleList:
        layers = self.hf.get_submodule(self.sites.layers)
        assert isinstance(layers, nn.ModuleList)
        return layers

    @property
    def input_device(self) -> torch.device:
        return self.hf.get_input_embeddings().get_parameter("weight").device

    @property
    def dtype(self) -> torch.dtype:
        return self.unembed_VD.dtype


def load_config(model: str) -> Any:
    """The text part of a model's config. Raises ModelError where there is none, UnknownArchitecture for no row."""
    from transformers import AutoConfig

    name, revision = split_revision(model)
    config = _from_hub(AutoConfig.from_pretrained, name, revision, "config.json")
    sites_of(config.model_type, config, model)
    return config


def class_of(config: Any) -> Any:
    """The library's automatic class for a config: some language models it offers only together with what they see."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    sees_too = type(config) not in AutoModelForCausalLM._model_mapping
    return AutoModelForImageTextToText if sees_too else AutoModelForCausalLM


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises ModelError where there is none."""
    from transformers import AutoTokenizer

    name, revision = split_revision(model)
    tokenizer: PreTrainedTokenizerBase = _from_hub(AutoTokenizer.from_pretrained, name, revision, "tokenizer files")
    return tokenizer


def model_shape(model: str) -> ModelShape:
    """Sizes from the config, without weights (parameters are counted on empty tensors)."""
    config = load_config(model)
    with torch.device("meta"):
        parameters = class_of(config).from_config(config).num_parameters()
    return _shape(config, parameters)


def load_model(model: str, dtype: str = "float32", device_map: str = "auto") -> Model:
    """Load, place and freeze a model. Weights are read from safetensors only and no remote code is run.

    Raises ModelError where files are missing or weights would be offloaded, UnknownArchitecture for no row.
    """
    from ..model import attention

    config = load_config(model)
    name, revision = split_revision(model)
    hf = _from_hub(
        class_of(config).from_pretrained,
        name,
        revision,
        "model.safetensors",
        dtype=getattr(torch, dtype),
        device_map=_placement(device_map),
        attn_implementation=attention.NAME,
        use_safetensors=True,
    )
    return wrap(hf, load_tokenizer(model), config.model_type)


def wrap(hf: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, model_type: str | None = None) -> Model:
    """A Model around one already in memory; it must have been made with this package's attention."""
    from ..model import attention

    if hf.config._attn_implementation != attention.NAME:
        hf.set_attn_implementation(attention.NAME)
    text = hf.config.get_text_config()
    if hf.dtype == torch.float64:
        text._experts_implementation = "eager"  # the grouped product knows no float64
    hf.eval().requires_grad_(False)  # type: ignore[no-untyped-call]
    sites = sites_of(model_type or hf.config.model_type, hf.config, type(hf).__name__)
    shape = _shape(hf.config, hf.num_parameters())
    layers = hf.get_submodule(sites.layers)
    assert isinstance(layers, nn.ModuleList)
    unembed = hf.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert unembed is not None, "language models have an unembedding"
    weight, bias = unembed.get_parameter("weight").detach(), getattr(unembed, "bias", None)
    if (scale := sites.logit_scale(text)) != 1:  # a copy, so that a direction is a logit's whoever reads it
        weight, bias = weight * scale, None if bias is None else bias * scale
    return Model(
        hf,
        tokenizer,
        shape,
        sites,
        tuple(Layer.of(layer, sites, shape, sites.residual_scale(text)) for layer in layers),
        Norm.of(hf.get_submodule(sites.final_norm), sites),
        weight,
        weight.mean(0),
        None if bias is None else bias.detach(),
    )


def _shape(config: Any, num_parameters: int) -> ModelShape:
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    return ModelShape(
        architecture=config.model_type,
        num_layers=int(text.num_hidden_layers),
        d_model=int(text.hidden_size),
        num_heads=heads,
        num_kv_heads=int(getattr(text, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
        vocab_size=int(text.vocab_size),
        max_positions=int(text.max_position_embeddings),
        num_parameters=num_parameters,
    )


def _placement(device_map: str) -> str:
    return "cpu" if device_map == "auto" and not torch.cuda.is_available() else device_map


def _from_hub(load: Any, name: str, revision: str | None, what: str, **options: Any) -> Any:
    """Call a `from_pretrained`, with its many kinds of failure told as one."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
    here = Path(name).is_dir()
    if not here and is_path(name):
        raise ModelError(
            f"there is no directory {name!r} to read a model from; with internet, `distributed-tracer bundle` makes one"
        )
    silence = None if here else _why_the_hub_is_silent(name, revision)
    try:
        return load(
            name, revision=revision, trust_remote_code=False, local_files_only=here or silence is not None, **options
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(silence or error).strip().partition("\n")[0] or type(error).__name__
        where = "the directory" if here else "no such directory, and as a hub id"
        raise ModelError(
            f"cannot read {what} of model {name!r} ({where}): {reason}. Without internet, give a directory "
            "that holds config.json, tokenizer files and *.safetensors: on a machine with internet, "
            "`distributed-tracer bundle` makes one of a hub id."
        ) from error


def _why_the_hub_is_silent(name: str, revision: str | None) -> Exception | None:
    """Why only this machine's cache can have the model, or None. Asks once; `from_pretrained` would for 30 seconds."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
    except Exception as error:  # the hub's client lets errors of its HTTP library through, which differ by version
        return error
    return None
