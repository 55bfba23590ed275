"""Models with the shapes of known ones, and transcoders for them, of random numbers in memory: a load without meaning.

Weights are created where they are used (for example on a CUDA device) and in the dtype in which they are used; nothing
is read from a disk or the internet. A `LoadedTranscoders` made here is in no way special. Two properties make it a load
like trained ones:

- Encoders are normal and scaled so that pre-activations spread by about 1. A layer's features share one threshold:
  the value that `num_active` of them per token exceed on random tokens of this very model. Norms give every token's
  MLP input the same length, so prompts of any length give the same density within a few percent (one layer: a fifth).
- Decoders are normal and scaled so that the active features write as much as the MLP, whose mean is `b_dec`.

Axes: I calibration token, P position, L layer, D model width, S feature of the dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast
from zlib import crc32

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from distributed_tracer.model import attention
from distributed_tracer.model.forward_cache import run_with_cache
from distributed_tracer.model.load import wrap
from distributed_tracer.model.model import Model
from distributed_tracer.shapes import TranscoderShape
from distributed_tracer.transcoder.activation import Activation
from distributed_tracer.transcoder.loaded import LayerWeights, LoadedTranscoders
from distributed_tracer.transcoder.shard import Shard

CALIBRATION = 2, 65  # number of prompts and of their tokens, of which the first is left out


@dataclass(frozen=True)
class Shape:
    """What a model is made from, and where transcoders of such models read and write."""

    model_type: str
    options: dict[str, Any]
    """Options of the model library's configuration."""
    input_site: str = "mlp.hook_in"
    output_site: str = "mlp.hook_out"

    def with_options(self, **options: Any) -> Shape:
        """Return the same shape with some options replaced."""
        return Shape(self.model_type, {**self.options, **options}, self.input_site, self.output_site)


SHAPES = {
    "tiny": Shape(
        "llama",
        {
            "num_hidden_layers": 4,
            "hidden_size": 256,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 32,
            "intermediate_size": 768,
            "vocab_size": 2048,
            "max_position_embeddings": 4096,
        },
    ),
    "gemma-2-2b": Shape(
        "gemma2",
        {
            "num_hidden_layers": 26,
            "hidden_size": 2304,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "intermediate_size": 9216,
            "vocab_size": 256_000,
            "max_position_embeddings": 8192,
            "sliding_window": 4096,
            "query_pre_attn_scalar": 256,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
        "ln2.hook_normalized",
        "hook_mlp_out",
    ),
    "llama-3.1-8b": Shape(
        "llama",
        {
            "num_hidden_layers": 32,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 14336,
            "vocab_size": 128_256,
            "max_position_embeddings": 131_072,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
        },
    ),
}


class WordTokenizer:
    """As much of a tokenizer as attribution and the benchmarks need: a word's id is a hash of it."""

    bos_token_id, eos_token_id, pad_token_id = 1, 2, 0
    all_special_ids = (1, 2, 0)
    unk_token_id = mask_token_id = None
    added_tokens_decoder: ClassVar[dict[int, object]] = {}

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        leading = [self.bos_token_id] if add_special_tokens else []
        first = len(self.all_special_ids)
        return {"input_ids": leading + [first + crc32(w.encode()) % (self.vocab_size - first) for w in text.split()]}

    def get_vocab(self) -> dict[str, int]:
        return {f"<{token}>": token for token in range(self.vocab_size)}

    def __len__(self) -> int:
        return self.vocab_size

    def decode(self, tokens: list[int]) -> str:
        return " ".join(f"<{token}>" for token in tokens)


def shaped_model(shape: Shape, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0) -> Model:
    """Return a model of that shape with the library's random initial weights, and clearly distinct embeddings."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(shape.model_type, **shape.options, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    with torch.device(device):
        hf = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, dtype=dtype, attn_implementation=attention.NAME
        )
    if not config.tie_word_embeddings:  # with a spread of 0.02, the first layer's output would drown them
        hf.get_input_embeddings().weight.detach().normal_()
    return wrap(hf, cast(PreTrainedTokenizerBase, WordTokenizer(config.vocab_size)))


def shaped_transcoders(
    model: Model, shape: Shape, num_features: int = 16384, num_active: float = 75, seed: int = 0
) -> LoadedTranscoders:
    """Return JumpReLU transcoders of every layer, on the model's device and in its dtype."""
    num_layers, width, device = model.shape.num_layers, model.shape.d_model, model.input_device
    generator = torch.Generator(device).manual_seed(seed)
    inputs, outputs = _mlp_values(model, shape, generator)
    layers = [
        _layer(x_ID, y_ID, num_features, num_active, generator) for x_ID, y_ID in zip(inputs, outputs, strict=True)
    ]
    size = TranscoderShape(
        kind="plt",
        num_layers=num_layers,
        d_model=width,
        features_L=(num_features,) * num_layers,
        input_site=shape.input_site,
        output_site=shape.output_site,
        activation="jumprelu",
        has_skip=False,
        num_parameters=num_layers * (2 * num_features * (width + 1) + width),
    )
    return LoadedTranscoders(size, layers, model.dtype, device, Shard())


def _mlp_values(model: Model, shape: Shape, generator: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
    """Return values [I, D] at the input and output site of every layer, on random tokens."""
    num_prompts, num_tokens = CALIBRATION
    caches = []
    for _ in range(num_prompts):
        size = (min(num_tokens, model.shape.max_positions),)
        tokens = torch.randint(model.shape.vocab_size, size, generator=generator, device=generator.device).tolist()
        caches.append(run_with_cache(model, tokens, shape.input_site, shape.output_site))
    inputs = [torch.cat([x_PD[1:] for x_PD in of]) for of in zip(*(cache.inputs_PD for cache in caches), strict=True)]
    outputs = [torch.cat([y_PD[1:] for y_PD in of]) for of in zip(*(cache.outputs_PD for cache in caches), strict=True)]
    return inputs, outputs


def _layer(
    x_ID: Tensor, y_ID: Tensor, num_features: int, num_active: float, generator: torch.Generator
) -> LayerWeights:
    """Return one layer's transcoder, calibrated on values at its sites."""

    def normal() -> Tensor:
        shape = (num_features, x_ID.shape[1])
        return torch.randn(shape, dtype=x_ID.dtype, device=x_ID.device, generator=generator)

    encoder_SD = normal().div_(x_ID.float().norm(dim=1).mean().to(x_ID.dtype))
    pre_IS = x_ID @ encoder_SD.T
    num_firing = min(pre_IS.numel() - 1, round(num_active * len(x_ID)))
    threshold = pre_IS.flatten().topk(num_firing + 1).values[-1]
    mean_D, decoder_SD = y_ID.mean(0), normal()
    written_ID = (pre_IS * (pre_IS > threshold)) @ decoder_SD
    decoder_SD *= (y_ID - mean_D).float().norm() / written_ID.float().norm()
    return LayerWeights(
        features=range(num_features),
        activation=Activation("jumprelu"),
        W_enc_SD=encoder_SD,
        b_enc_S=encoder_SD.new_zeros(num_features),
        threshold_S=threshold.expand(num_features).contiguous(),
        W_dec_SLD=decoder_SD[:, None],
        b_dec_D=mean_D,
        W_skip_DD=None,
    )
