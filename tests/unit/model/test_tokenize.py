"""Leading special tokens, limits, and single tokens."""

from __future__ import annotations

import pytest
from tiny import TOKENIZER

from distributed_tracer.errors import PromptError, TargetError
from distributed_tracer.model.load import load_tokenizer, model_shape
from distributed_tracer.model.tokenize import num_zeroed, single_token, tokenize
from distributed_tracer.prompt import Prompt

TOKENS = load_tokenizer(str(TOKENIZER))
SHAPE = model_shape(str(TOKENIZER))


def test_a_special_token_is_put_first_once() -> None:
    plain = tokenize(Prompt("a", text=" the state"), TOKENS, SHAPE)
    assert plain.tokens is not None
    assert plain.tokens[0] == TOKENS.bos_token_id
    assert tokenize(plain, TOKENS, SHAPE).tokens == plain.tokens
    assert tokenize(Prompt("a", tokens=plain.tokens[1:]), TOKENS, SHAPE).tokens == plain.tokens


def test_a_token_with_id_zero_may_lead() -> None:
    tokenizer = load_tokenizer(str(TOKENIZER))
    tokenizer.bos_token = None
    assert tokenizer.pad_token_id == 0
    assert tokenize(Prompt("a", tokens=(40,)), tokenizer, SHAPE).tokens == (0, 40)


def test_too_long_says_both_numbers() -> None:
    longest = tuple([40] * (SHAPE.max_positions - 1))
    tokenize(Prompt("a", tokens=longest), TOKENS, SHAPE)
    with pytest.raises(PromptError, match=rf"'a' has {SHAPE.max_positions + 1} tokens.*at most {SHAPE.max_positions}"):
        tokenize(Prompt("a", tokens=(*longest, 40)), TOKENS, SHAPE)


@pytest.mark.parametrize("token", [-1, 320])
def test_unknown_ids_are_refused(token: int) -> None:
    with pytest.raises(PromptError, match=f"token id {token} is not in the vocabulary of 320"):
        tokenize(Prompt("a", tokens=(1, token)), TOKENS, SHAPE)


def test_nothing_to_explain_is_refused() -> None:
    with pytest.raises(PromptError, match="no tokens"):
        tokenize(Prompt("a", text=""), TOKENS, SHAPE)


def test_chat_prompts_of_gemma_3_zero_their_prefix() -> None:
    assert num_zeroed((2, 105, 2364, 107, 9), "gemma3_text") == 4
    assert num_zeroed((2, 105, 2364, 107, 9), "llama") == 1
    assert num_zeroed((2, 106, 2364, 107, 9), "gemma3") == 1


def test_a_string_is_one_token_as_written_or_after_a_space() -> None:
    assert single_token(" the", TOKENS) == single_token("the", TOKENS) == 263
    assert single_token("e", TOKENS) == 71
    with pytest.raises(TargetError, match=r"'violets' is \d+ tokens"):
        single_token("violets", TOKENS)
