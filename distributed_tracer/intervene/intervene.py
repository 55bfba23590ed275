"""intervene: prompts with some features set to other values, in one forward pass for many."""

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
    """One prompt's token ids, which begin with a special token (see `tokenize`), and what is set in it.

    The ids are used as they are: none is put before them. They may be an array or tensor [P] or [1, P], or what a
    tokenizer returns. Raises PromptError and InterventionError for what are no ids and no interventions.
    """

    tokens: tuple[int, ...]
    interventions: tuple[Intervention, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", plain_values.token_ids(self.tokens, PromptError))
        object.__setattr__(self, "interventions", sequence_of(self.interventions))


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What a model did with a prompt: logits [V] at its last position, in float32 or better, and active features."""

    logits_V: Tensor
    active: ActiveTable | None
    """None where they were not asked for. A feature that was set has the value it was set to."""

    def __repr__(self) -> str:
        return f"<ModelOutput: logits of {counted(len(self.logits_V), 'token')}, active {self.active!r}>"


@dataclass(frozen=True, eq=False)
class InterventionResult:
    """What interventions did to a prompt."""

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
    """The effects of all cases, in order, from two forward passes: of the different prompts, and of the cases.

    Attention patterns are those of the prompt as it is, unless `freeze_attention` is False. In `constrained_layers`
    nothing reacts: norms, attention and other MLPs are held, and with the last one, so is the final norm; what is left
    are direct effects. What is set in them is written to them alone, also by cross-layer transcoders. `with_active`
    lists every active feature, before and after; `observe` is told what else there is to see of the second pass.
    Prompts may differ in length; where rotary tables depend on it, those with one table are run together, and `observe`
    is refused for several. Raises InterventionError and PromptError before anything is run.
    """
    constrained_layers = layers_of(constrained_layers, transcoders)
    freeze_attention = plain_values.flag(freeze_attention, "freeze_attention", InterventionError)
    changes_B = [changes_of(case, model, transcoders) for case in cases]
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(rope_regime(model.hf.config, len(case.tokens)), []).append(number)
    if len(groups) != 1:
        if observe is not None and groups:
            raise InterventionError(
                f"the rotary tables of this {model.shape.architecture} model depend on a prompt's length, and these "
                f"prompts need {len(groups)}: what is observed would be of as many passes; give prompts of equal length"
            )
        effects: dict[int, InterventionResult] = {}
        for numbers in groups.values():
            found = intervene(
                [cases[number] for number in numbers],
                model,
                transcoders,
                freeze_attention=freeze_attention,
                constrained_layers=constrained_layers,
                with_active=with_active,
            )
            effects.update(zip(numbers, found, strict=True))
        return [effects[number] for number in range(len(cases))]
    prompts = list(dict.fromkeys(case.tokens for case in cases))
    row_B = torch.tensor([prompts.index(case.tokens) for case in cases])
    fired = [ActivationRecorder(transcoders) if with_active else None for _ in range(2)]
    baseline = BaselinePass(observe=fired[0])
    changed = InterventionPass(
        transcoders, baseline, row_B, changes_B, freeze_attention, constrained_layers, _both(fired[1], observe)
    )
    before = _run(model, transcoders, baseline, prompts, fired[0])
    after = _run(model, transcoders, changed, [case.tokens for case in cases], fired[1], changed.values_B)
    return [
        InterventionResult(case.tokens, before[row], seen)
        for case, row, seen in zip(cases, row_B.tolist(), after, strict=True)
    ]


def layers_of(constrained_layers: range | Sequence[int], transcoders: Transcoders) -> range:
    """Layers that follow one another, as a range. Raises InterventionError for others, and those that there are not."""
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
    """What a case sets in its prompt. Raises PromptError for ids that the model cannot read, and InterventionError."""
    check_readable(case.tokens, model.shape, "a prompt to intervene in")
    zeroed = num_zeroed_positions(case.tokens, model.shape.architecture)
    return resolve_interventions(case.interventions, transcoders.shape, len(case.tokens), zeroed)


def _both(first: Callable[[int, Tensor], None] | None, second: LayerObserver | None) -> LayerObserver | None:
    told = [observe for observe in (first, second) if observe is not None]

    def tell(layer: int, x: Tensor) -> None:
        for observe in told:
            observe(layer, x)

    return tell if told else None


def _run(
    model: Model,
    transcoders: Transcoders,
    watcher: BaselinePass | InterventionPass,
    prompts: Sequence[tuple[int, ...]],
    fired: ActivationRecorder | None,
    values_B: Sequence[dict[tuple[int, int, int], float]] = (),
) -> list[ModelOutput]:
    """What is seen of each prompt. Shorter ones are filled up at their end, which nothing looks at."""
    longest = max(map(len, prompts))
    tokens_BP = torch.tensor([[*tokens, *[tokens[-1]] * (longest - len(tokens))] for tokens in prompts])
    last = sorted({len(tokens) - 1 for tokens in prompts})
    logits = forward(model, transcoders, watcher, tokens_BP, last)
    tables: Sequence[ActiveTable | None] = [None] * len(prompts)
    if fired is not None:
        spans = [range(num_zeroed_positions(tokens, model.shape.architecture), len(tokens)) for tokens in prompts]
        tables = fired.tables(spans, values_B or [{}] * len(prompts))
    return [
        ModelOutput(logits[row, last.index(len(tokens) - 1)], table)
        for row, (tokens, table) in enumerate(zip(prompts, tables, strict=True))
    ]


__getattr__ = renamed(__name__)
