"""Text -> token ids, with the leading special token that every graph starts from, and the limits of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import PromptError, TargetError
from ..prompt import Prompt
from ..shapes import ModelShape

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GEMMA3_CHAT_PREFIX = (2, 105, 2364, 107)
"""<bos><start_of_turn>user\\n: what instruct-tuned Gemma 3 always begins with."""


def tokenize(prompt: Prompt, tokenizer: PreTrainedTokenizerBase, shape: ModelShape) -> Prompt:
    """The prompt with `tokens` that begin with a special token (bos, else pad, else eos is prepended if none is there).

    Raises PromptError if there is nothing to explain, a token id is not in the vocabulary, or it is too long.
    """
    if prompt.tokens is not None:
        tokens = list(prompt.tokens)
    else:
        tokens = list(tokenizer(prompt.text or "", add_special_tokens=False)["input_ids"])
    if not tokens:
        raise PromptError(f"prompt {prompt.id!r} has no tokens")
    if unknown := [t for t in tokens if not 0 <= t < shape.vocab_size]:
        raise PromptError(
            f"prompt {prompt.id!r}: token id {unknown[0]} is not in the vocabulary of {shape.vocab_size} "
            f"({len(unknown)} of {len(tokens)} ids are not)"
        )
    if tokens[0] not in tokenizer.all_special_ids:
        tokens = [_leading_token(tokenizer), *tokens]
    if len(tokens) > shape.max_positions:
        raise PromptError(
            f"prompt {prompt.id!r} has {len(tokens)} tokens; the model takes at most {shape.max_positions}"
        )
    return replace(prompt, tokens=tuple(tokens))


def _leading_token(tokenizer: PreTrainedTokenizerBase) -> int:
    for token in (
        tokenizer.bos_token_id,
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
        *tokenizer.all_special_ids,
    ):
        if token is not None:  # 0 is a token like any other
            return int(token)
    raise PromptError("the tokenizer has no special token to put before the prompt; give token ids that begin with one")


def num_zeroed(tokens: Sequence[int], architecture: str) -> int:
    """Leading positions whose features and errors are zero: one, or the chat prefix of instruct-tuned Gemma 3."""
    chat = architecture.startswith("gemma3") and tuple(tokens[:4]) == GEMMA3_CHAT_PREFIX
    return len(GEMMA3_CHAT_PREFIX) if chat else 1


def token_strings(tokens: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Each token decoded by itself."""
    return tuple(str(tokenizer.decode([token])) for token in tokens)


def single_token(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The id of a string that is one token as written, or else one token after a space.

    Raises TargetError with the pieces it falls into if it is neither.
    """
    tokens: list[int] = []
    for written in (text, " " + text):
        tokens = list(tokenizer(written, add_special_tokens=False)["input_ids"])
        if len(tokens) == 1:
            return tokens[0]
    pieces = list(token_strings(tokens, tokenizer))
    raise TargetError(
        f"target {text!r} is {len(tokens)} tokens {pieces}, with or without a space before it; name one token of it"
    )
