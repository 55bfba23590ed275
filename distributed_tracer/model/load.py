"""Load a Model from a Hugging Face directory or hub id.

accelerate places it on devices, its weights are frozen, and the specification of its architecture comes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..artifacts.checkpoint_files import check_safetensors, integer_tensors
from ..artifacts.location import split_revision
from ..documents.json_text import parse_json
from ..documents.text import MAX_INDEX_BYTES, read_text, shortened
from ..errors import ModelError
from ..shapes import ModelShape
from .architectures import ArchitectureSpec, architecture_spec
from .from_pretrained import file_of, folder_of, from_hub
from .layer import Layer
from .loading_report import check_codes, check_report, quiet
from .model import Model
from .norm import Norm
from .quantised import check_readable, method_of, options_for
from .rope import max_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


MOST = 4096
"""Maximum number of layers, or of experts, of a model; the largest models have some hundreds."""
_MOST_PER_BYTE = 8
"""Maximum number of parameters in one byte of a file, reached at one bit each."""
_WORD = re.compile(r"\w{1,40}", re.ASCII)
_COUNT = re.compile(r"(layers?|experts?|blocks|depth)$")


def load_config(model: str) -> Any:
    """Return the config of a model.

    Raises ModelError if there is no config, or if the weights are quantised in a way that cannot be undone, and
    UnknownArchitecture if the architecture has no row.
    """
    name, revision = split_revision(model)
    config = from_hub(_read_config, name, revision, "config.json")
    with _describing(model):
        architecture_spec(config.model_type, config, model)
        check_readable(model, method_of(config))
    return config


def class_of(config: Any) -> Any:
    """Return the library's Auto class for a config. Some language models exist only as part of a vision-language
    model."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    sees_too = type(config) not in AutoModelForCausalLM._model_mapping
    return AutoModelForImageTextToText if sees_too else AutoModelForCausalLM


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model.

    Raises ModelError if there is none, or if its vocabulary has special tokens only. The library makes such a tokenizer
    if there are no tokenizer files, and no text has tokens then.
    """
    name, revision = split_revision(model)
    tokenizer: PreTrainedTokenizerBase = from_hub(_read_tokenizer, name, revision, "tokenizer files")
    if len(tokenizer.get_added_vocab()) == len(tokenizer):
        raise ModelError(
            f"cannot read tokenizer files of model {model!r}: there is no vocabulary beside {len(tokenizer)} special "
            "tokens. Copy tokenizer.json, or what its tokenizer is made of (vocab.json and merges.txt, or "
            "tokenizer.model), from where the model is from"
        )
    return tokenizer


def model_shape(model: str) -> ModelShape:
    """Return the sizes of a model from its config, without weights. Parameters are counted on tensors without data.

    Raises ModelError and UnknownArchitecture as `load_config` does, and ModelError for a config that describes no
    model.
    """
    config = load_config(model)
    with _describing(model):
        with torch.device("meta"):
            empty = class_of(config).from_config(config)
        return _shape(config, empty, architecture_spec(config.model_type, config, model))


def load_model(model: str, dtype: str = "float32", device_map: str = "auto") -> Model:
    """Load a model, place it on devices and freeze it. Weights are read from safetensors only; no remote code is run.

    Quantised weights are converted back to numbers of `dtype` if the library can do so. One sequence of random tokens
    checks that the model computes the same here as in the library. Raises ModelError if files are missing or do not
    match config.json, if weights would be offloaded, or if the check fails; and UnknownArchitecture if the architecture
    has no row.
    """
    from . import attention
    from .library_check import check_forward

    config = load_config(model)
    name, revision = split_revision(model)
    method = method_of(config)
    _check_bytes(config, model, folder_of(name, revision))
    with quiet():
        hf, report = from_hub(
            class_of(config).from_pretrained,
            name,
            revision,
            "model.safetensors",
            dtype=getattr(torch, dtype),
            device_map=_placement(device_map),
            attn_implementation=attention.NAME,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them
            **options_for(method),
        )
    check_report(model, report)
    if method is None and (folder := folder_of(name, revision)) is not None:
        check_codes(model, integer_tensors(folder))
    if method is not None:
        hf = (hf.dequantize() if method == "bitsandbytes" else hf).to(getattr(torch, dtype))
    tokenizer = load_tokenizer(model)
    with _describing(model):
        loaded = wrap(hf, tokenizer, config.model_type)
    check_forward(loaded, model)
    return loaded


def wrap(hf: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, model_type: str | None = None) -> Model:
    """Return a Model for a Hugging Face model that is already in memory. The model is switched to this package's
    attention, and frozen.

    Raises UnknownArchitecture if its architecture has no row, and ModelError if its weights are not in memory.
    """
    from . import attention

    if hf.config._attn_implementation != attention.NAME:
        hf.set_attn_implementation(attention.NAME)
    text = hf.config.get_text_config()
    if hf.dtype == torch.float64:
        text._experts_implementation = "eager"  # the grouped product does not support float64
    hf.eval().requires_grad_(False)  # type: ignore[no-untyped-call]
    sites = architecture_spec(model_type or hf.config.model_type, hf.config, type(hf).__name__)
    shape = _shape(hf.config, hf, sites)
    layers = hf.get_submodule(sites.layers)
    assert isinstance(layers, nn.ModuleList)
    unembed = hf.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert unembed is not None, "language models have an unembedding"
    weight, bias = unembed.get_parameter("weight").detach(), getattr(unembed, "bias", None)
    if (scale := sites.logit_scale(text)) != 1:  # a scaled copy, so that all code gets the direction of a logit
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


def _read_tokenizer(name: str, **options: Any) -> Any:
    """Return the library's tokenizer after it was used once, because it reads some of its settings only then."""
    from transformers import AutoTokenizer

    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if path := file_of(name, file, options["revision"], options["local_files_only"]):
            _check_options(parse_json(read_text(path, ModelError, MAX_INDEX_BYTES), ModelError, strict=False), file)
    tokenizer = AutoTokenizer.from_pretrained(name, **options)
    for special in (False, True):
        tokenizer("a", add_special_tokens=special)
    return tokenizer


