"""generate: continues a prompt token by token while features are set, with a cache of keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    _check(max_new_tokens, temperature, len(case.tokens), model.shape.max_positions)
    passes = _CachedPasses(case, model, transcoders, freeze_attention, constrained_layers)
    lottery = torch.Generator().manual_seed(seed)
    ends = _ending_tokens(model)
    tokens = list(case.tokens)
    for _ in range(max_new_tokens):
        tokens.append(_chosen(passes.next_logits_V(tokens), temperature, lottery))
        if tokens[-1] in ends:
            break
    return tuple(tokens[len(case.tokens) :])


def _check(max_new_tokens: int, temperature: float, num_tokens: int, max_positions: int) -> None:
    """Raise InterventionError for numbers that make no sense, and if the new tokens do not fit after the prompt."""
    if max_new_tokens < 1 or temperature < 0.0:
        raise InterventionError(
            f"max_new_tokens must be at least 1 and temperature not negative, not {max_new_tokens} and {temperature}"
        )
    room = max_positions - num_tokens
    if max_new_tokens > room:
        raise InterventionError(
            f"a prompt of {num_tokens} tokens leaves room for {room} more, not {max_new_tokens}: the model takes "
            f"{max_positions}"
        )


class _CachedPasses:
    """Reads a growing prompt with the unchanged model and with features set, and each token only once: the keys and
    values of both are kept."""

    def __init__(
        self,
        case: InterventionCase,
        model: Model,
        transcoders: Transcoders,
        freeze_attention: bool,
        constrained_layers: range,
    ) -> None:
        """Read nothing yet. For the arguments, see `generate`."""
        self._model, self._transcoders = model, transcoders
        self._held = freeze_attention, constrained_layers
        self._anchored = tuple(_anchored(case.interventions, len(case.tokens)))
        self._zeroed = num_zeroed_positions(case.tokens, model.shape.architecture)
        self._regime = rope_regime(model.hf.config, len(case.tokens))
        self._caches, self._num_read = (DynamicCache(), DynamicCache()), 0

    def next_logits_V(self, tokens: Sequence[int]) -> Tensor:
        """Read the tokens that follow those of the call before, and return the logits [V] after them with features
        set."""
        model, transcoders = self._model, self._transcoders
        if self._regime != (regime := rope_regime(model.hf.config, len(tokens))):
            self._regime = regime
            self._caches, self._num_read = (DynamicCache(), DynamicCache()), 0  # keys were turned by another table
        fresh, last = torch.tensor([tokens[self._num_read :]]), [len(tokens) - self._num_read - 1]
        changes = [
            replace(change, position=change.position - self._num_read)
            for change in resolve_interventions(self._anchored, transcoders.shape, len(tokens), self._zeroed)
            if change.position >= self._num_read
        ]
        baseline = BaselinePass()
        changed = InterventionPass(
            transcoders, baseline, torch.zeros(1, dtype=torch.long), [changes], *self._held, None
        )
        forward(model, transcoders, baseline, fresh, last, self._caches[0])
        logits_V = forward(model, transcoders, changed, fresh, last, self._caches[1])[0, 0]
        self._num_read = len(tokens)
        return logits_V


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
