"""Tokenize prompts: text, ids or messages become token ids that begin with a special token, as every graph requires."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import PromptError, TargetError, is_failure
from ..prompt import Prompt
from ..shapes import ModelShape
from ..text import printable, short
from .token_names import names_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LONGEST = 300
GEMMA3_CHAT_PREFIX = (2, 105, 2364, 107)
"""The tokens <bos><start_of_turn>user\\n, with which every chat with an instruct-tuned Gemma 3 begins."""


def tokenize(prompt: Prompt, tokenizer: PreTrainedTokenizerBase, shape: ModelShape) -> Prompt:
    """Return the prompt with `tokens`, which begin with a special token.

    A text gets the tokens that the tokenizer itself puts before a text (bos for Llama and Gemma), unless it already
    begins with them. If the tokenizer puts nothing there (GPT-2, Qwen), a text that begins with a special token stays
    as it is, unless that token stands for something unknown or masked; any other text gets bos, or else pad, or else
    eos. Messages are first converted to text by the chat template. Ids are used exactly as given if they begin with any
    special token, and otherwise get the same tokens before them as a text. Positions always count all of `tokens`, so
    ids whose targets name a position counted from 0 are never moved.

    Raises PromptError if the prompt has no tokens or is too long, if a token id is not in the vocabulary, or if a token
    put before ids would move a position that a target names.
    """
    if prompt.messages and prompt.tokens is None:
        prompt = replace(prompt, text=chat_text(prompt, tokenizer), messages=())
    tokens = _ids(prompt.text or "", tokenizer) if prompt.tokens is None else list(prompt.tokens)
    name = f"prompt {prompt.id!r}"
    check_readable(tokens, shape, name)
    prefix = _prefix(tokens, tokenizer, exact=prompt.tokens is not None)
    if prefix and prompt.tokens is not None:
        check_unmoved([place for target in prompt.targets for place in target.named_positions], prefix, name)
    tokens = [*prefix, *tokens]
    check_readable(tokens, shape, name)
    return replace(prompt, tokens=tuple(tokens))


def check_readable(tokens: Sequence[int], shape: ModelShape, name: str) -> None:
    """Raise PromptError if there is no token, if one is not in the vocabulary, or if there are more than the model
    accepts."""
    if not tokens:
        raise PromptError(f"{name} has no tokens")
    if unknown := [t for t in tokens if not 0 <= t < shape.vocab_size]:
        raise PromptError(
            f"{name}: token id {unknown[0]} is not in the vocabulary of {shape.vocab_size} "
            f"({len(unknown)} of {len(tokens)} ids are not)"
        )
    if len(tokens) > shape.max_positions:
        raise PromptError(f"{name} has {len(tokens)} tokens; the model takes at most {shape.max_positions}")


def check_unmoved(positions: Iterable[int], prefix: Sequence[int], name: str) -> None:
    """Raise PromptError if tokens put before ids would move a position that counts from the beginning of the ids."""
    if named := [place for place in positions if place >= 0]:
        raise PromptError(
            f"{name}: its ids do not begin with a special token, and with {list(prefix)} before them "
            f"position {named[0]} would become {named[0] + len(prefix)}: put {list(prefix)} first and count from "
            "there, or count from the end"
        )


def _prefix(tokens: Sequence[int], tokenizer: PreTrainedTokenizerBase, exact: bool) -> list[int]:
    """Return the tokens to be put before a prompt: usually one special token, or nothing."""
    special = set(tokenizer.all_special_ids)
    if exact and tokens[0] in special:
        return []
    if own := _own_prefix(tokenizer):
        return [] if list(tokens[: len(own)]) == own else own
    opening = {tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id}
    stand_ins = {tokenizer.unk_token_id, tokenizer.mask_token_id} - opening
    return [] if tokens[0] in special - stand_ins else [_leading_token(tokenizer)]


def _own_prefix(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that the tokenizer itself puts before a text."""
    bare, dressed = _ids("a", tokenizer), list(tokenizer("a", add_special_tokens=True)["input_ids"])
    for start in range(len(dressed) - len(bare) + 1):
        if dressed[start : start + len(bare)] == bare:
            return dressed[:start]
    return []


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token ids of a text, with nothing added. Special tokens that are written in it are read as such.

    Raises PromptError if the tokenizer fails.
    """
    try:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    except BaseException as error:  # the library's tokenizers may raise errors of any type
        if not is_failure(error):
            raise
        message = f"{type(error).__name__}: {str(error)[:_LONGEST]}"
        raise PromptError(f"the tokenizer cannot read {short(text)}: {message}") from error


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


def num_zeroed_positions(tokens: Sequence[int], architecture: str) -> int:
    """Return the number of leading positions whose features and errors are set to zero.

    It is one, or the length of the chat prefix of instruct-tuned Gemma 3.
    """
    chat = architecture.startswith("gemma3") and tuple(tokens[:4]) == GEMMA3_CHAT_PREFIX
    return len(GEMMA3_CHAT_PREFIX) if chat else 1


def token_strings(tokens: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return the names of tokens, which are readable and different for different tokens (see `token_names`)."""
    names = names_of(tokenizer)
    return tuple(names.name(token) for token in tokens)


