"""Tokens of two tokenizers are aligned by characters, and shuffles move whole prompts within templates."""

from __future__ import annotations

import numpy as np
import pytest

from distributed_tracer.mine.character_spans import common_segments, token_spans
from distributed_tracer.mine.prompt_shuffles import PromptShuffles

TEXT = "The café is closed 北"


@pytest.mark.parametrize(
    ("tokens", "spans"),
    [
        (["The", " café", " is closed", " 北"], [(0, 3), (3, 9), (9, 19), (19, 23)]),
        (["<bos>", "The café is closed", " ", "北"], [(0, 0), (0, 19), (19, 20), (20, 23)]),
        ([" The", " caf", "<0xC3>", "<0xA9>", " is closed 北"], [(0, 3), (3, 7), (7, 8), (8, 9), (9, 23)]),
        (["The café is closed <0xE5>", "<0x8C><0x97>", "<eos>"], [(0, 21), (21, 23), (23, 23)]),
    ],
)
def test_spans_of_tokens_are_those_of_the_bytes_of_the_text(tokens: list[str], spans: list[tuple[int, int]]) -> None:
    assert token_spans(tokens, TEXT) == spans


def test_tokens_that_do_not_make_the_text_have_no_spans() -> None:
    assert token_spans(["The", " cafe", " is closed 北"], TEXT) is None
    assert token_spans(["The"], TEXT) is None
    assert common_segments(["The"], ["Th", "e"], "This") is None
    assert common_segments(["The"], ["Th", "e"], None) is None


def test_a_text_that_has_the_name_of_a_byte_is_read_as_it_is() -> None:
    assert token_spans(["a<0x41>", "b"], "a<0x41>b") == [(0, 7), (7, 8)]
    assert token_spans(["a", "<0x41>", "b"], "aAb") == [(0, 1), (1, 2), (2, 3)]


def test_segments_end_where_tokens_of_both_end() -> None:
    found = common_segments(["<s>", "The", " ca", "fé is", " closed 北"], ["The ", "café", " is closed", " 北"], TEXT)
    assert found is not None
    a, b = found
    # ends of a: 3 6 12 23; ends of b: 4 9 19 23
    assert a.tolist() == [-1, 0, 0, 0, 0]
    assert b.tolist() == [0, 0, 0, 0]
    found = common_segments(["The", " ", "café is", " closed 北"], ["The ", "café", " is", " closed", " 北"], TEXT)
    assert found is not None
    assert [own.tolist() for own in found] == [[0, 0, 1, 2], [0, 1, 1, 2, 2]]


def test_equal_tokens_are_segments_even_without_a_text() -> None:
    found = common_segments(["<s>", "x"], ["<s>", "x"], None)
    assert found is not None
    assert [own.tolist() for own in found] == [[0, 1], [0, 1]]


LENGTHS = np.array([3, 1, 2, 3, 3, 2, 4, 1, 3, 3])
TEMPLATES = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 1])


def test_a_shuffle_gives_each_site_the_same_position_of_a_prompt_of_the_same_template() -> None:
    shuffles = PromptShuffles(TEMPLATES, LENGTHS, 0)
    rank = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    position = np.concatenate([np.arange(length) for length in LENGTHS])
    for number in range(50):
        order = shuffles.order(number)
        assert sorted(order.tolist()) == list(range(len(rank)))
        assert (position[order] == position).all()
        assert (TEMPLATES[rank[order]] == TEMPLATES[rank]).all()
        for prompt in range(len(LENGTHS)):
            given = rank[order[rank == prompt]]
            reached = [other for other, length in zip(given, LENGTHS[given], strict=True) if length >= LENGTHS[prompt]]
            if len(reached) == len(given):  # the first prompt is long enough for all positions
                assert len({*given.tolist()}) == 1
    assert (shuffles.order(7) == PromptShuffles(TEMPLATES, LENGTHS, 0).order(7)).all()
    assert (shuffles.order(7) != PromptShuffles(TEMPLATES, LENGTHS, 1).order(7)).any()


def test_all_orders_of_the_prompts_that_have_a_position_are_equally_likely() -> None:
    """Three prompts have the last position: each of the 6 orders is there in 1/6 of 3,000 shuffles, within 5 standard
    deviations, 5 * sqrt(3000 * 5 / 36) = 102."""
    lengths, first = np.array([3, 1, 3, 2, 3]), np.array([0, 3, 4, 7, 9])
    shuffles = PromptShuffles(np.zeros(5, np.int64), lengths, 0)
    last = first[lengths == 3] + 2
    counts: dict[tuple[int, ...], int] = {}
    for number in range(3_000):
        found = tuple(shuffles.order(number)[last].tolist())
        counts[found] = counts.get(found, 0) + 1
    assert len(counts) == 6
    assert all(abs(count - 500) < 102 for count in counts.values()), counts
