"""intervene: runs prompts with some features set to other values, many prompts in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import plain_values
from ..errors import InterventionError, PromptError
from ..graph.nodes import ActiveTable
from ..model.model import Model
from ..model.rope import rope_regime
from ..model.tokenize import check_readable, num_zeroed_positions
from ..moved import renamed
from ..text import counted
from ..transcoder.base import Transcoders
from .activation_recorder import ActivationRecorder
from .hooked_forward import BaselinePass, InterventionPass, LayerObserver, forward
from .intervention import Intervention, ResolvedIntervention, resolve_interventions, sequence_of

NO_LAYERS = range(0)


@dataclass(frozen=True)
class InterventionCase:
    """Token ids of one prompt, beginning with a special token (see `tokenize`), and the interventions to make in it.

    The ids are used as they are; no token is put before them. They may be an array or tensor [P] or [1, P], or the
    output of a tokenizer. Raises PromptError for invalid ids and InterventionError for invalid interventions.
    """

    tokens: tuple[int, ...]
    interventions: tuple[Intervention, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", plain_values.token_ids(self.tokens, PromptError))
        object.__setattr__(self, "interventions", sequence_of(self.interventions))


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """A model's output for a prompt: logits [V] at the last position, in float32 or better, and the active features."""

    logits_V: Tensor
    active: ActiveTable | None
    """None if active features were not requested. A feature that was set has the value it was set to."""

    def __repr__(self) -> str:
        return f"<ModelOutput: logits of {counted(len(self.logits_V), 'token')}, active {self.active!r}>"


@dataclass(frozen=True, eq=False)
class InterventionResult:
    """The model's output for one prompt before and after the interventions."""

    tokens: tuple[int, ...]
    before: ModelOutput
    after: ModelOutput

    def __repr__(self) -> str:
        moved = float((self.after.logits_V - self.before.logits_V).abs().max())
        best = [int(seen.logits_V.argmax()) for seen in (self.before, self.after)]
        return (
            f"<InterventionResult on {counted(len(self.tokens), 'token')}: the likeliest next token is {best[0]} "
            f"before and {best[1]} after; logits move by up to {moved:.3g}>"
        )


@torch.no_grad()
def intervene(
    cases: Sequence[InterventionCase],
    model: Model,
    transcoders: Transcoders,
    *,
    freeze_attention: bool = True,
    constrained_layers: range = NO_LAYERS,
    with_active: bool = False,
    observe: LayerObserver | None = None,
) -> list[InterventionResult]:
    """Return the effects of all cases, in order, from two forward passes: of the distinct prompts, and of the cases.

    Attention patterns are those of the unchanged prompt unless `freeze_attention` is False. In `constrained_layers`
    nothing reacts: norms, attention and the other MLPs are held, and if the last layer is constrained, so is the final
    norm; only direct effects remain. Features set in these layers are written to these layers only, also by cross-layer
    transcoders. `with_active` lists every active feature, before and after. `observe` receives the inputs of each layer
    in the second pass. Prompts may differ in length. Where rotary tables depend on the length, prompts with the same
    table are run together, and `observe` is refused if there are several tables. Raises InterventionError and
    PromptError before anything is run.
    """
    constrained_layers = layers_of(constrained_layers, transcoders)
    freeze_attention = plain_values.flag(freeze_attention, "freeze_attention", InterventionError)
    changes_B = [changes_of(case, model, transcoders) for case in cases]
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(rope_regime(model.hf.config, len(case.tokens)), []).append(number)
    if observe is not None and len(groups) > 1:
        raise InterventionError(
            f"the rotary tables of this {model.shape.architecture} model depend on a prompt's length, and these "
            f"prompts need {len(groups)}: what is observed would be of as many passes; give prompts of equal length"
        )
    options = freeze_attention, constrained_layers, with_active, observe
    results: dict[int, InterventionResult] = {}
    for numbers in groups.values():
        prompts, changes = [cases[number].tokens for number in numbers], [changes_B[number] for number in numbers]
        found = _run_together(model, transcoders, prompts, changes, *options)
        results.update(zip(numbers, found, strict=True))
    return [results[number] for number in range(len(cases))]