def single_token(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the token that a string denotes.

    The string is one token as the tokenizer reads it, or else one token after a space, or else the name of a token
    (` Texas`, `<0xE6>`) or its piece in the vocabulary (`▁Texas`). Raises TargetError with the tokens into which the
    string is split if it is none of these.
    """
    tokens: list[int] = []
    for written in (text, " " + text):
        tokens = _ids(written, tokenizer)
        if len(tokens) == 1 and (tokens[0] != tokenizer.unk_token_id or text == tokenizer.unk_token):
            return tokens[0]
    if (named := names_of(tokenizer).token(text)) is not None:
        return named
    pieces = list(token_strings(tokens, tokenizer))
    raise TargetError(
        f"target {text!r} is {len(tokens)} tokens {pieces}, with or without a space before it; name one token of it"
    )


_LONGEST_OF_TEMPLATES = 600
_TODAY = datetime(2024, 7, 26)
"""The date that chat templates get as today's date. It is the one that the templates of Llama 3 use when they cannot
ask for today's."""
_DIRECTIVES = {"%-d": "26", "%-m": "7"} | {f"%{letter}": _TODAY.strftime(f"%{letter}") for letter in "aAbBdHIjmMpSyY"}
_REPLACED = "".join(f"|replace('{directive}','{value}')" for directive, value in _DIRECTIVES.items())
_CLOCK = f"{{% macro strftime_now(format) %}}{{{{ format{_REPLACED} }}}}{{% endmacro %}}"
"""Macro that defines `strftime_now`, put before a template, because Python functions cannot be passed into its
sandbox."""


def chat_text(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the messages as text, up to the place where the model answers. If the last message is the assistant's, the
    text ends inside that message, so that the model continues it.

    Raises PromptError if the tokenizer has no chat template, or if the template refuses the messages.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise PromptError(
            f"prompt {prompt.id!r} has messages, but this model's tokenizer has no chat template: give text or tokens"
        )
    goes_on = prompt.messages[-1][0] == "assistant"
    try:
        template = tokenizer.get_chat_template()
        if _computes_powers(template):
            raise PromptError("it computes a power (**), which no known template does and which may never end")
        text = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in prompt.messages],
            chat_template=_CLOCK + template,
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
        )
    except Exception as error:  # templates may fail in any way
        reason = printable(str(error).strip().partition("\n")[0] or type(error).__name__)[:_LONGEST_OF_TEMPLATES]
        raise PromptError(f"prompt {prompt.id!r}: the chat template refuses its messages: {reason}") from error
    return str(text)


def _computes_powers(template: str) -> bool:
    """Return whether a chat template has the operator `**`.

    Jinja computes constant expressions while it compiles a template, so that `9**9**9` would never end wherever it is.
    Raises jinja2's TemplateSyntaxError.
    """
    from jinja2 import Environment  # transformers cannot apply a template without it

    return any((kind, text) == ("operator", "**") for _, kind, text in Environment().lex(template))
