"""Every token has a name of its own, and a name leads back to its token."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentencepieces import sentencepiece
from tiny import TOKENIZER
from transformers import PreTrainedTokenizerBase

from distributed_tracer.errors import TargetError
from distributed_tracer.model.load import load_tokenizer
from distributed_tracer.model.token_names import names_of
from distributed_tracer.model.tokenize import single_token, token_strings

DEMO = Path(__file__).parents[3] / "demo" / "model"
KINDS = {
    "byte-level": lambda: load_tokenizer(str(TOKENIZER)),
    "demo": lambda: load_tokenizer(str(DEMO)),
    "gemma": sentencepiece,
    "llama 2": lambda: sentencepiece(space_first=True),
}


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return KINDS[request.param]()


def test_no_two_tokens_share_a_name(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = range(len(tokenizer) + 3)  # models have rows beyond the vocabulary
    strings = token_strings(ids, tokenizer)
    assert len(set(strings)) == len(ids)
    assert strings[-1] == f"<#{len(tokenizer) + 2}>"
    assert not any("\N{REPLACEMENT CHARACTER}" in string for string in strings)


def test_a_name_and_a_piece_lead_to_their_token(tokenizer: PreTrainedTokenizerBase) -> None:
    names = names_of(tokenizer)
    for token in range(len(tokenizer)):
        assert names.token(names.name(token)) == token
    for piece, token in tokenizer.get_vocab().items():
        found = names.token(piece)
        assert found == token or (found is not None and names.name(found) == piece), "names go before pieces"


@pytest.mark.parametrize("space_first", [False, True])
def test_a_word_and_its_continuation_are_told_apart(space_first: bool) -> None:
    tokenizer = sentencepiece(space_first)
    word, continuation, space, byte = tokenizer.convert_tokens_to_ids(["▁Texas", "Texas", "▁", "<0xE6>"])
    assert token_strings([word, continuation, space, byte], tokenizer) == (" Texas", "Texas", " ", "<0xE6>")
    assert [single_token(name, tokenizer) for name in ("▁Texas", " Texas", "<0xE6>")] == [word, word, byte]
    assert single_token("Texas", tokenizer) == (word if space_first else continuation), "as the tokenizer reads it"


def test_bytes_that_are_no_text_are_named_by_their_numbers() -> None:
    tokenizer = load_tokenizer(str(TOKENIZER))
    tokens = tokenizer("国\n", add_special_tokens=False)["input_ids"]
    assert token_strings(tokens, tokenizer) == ("<0xE5>", "<0x9B>", "<0xBD>", "\n")
    assert [single_token(name, tokenizer) for name in ("<0xE5>", "\n")] == [tokens[0], tokens[-1]]


def test_what_is_added_later_is_named_too_and_never_as_another() -> None:
    tokenizer = load_tokenizer(str(TOKENIZER))
    assert names_of(tokenizer).name(320) == "<#320>"
    tokenizer.add_tokens(["<0xE6>"])
    names = names_of(tokenizer)
    assert names.name(320) == "<0xE6><#320>", "the byte has the name"
    assert names.token("<0xE6>") == tokenizer("国", add_special_tokens=False)["input_ids"][0] + 1


def test_the_unknown_token_is_no_target_by_accident() -> None:
    tokenizer = sentencepiece()
    tokenizer.backend_tokenizer.model.byte_fallback = False
    assert tokenizer("火", add_special_tokens=False)["input_ids"] == [tokenizer.unk_token_id]
    with pytest.raises(TargetError, match="'火' is"):
        single_token("火", tokenizer)
    assert single_token("<unk>", tokenizer) == tokenizer.unk_token_id
