"""Targets: the nodes that a graph explains, given by TargetSpecs or else the most likely next tokens.

Each target is resolved to a direction and a weight.

Axes: K target, V vocabulary, D model width, P position, L layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..config import TraceConfig
from ..errors import TargetError
from ..graph.graph import Target
from ..model.forward_cache import ForwardCache
from ..model.model import Model
from ..model.tokenize import single_token, token_strings
from ..prompt import TargetSpec
from ..threads import multiply
from ..transcoder.base import Transcoders


@dataclass(frozen=True, eq=False)
class ResolvedTargets:
    """The resolved targets of one prompt: where each is read, and along which vector.

    A target is read at the input site of layer `layer_K`, or at the final norm's output if that is the number of
    layers.
    """

    targets: tuple[Target, ...]
    layer_K: list[int]
    position_K: list[int]
    vector_KD: Tensor
    bias_K: Tensor
    """The bias of the unembedding or of the encoder, which is added to the product of the vector and the value at the
    site."""


def positions_needed(specs: Sequence[TargetSpec], num_tokens: int) -> list[int]:
    """Return the positions whose logits the targets need, ascending.

    Raises TargetError for a position outside the prompt.
    """
    for spec in specs:
        if not -num_tokens <= spec.position < num_tokens:
            raise TargetError(f"target position {spec.position} is outside a prompt of {num_tokens} tokens")
    return sorted({spec.position % num_tokens for spec in specs} or {num_tokens - 1})


def resolve_targets(
    specs: Sequence[TargetSpec], model: Model, cache: ForwardCache, transcoders: Transcoders, config: TraceConfig
) -> ResolvedTargets:
    """Resolve the targets that the prompt names, or else choose the most likely next tokens.

    The tokens are chosen in the order of their probabilities until they reach `target_mass` together; at most
    `max_targets` are chosen. The direction of a token is its unembedding vector minus the mean over the vocabulary. Its
    weight is its probability, computed from the logits after any softcap. Raises TargetError for a target that cannot
    be resolved.
    """
    num_tokens = len(cache.tokens_P)
    if not specs:
        probs = cache.logits[num_tokens - 1].softmax(-1)
        top = probs.topk(min(config.max_targets, len(probs)))
        # The token with which the mass is reached is a target, too.
        count = int((top.values.cumsum(0) < config.target_mass).sum()) + 1
        specs = [TargetSpec(token=token) for token in top.indices[:count].tolist()]
    resolved = [_resolve(spec, model, cache, transcoders) for spec in specs]
    values = torch.stack([_value(r, model, cache) for r in resolved]).tolist()
    sought = [r.prob for r in resolved if r.prob is not None]
    known = iter(torch.stack(sought).tolist() if sought else [])
    weights = [r.target.weight if r.prob is None else next(known) for r in resolved]
    found = zip(resolved, values, weights, strict=True)
    return ResolvedTargets(
        tuple(replace(r.target, value=value, weight=weight) for r, value, weight in found),
        [r.layer for r in resolved],
        [r.target.position for r in resolved],
        torch.stack([r.vector_D for r in resolved]),
        torch.stack([r.bias for r in resolved]),
    )


@dataclass(frozen=True, eq=False)
class _Resolved:
    target: Target
    layer: int
    vector_D: Tensor
    bias: Tensor
    prob: Tensor | None = None
    """The probability that is the target's weight, without dimensions: those of all targets leave the device
    together."""


def _value(resolved: _Resolved, model: Model, cache: ForwardCache) -> Tensor:
    """Return the value that a target has in the model, as a tensor of no dimensions."""
    at_final = resolved.layer == model.shape.num_layers
    site_PD = cache.final_PD if at_final else cache.inputs_PD[resolved.layer]
    vector_D = resolved.vector_D
    return multiply(site_PD[resolved.target.position].to(vector_D.device), vector_D) + resolved.bias


def _resolve(spec: TargetSpec, model: Model, cache: ForwardCache, transcoders: Transcoders) -> _Resolved:
    if spec.feature is not None:
        return _feature(spec, spec.feature, model, cache, transcoders)
    position = spec.position % len(cache.tokens_P)
    device = model.unembed_VD.device
    bias = torch.zeros((), dtype=model.dtype, device=device)
    token_id, prob = -1, None
    if spec.direction is not None:
        if len(spec.direction) != model.shape.d_model:
            raise TargetError(
                f"target direction has {len(spec.direction)} components; the model is {model.shape.d_model} wide"
            )
        vector, label = torch.tensor(spec.direction, dtype=model.dtype, device=device), "direction"
    else:
        assert spec.token is not None
        plus = _token(spec.token, model)
        vector, bias, label = _demeaned(plus, model), _demeaned_bias(plus, model, bias), _name(plus, model)
        if spec.minus is None:
            token_id = plus
            prob = cache.logits[position].softmax(-1)[plus] if spec.weight is None else None
        else:
            minus = _token(spec.minus, model)
            vector = model.unembed_VD[plus] - model.unembed_VD[minus]
            bias = bias - _demeaned_bias(minus, model, torch.zeros_like(bias))
            label = f"{label} - {_name(minus, model)}"
    weight = 1.0 if spec.weight is None else spec.weight
    target = Target(spec.label or label, token_id, weight, position, 0.0)
    return _Resolved(target, model.shape.num_layers, vector, bias, prob)


def _feature(
    spec: TargetSpec, feature: tuple[int, int, int], model: Model, cache: ForwardCache, transcoders: Transcoders
) -> _Resolved:
    layer, position, index = feature
    shape, num_tokens = transcoders.shape, len(cache.tokens_P)
    if not (0 <= layer < shape.num_layers and 0 <= index < shape.features_L[layer]):
        raise TargetError(
            f"target feature {layer}:{index} does not exist; there are {shape.num_layers} layers"
            + (f" and {shape.features_L[layer]} features in layer {layer}" if 0 <= layer < shape.num_layers else "")
        )
    if not -num_tokens <= position < num_tokens:
        raise TargetError(f"target position {position} is outside a prompt of {num_tokens} tokens")
    rows, bias = transcoders.encoder_rows(layer, torch.tensor([index], device=transcoders.device))
    device = model.unembed_VD.device
    label = spec.label or f"feature {layer}:{index}"
    weight = 1.0 if spec.weight is None else spec.weight
    target = Target(label, -1, weight, position % num_tokens, 0.0)
    return _Resolved(target, layer, rows[0].to(device), bias[0].to(device))


def _token(token: int | str, model: Model) -> int:
    if isinstance(token, str):
        return single_token(token, model.tokenizer)
    if not 0 <= token < model.unembed_VD.shape[0]:
        raise TargetError(f"target token id {token} is not in the vocabulary of {model.unembed_VD.shape[0]}")
    return token


def _name(token: int, model: Model) -> str:
    return token_strings([token], model.tokenizer)[0]


def _demeaned(token: int, model: Model) -> Tensor:
    return model.unembed_VD[token] - model.unembed_mean_D


def _demeaned_bias(token: int, model: Model, none: Tensor) -> Tensor:
    bias = model.unembed_bias_V
    return none if bias is None else bias[token] - bias.mean()
