"""Windows: how long texts are cut into spans that the model reads, and into pieces that workers get.

Every span after the first begins with the prompt's own leading special tokens, because a model expects them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PIECE_TOKENS = 8_192
"""Number of tokens of a prompt that a worker gets at once. It bounds the memory of one prompt and what a crash loses;
each piece counts as a prompt of its own."""


@dataclass(frozen=True)
class TokenSpan:
    """Tokens to read at once. The first `num_leading` of them repeat the beginning of the prompt, or are its beginning.

    `first` is the position in the prompt of the first token after them.
    """

    tokens: tuple[int, ...]
    first: int


def cut(tokens: Sequence[int], length: int, num_leading: int) -> Iterator[TokenSpan]:
    """Yield spans of at most `length` tokens, which must be more than `num_leading`."""
    leading = tuple(tokens[:num_leading])
    step = length - num_leading
    for first in range(num_leading, max(len(tokens), num_leading + 1), step):
        yield TokenSpan((*leading, *tokens[first : first + step]), first)