def _check_options(value: object, file: str, is_token: bool = False) -> None:
    """Raise ModelError if an option of a token is not named by a word: the library prints the options that it does not
    know.

    Tokens are the objects in lists, those under keys that end in `_token` or are ids, and those with a `content`.
    """
    if isinstance(value, list):
        for entry in value:
            _check_options(entry, file, is_token=True)
    if not isinstance(value, dict):
        return
    if is_token and (wrong := [name for name in value if not _WORD.fullmatch(name)]):
        raise ModelError(f"{file}: {shortened(wrong[0])} is no option of a token")
    for key, below in value.items():
        has_content = isinstance(below, dict) and "content" in below
        _check_options(below, file, is_token=has_content or key.endswith("_token") or key.isdecimal())


def _read_config(name: str, **options: Any) -> Any:
    """Return the library's config.

    Raises ModelError for a file, or a number in it, that is too large for a config, and if the library has put its
    default in the place of an explicit null.
    """
    from transformers import AutoConfig, PreTrainedConfig

    if path := file_of(name, "config.json", options["revision"], options["local_files_only"]):
        _check_counts(parse_json(read_text(path, ModelError), ModelError, strict=False), name)
    config = AutoConfig.from_pretrained(name, **options)
    written, _ = PreTrainedConfig.get_config_dict(name, **options)
    written = written.get("text_config") or written
    used = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kind = used.get("rope_type", "default")
    if kind != "default" and written.get("rope_scaling", kind) is None and "rope_parameters" not in written:
        raise ModelError(
            f"config.json of model {name!r} says that rope_scaling is null, and the library takes its default instead, "
            f'{kind!r}: write "rope_parameters": {{"rope_type": "default", "rope_theta": {used.get("rope_theta")}}} '
            "there in its place"
        )
    return config


def _check_bytes(config: Any, model: str, folder: Path | None) -> None:
    """Raise ModelError for a config that describes a far larger model than the files hold. The library would allocate
    it before it reads the files."""
    files = list(folder.glob("*.safetensors")) if folder else []
    is_whole = not any(map(check_safetensors, files))  # for damaged files, the library's own message is explained
    num_bytes = sum(path.stat().st_size for path in files) if is_whole else 0
    with _describing(model), torch.device("meta"):
        count = class_of(config).from_config(config).num_parameters() if num_bytes else 0
    if count > _MOST_PER_BYTE * num_bytes:
        raise ModelError(
            f"config.json of model {model!r} describes {count:,} parameters, and its .safetensors files have "
            f"{num_bytes:,} bytes: they are not of the same model"
        )


def _check_counts(written: Any, model: str) -> None:
    """Raise ModelError for more layers or experts than any model has. The library would create them one by one."""
    for key, value in written.items() if isinstance(written, dict) else ():
        if isinstance(value, dict):
            _check_counts(value, model)
        elif _COUNT.search(key) and not isinstance(value, bool) and isinstance(value, int | float) and value > MOST:
            raise ModelError(
                f"config.json of model {model!r} says that {shortened(key)} is {value:.6g}; at most {MOST:,} are read"
            )


@contextmanager
def _describing(model: str) -> Iterator[None]:
    """Turn every error inside the block into a ModelError that says that the config describes no model.

    Errors for lack of memory pass through unchanged.
    """
    try:
        yield
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"config.json of model {model!r} does not describe a model that can be made here: {type(error).__name__}: "
            f"{shortened(str(error))}. Give the file that the weights came with."
        ) from error


def _shape(config: Any, hf: PreTrainedModel, sites: ArchitectureSpec) -> ModelShape:
    text = config.get_text_config()
    copied = [] if sites.logit_scale(text) == 1 else hf.get_output_embeddings().parameters()  # type: ignore[no-untyped-call]
    heads = int(text.num_attention_heads)
    return ModelShape(
        architecture=config.model_type,
        num_layers=int(text.num_hidden_layers),
        d_model=int(text.hidden_size),
        num_heads=heads,
        num_kv_heads=int(getattr(text, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
        vocab_size=int(text.vocab_size),
        max_positions=max_positions(config),
        num_parameters=hf.num_parameters(),
        num_copied=sum(tensor.numel() for tensor in copied),
    )


def _placement(device_map: str) -> str:
    return "cpu" if device_map == "auto" and not torch.cuda.is_available() else device_map
