"""What goes into the model's MLPs and what comes out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .tokenizer import padded

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Activations:
    """Inputs and outputs of every MLP at sampled token positions, with the left context of each position.

    The bos position is left out: transcoders do not model it.
    """

    inputs_LID: Tensor
    outputs_LID: Tensor
    contexts: list[tuple[int, ...]]

    def at(self, rows: Tensor | list[int]) -> Activations:
        """The same at some of the positions."""
        contexts = [self.contexts[int(row)] for row in rows]
        return Activations(self.inputs_LID[:, rows], self.outputs_LID[:, rows], contexts)

    def limited(self, repeats: int) -> Activations:
        """Each distinct context at most ``repeats`` times.

        Sentences share their first words: without a limit nearly all of a training sample would repeat a
        handful of contexts, with only one of each those would hardly be learned.
        """
        seen: Counter[tuple[int, ...]] = Counter()
        rows: list[int] = []
        for row, context in enumerate(self.contexts):
            seen[context] += 1
            if seen[context] <= repeats:
                rows.append(row)
        return self.at(rows)

    def unseen_in(self, other: Activations) -> Activations:
        """Only the contexts that the other sample does not have."""
        known = set(other.contexts)
        return self.at([row for row, context in enumerate(self.contexts) if context not in known])


@torch.no_grad()
def mlp_activations(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Activations:
    """Record the MLPs at every position of some texts but the bos."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def record(_mlp: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        inputs.append(args[0])
        outputs.append(output)

    handles = [layer.mlp.register_forward_hook(record) for layer in model.model.layers]
    parts: list[Activations] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        rows: list[list[int]] = [tokenizer(text)["input_ids"] for text in texts[start : start + TEXTS_AT_ONCE]]
        inputs.clear()
        outputs.clear()
        model.model(input_ids=padded(rows))
        places = [(row, end) for row, ids in enumerate(rows) for end in range(1, len(ids))]
        row_I, end_I = torch.tensor(places).T
        contexts = [tuple(rows[row][: end + 1]) for row, end in places]
        parts.append(Activations(torch.stack(inputs)[:, row_I, end_I], torch.stack(outputs)[:, row_I, end_I], contexts))
    for handle in handles:
        handle.remove()
    return Activations(
        torch.cat([part.inputs_LID for part in parts], 1),
        torch.cat([part.outputs_LID for part in parts], 1),
        [context for part in parts for context in part.contexts],
    )
