"""generate: continues a prompt token by token while features are set, with a cache of keys and values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from transformers import DynamicCache

from .. import plain_values
from ..errors import InterventionError
from ..model.model import Model
from ..model.rope import rope_regime
from ..model.tokenize import num_zeroed_positions
from ..transcoder.base import Transcoders
from .hooked_forward import BaselinePass, InterventionPass, forward
from .intervene import NO_LAYERS, InterventionCase, changes_of, layers_of
from .intervention import Intervention, resolve_interventions


@torch.no_grad()
def generate(
    case: InterventionCase,
    model: Model,
    transcoders: Transcoders,
    *,
    max_new_tokens: int = 20,
    temperature: float = 0.0,
    seed: int = 0,
    freeze_attention: bool = True,
    constrained_layers: range = NO_LAYERS,
) -> tuple[int, ...]:
    """Return the token ids that follow a prompt, up to and including the end-of-text token.

    At `temperature` 0 each token is the most likely one. Every token is the one that `intervene` would give after the
    prompt and the tokens before it. Slices that are open at their end (`slice(3, None)`) extend over the generated
    tokens; other positions refer to the prompt. Multiples, and everything held constant, refer to the unchanged model
    reading the same tokens. Raises InterventionError and PromptError before anything is run.
    """
    constrained_layers = layers_of(constrained_layers, transcoders)
    freeze_attention = plain_values.flag(freeze_attention, "freeze_attention", InterventionError)
    max_new_tokens = plain_values.integer(max_new_tokens, "max_new_tokens", InterventionError)
    temperature = plain_values.finite(temperature, "temperature", InterventionError)
    seed = plain_values.integer(seed, "seed", InterventionError)
    changes_of(case, model, transcoders)  # raises for what cannot be read or set
    if max_new_tokens < 1 or temperature < 0.0:
        raise InterventionError(
            f"max_new_tokens must be at least 1 and temperature not negative, not {max_new_tokens} and {temperature}"
        )
    room = model.shape.max_positions - len(case.tokens)
    if max_new_tokens > room:
        raise InterventionError(
            f"a prompt of {len(case.tokens)} tokens leaves room for {room} more, not {max_new_tokens}: the model takes "
            f"{model.shape.max_positions}"
        )
    zeroed = num_zeroed_positions(case.tokens, model.shape.architecture)
    anchored = tuple(_anchored(case.interventions, len(case.tokens)))
    caches = DynamicCache(), DynamicCache()  # one for the unchanged model, one for the model with features set
    lottery = torch.Generator().manual_seed(seed)
    ends = _ending_tokens(model)
    tokens, num_read = list(case.tokens), 0
    regime = rope_regime(model.hf.config, len(tokens))
    for _ in range(max_new_tokens):
        if regime != (regime := rope_regime(model.hf.config, len(tokens))):
            caches, num_read = (DynamicCache(), DynamicCache()), 0  # their keys were turned by another rotary table
        fresh = torch.tensor([tokens[num_read:]])
        now = [
            replace(change, position=change.position - num_read)
            for change in resolve_interventions(anchored, transcoders.shape, len(tokens), zeroed)
            if change.position >= num_read
        ]
        baseline = BaselinePass()
        changed = InterventionPass(
            transcoders, baseline, torch.zeros(1, dtype=torch.long), [now], freeze_attention, constrained_layers, None
        )
        last = [fresh.shape[1] - 1]
        forward(model, transcoders, baseline, fresh, last, caches[0])
        logits_V = forward(model, transcoders, changed, fresh, last, caches[1])[0, 0]
        num_read = len(tokens)
        tokens.append(_chosen(logits_V, temperature, lottery))
        if tokens[-1] in ends:
            break
    return tuple(tokens[len(case.tokens) :])


def _anchored(interventions: tuple[Intervention, ...], num_tokens: int) -> Iterator[Intervention]:
    """Yield the same interventions with positions counted from the beginning of the prompt."""
    for intervention in interventions:
        position = intervention.position
        if isinstance(position, int):
            yield replace(intervention, position=position + num_tokens if position < 0 else position)
        elif position.stop is None and (position.step or 1) > 0:
            start, _, step = position.indices(num_tokens)
            yield replace(intervention, position=slice(max(start, position.start or 0), None, step))
        else:
            yield from (replace(intervention, position=place) for place in range(num_tokens)[position])


def _chosen(logits_V: Tensor, temperature: float, lottery: torch.Generator) -> int:
    if temperature == 0.0:
        return int(logits_V.argmax())
    probability_V = (logits_V.double() / temperature).softmax(0).cpu()
    return int(torch.multinomial(probability_V, 1, generator=lottery))


def _ending_tokens(model: Model) -> set[int]:
    configured = model.hf.generation_config.eos_token_id if model.hf.generation_config is not None else None
    found = configured if configured is not None else model.tokenizer.eos_token_id
    return set(found) if isinstance(found, list) else {found}