def _run_together(
    model: Model,
    transcoders: Transcoders,
    tokens_B: Sequence[tuple[int, ...]],
    changes_B: Sequence[tuple[ResolvedIntervention, ...]],
    freeze_attention: bool,
    constrained_layers: range,
    with_active: bool,
    observe: LayerObserver | None,
) -> list[InterventionResult]:
    """Run both passes for cases whose prompts have the same rotary tables. For the arguments, see `intervene`."""
    prompts = list(dict.fromkeys(tokens_B))
    row_B = torch.tensor([prompts.index(tokens) for tokens in tokens_B])
    fired = [ActivationRecorder(transcoders) if with_active else None for _ in range(2)]
    baseline = BaselinePass(observe=fired[0])
    changed = InterventionPass(
        transcoders, baseline, row_B, changes_B, freeze_attention, constrained_layers, _both(fired[1], observe)
    )
    before = _run(model, transcoders, baseline, prompts, fired[0])
    after = _run(model, transcoders, changed, tokens_B, fired[1], changed.values_B)
    return [
        InterventionResult(tokens, before[row], output)
        for tokens, row, output in zip(tokens_B, row_B.tolist(), after, strict=True)
    ]


def layers_of(constrained_layers: range | Sequence[int], transcoders: Transcoders) -> range:
    """Return consecutive layers as a range. Raises InterventionError if they are not consecutive or do not exist."""
    found = plain_values.integers(constrained_layers, "constrained_layers", InterventionError)
    num_layers = transcoders.shape.num_layers
    if not set(found) <= set(range(num_layers)):
        raise InterventionError(f"{plain_values.shown(constrained_layers)} are not among the {num_layers} layers")
    if sorted(found) != list(range(min(found, default=0), max(found, default=-1) + 1)):
        raise InterventionError(
            f"constrained_layers must follow one another, not {plain_values.shown(constrained_layers)}"
        )
    return range(min(found, default=0), max(found, default=-1) + 1)


def changes_of(case: InterventionCase, model: Model, transcoders: Transcoders) -> tuple[ResolvedIntervention, ...]:
    """Return the interventions of a case, resolved for its prompt.

    Raises PromptError for ids that the model cannot read, and InterventionError for interventions that are not
    possible.
    """
    check_readable(case.tokens, model.shape, "a prompt to intervene in")
    zeroed = num_zeroed_positions(case.tokens, model.shape.architecture)
    return resolve_interventions(case.interventions, transcoders.shape, len(case.tokens), zeroed)


def _both(first: Callable[[int, Tensor], None] | None, second: LayerObserver | None) -> LayerObserver | None:
    observers = [observe for observe in (first, second) if observe is not None]

    def observe_all(layer: int, x: Tensor) -> None:
        for observe in observers:
            observe(layer, x)

    return observe_all if observers else None


def _run(
    model: Model,
    transcoders: Transcoders,
    hooks: BaselinePass | InterventionPass,
    prompts: Sequence[tuple[int, ...]],
    fired: ActivationRecorder | None,
    values_B: Sequence[dict[tuple[int, int, int], float]] = (),
) -> list[ModelOutput]:
    """Return the output for each prompt. Shorter prompts are padded at the end, to which no token attends."""
    longest = max(map(len, prompts))
    tokens_BP = torch.tensor([[*tokens, *[tokens[-1]] * (longest - len(tokens))] for tokens in prompts])
    last = sorted({len(tokens) - 1 for tokens in prompts})
    logits = forward(model, transcoders, hooks, tokens_BP, last)
    tables: Sequence[ActiveTable | None] = [None] * len(prompts)
    if fired is not None:
        spans = [range(num_zeroed_positions(tokens, model.shape.architecture), len(tokens)) for tokens in prompts]
        tables = fired.tables(spans, values_B or [{}] * len(prompts))
    return [
        ModelOutput(logits[row, last.index(len(tokens) - 1)], table)
        for row, (tokens, table) in enumerate(zip(prompts, tables, strict=True))
    ]


__getattr__ = renamed(__name__)
