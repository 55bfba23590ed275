"""Messages become what the tokenizer's chat template makes of them, and nothing that differs from day to day."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sentencepieces import CHAT, sentencepiece
from tiny import TOKENIZER
from transformers import PreTrainedTokenizerBase

from distributed_tracer.errors import PromptError
from distributed_tracer.model.load import model_shape
from distributed_tracer.model.tokenize import chat_text, tokenize
from distributed_tracer.prompt import Prompt

SHAPE = model_shape(str(TOKENIZER))
ASKED = ({"role": "user", "content": " Texas "},)


def with_template(template: str | None) -> PreTrainedTokenizerBase:
    tokenizer = sentencepiece()
    tokenizer.chat_template = template
    return tokenizer


def test_a_question_ends_where_the_model_answers_and_begins_with_one_bos() -> None:
    tokenizer = with_template(CHAT)
    prompt = tokenize(Prompt("a", messages=ASKED), tokenizer, replace(SHAPE, vocab_size=len(tokenizer)))
    assert prompt.text == "<bos><start_of_turn>user\nTexas<end_of_turn>\n<start_of_turn>model\n"
    assert prompt.tokens is not None
    assert prompt.tokens[:2] == (1, 4)
    assert prompt.messages == ()


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    begun = Prompt("a", messages=(*ASKED, {"role": "assistant", "content": "of"}))
    assert chat_text(begun, with_template(CHAT)).endswith("<start_of_turn>assistant\nof")


def test_today_is_always_the_same_day() -> None:
    tokenizer = with_template(
        "{% if strftime_now is defined %}{{ strftime_now('%-d %b %Y') }}{% endif %}"
        "{{ '|' + strftime_now('%Y-%m-%d') }}{% for m in messages %}{{ '|' + m.content }}{% endfor %}"
    )
    assert chat_text(Prompt("a", messages=ASKED), tokenizer) == "26 Jul 2024|2024-07-26| Texas "


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "has no chat template: give text or tokens"),
        ("{{ raise_exception('roles must alternate') }}", "'a': the chat template refuses its messages: roles must"),
        ("{{ ().__class__.__base__.__subclasses__() }}", "'__class__' of 'tuple' object is unsafe"),
        ("{{ messages[7].content + 1 }}", "refuses its messages"),
        ("{% if false %}{{ 9**9**9 }}{% endif %}", "computes a power (**), which no known template does"),
    ],
)
def test_a_template_that_cannot_be_had_refuses_or_breaks_out_is_an_error_of_the_prompt(
    template: str | None, reason: str
) -> None:
    with pytest.raises(PromptError, match=re.escape(reason)):
        chat_text(Prompt("a", messages=ASKED), with_template(template))
