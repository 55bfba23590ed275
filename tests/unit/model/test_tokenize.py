"""Leading special tokens, limits, and single tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sentencepieces import sentencepiece
from tiny import TOKENIZER
from tokenizers.processors import TemplateProcessing

from distributed_tracer.errors import PromptError, TargetError
from distributed_tracer.model.load import load_tokenizer, model_shape
from distributed_tracer.model.tokenize import num_zeroed_positions, single_token, tokenize
from distributed_tracer.prompt import Prompt, TargetSpec

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


def test_unknown_ids_are_refused() -> None:
    with pytest.raises(PromptError, match="token id 320 is not in the vocabulary of 320"):
        tokenize(Prompt("a", tokens=(1, 320)), TOKENS, SHAPE)


def test_nothing_to_explain_is_refused() -> None:
    with pytest.raises(PromptError, match="no tokens"):
        tokenize(Prompt("a", text=""), TOKENS, SHAPE)


def test_chat_prompts_of_gemma_3_zero_their_prefix() -> None:
    assert num_zeroed_positions((2, 105, 2364, 107, 9), "gemma3_text") == 4
    assert num_zeroed_positions((2, 105, 2364, 107, 9), "llama") == 1
    assert num_zeroed_positions((2, 106, 2364, 107, 9), "gemma3") == 1


def test_a_string_is_one_token_as_written_or_after_a_space() -> None:
    assert single_token(" the", TOKENS) == single_token("the", TOKENS) == 263
    assert single_token("e", TOKENS) == 71
    with pytest.raises(TargetError, match=r"'violets' is \d+ tokens"):
        single_token("violets", TOKENS)


@pytest.mark.parametrize("space_first", [False, True])
@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("Texas", 0),
        ("<start_of_turn>user", 0),
        ("<unk> of", 0),
        ("<eos> of", 0),
        ("<bos><start_of_turn>user", 1),
    ],
)
def test_a_text_begins_with_what_the_tokenizer_itself_puts_first(text: str, given: int, space_first: bool) -> None:
    tokenizer = sentencepiece(space_first)
    shape = replace(SHAPE, vocab_size=len(tokenizer))
    tokens = tokenize(Prompt("a", text=text), tokenizer, shape).tokens
    bare = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert tokens == ((1,) * (1 - given)) + bare
    assert tokenize(Prompt("a", text=text, tokens=tokens), tokenizer, shape).tokens == tokens, "again changes nothing"


def test_a_tokenizer_that_puts_nothing_first_leaves_a_special_token_there_unless_it_is_a_stand_in() -> None:
    tokenizer = sentencepiece(adds_bos=False)
    shape = replace(SHAPE, vocab_size=len(tokenizer))
    first = {
        text: (tokenize(Prompt("a", text=text), tokenizer, shape).tokens or ())[0]
        for text in ("Texas", "<start_of_turn>user", "<eos>of", "<unk>of")
    }
    assert first == {"Texas": 1, "<start_of_turn>user": 4, "<eos>of": 2, "<unk>of": 1}


def test_two_leading_tokens_of_a_tokenizer_are_both_put_first() -> None:
    tokenizer = sentencepiece()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<eos> <bos> $A <eos>", special_tokens=[("<eos>", 2), ("<bos>", 1)]
    )
    tokens = tokenize(Prompt("a", text="Texas"), tokenizer, replace(SHAPE, vocab_size=len(tokenizer))).tokens
    assert tokens == (2, 1, tokenizer.convert_tokens_to_ids("Texas"))


def test_ids_that_begin_with_a_special_token_are_taken_to_the_letter() -> None:
    tokenizer = sentencepiece()
    shape = replace(SHAPE, vocab_size=len(tokenizer))
    for ids in ((4, 9), (3, 9), (1, 1, 9)):
        assert tokenize(Prompt("a", tokens=ids), tokenizer, shape).tokens == ids
    assert tokenize(Prompt("a", tokens=(9, 10)), tokenizer, shape).tokens == (1, 9, 10)


@pytest.mark.parametrize("target", [TargetSpec(token=5, position=1), TargetSpec(feature=(0, 1, 3))])
def test_a_position_that_was_named_is_never_moved_by_a_token_put_before_ids(target: TargetSpec) -> None:
    prompt = Prompt("a", tokens=(40, 41), targets=(target,))
    with pytest.raises(PromptError, match=r"'a': its ids do not begin .* \[1\] .*position 1 would become 2"):
        tokenize(prompt, TOKENS, SHAPE)
    assert tokenize(replace(prompt, tokens=(1, 40, 41)), TOKENS, SHAPE).tokens == (1, 40, 41)
    of_text = tokenize(replace(prompt, tokens=None, text=" the state"), TOKENS, SHAPE)
    assert (of_text.tokens or ())[0] == 1, "positions in a text count the token put first"
    from_the_end = replace(prompt, targets=(TargetSpec(token=5, position=-2),))
    assert tokenize(from_the_end, TOKENS, SHAPE).tokens == (1, 40, 41)
