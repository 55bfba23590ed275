"""Character spans: what the tokens of two tokenizers have in common in one text.

A segment is the smallest piece of text that begins and ends at the ends of tokens of both tokenizers. Tokens that are
no part of the text, such as a BOS token, belong to no segment, unless both tokenizers have the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
NO_SEGMENT = -1
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_spans(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Return where the bytes of each token begin and end in the UTF-8 bytes of a text, or None if they do not make it.

    `tokens` are names as a store has them: text, with `<0xE6>` for a byte that is no text by itself. A token that is
    not in the text at its place, such as a special token, has an empty span, and so has a space in front of the text.
    """
    data, begin, found = _encoded(text), 0, []
    for token in tokens:
        for own in (_encoded(token), _decoded(token), _encoded(token.lstrip(" ")) if begin == 0 else b""):
            if own and data.startswith(own, begin):
                found.append((begin, begin + len(own)))
                break
        else:
            found.append((begin, begin))
        begin = found[-1][1]
    return found if begin == len(data) else None


def common_segments(a: Sequence[str], b: Sequence[str], text: str | None) -> tuple[Ints, Ints] | None:
    """Return the segment of each token of both tokenizations of a text, NO_SEGMENT for a token outside the text.

    Segments are numbered from 0. For equal tokens each token is a segment, and the text is not needed. None is returned
    if the tokens are not those of the text, so that nothing says which belong together.
    """
    if list(a) == list(b):
        same = np.arange(len(a), dtype=np.int64)
        return same, same
    if text is None:
        return None
    spans_a, spans_b = token_spans(a, text), token_spans(b, text)
    if spans_a is None or spans_b is None:
        return None
    both = np.array(sorted({end for _, end in spans_a} & {end for _, end in spans_b} - {0}), dtype=np.int64)
    return _numbers(spans_a, both), _numbers(spans_b, both)


def _numbers(spans: Sequence[tuple[int, int]], ends: Ints) -> Ints:
    """Return the number of the segment that holds each span, given the ends of the segments."""
    begins, own_ends = (np.array([span[side] for span in spans], dtype=np.int64) for side in (0, 1))
    return np.where(own_ends > begins, np.searchsorted(ends, own_ends), NO_SEGMENT).astype(np.int64)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(token: str) -> bytes:
    """Return the bytes of a token's name, in which `<0xE6>` stands for a byte."""
    pieces = _BYTE.split(token)
    return b"".join(bytes([int(one, 16)]) if place % 2 else _encoded(one) for place, one in enumerate(pieces))
