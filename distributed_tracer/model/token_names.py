"""Names of tokens, which are readable and differ for different tokens.

`decode` alone is not enough: with SentencePiece tokenizers it gives ` Texas` and `Texas` the same text, and every byte
that is not text by itself becomes the same character.

A name is the token's piece in the vocabulary with its markers replaced by what they mean: a space at the beginning of a
word (pieces write it as `▁` or `Ġ`), text for bytes that are text, and `<0xE6>` for each byte that is not. Special
tokens have the name that is written in the vocabulary. If several tokens would still share a name, all but the first
end in their id, as in `  <#50276>`. An id that the vocabulary lacks although the model has a row for it is named
`<#151700>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PRINTED = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED]
_BYTE_OF = {chr(byte): byte for byte in _PRINTED} | {chr(256 + n): byte for n, byte in enumerate(_OTHERS)}
"""The byte that each character stands for in byte-level BPE. A printable byte is written as itself, and the others are
written as the characters from U+0100 on."""
_ESCAPED = re.compile("[\udc80-\udcff]")


class TokenNames:
    """The names of one tokenizer's tokens, from id to name and back, as the tokenizer is when this object is made."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._ids: dict[str, int] = dict(tokenizer.get_vocab())
        added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
        read = _reader(tokenizer, self._ids)
        self._names: dict[int, str] = {}
        self._named: dict[str, int] = {}
        for number, piece in sorted((number, piece) for piece, number in self._ids.items()):
            name = added[number] if number in added else read(piece)
            while name in self._named:
                name = f"{name}<#{number}>"
            self._names[number], self._named[name] = name, number

    def name(self, token: int) -> str:
        """Return the name of a token, even of one that the vocabulary lacks."""
        return self._names.get(token) or f"<#{token}>"

    def token(self, text: str) -> int | None:
        """Return the token with this name, or else the one with this piece in the vocabulary; None if there is none."""
        return self._named.get(text, self._ids.get(text))


_KNOWN: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[int, TokenNames]] = WeakKeyDictionary()


def names_of(tokenizer: PreTrainedTokenizerBase) -> TokenNames:
    """Return the names of a tokenizer's tokens.

    They are computed once (0.3 seconds for 256,000 tokens), and again after tokens were added.
    """
    size, names = _KNOWN.get(tokenizer, (-1, None))
    if names is None or size != len(tokenizer):
        names = TokenNames(tokenizer)
        _KNOWN[tokenizer] = len(tokenizer), names
    return names


def _reader(tokenizer: PreTrainedTokenizerBase, vocabulary: dict[str, int]) -> Callable[[str], str]:
    """Return the function that turns a piece of the vocabulary into a name.

    The tokenizer's decoder determines it, or the vocabulary if the tokenizer is written in Python.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    if decoder is None:
        is_bytes, spaces = "Ġ" in vocabulary, {"▁"}
    else:
        steps = list(_steps(json.loads(decoder.__getstate__())))
        is_bytes = any(step["type"] == "ByteLevel" for step in steps)
        spaces = {step["replacement"] for step in steps if step["type"] == "Metaspace"}
        spaces |= {step["pattern"].get("String") for step in steps if step["type"] == "Replace" and _is_space(step)}
    if is_bytes:
        return _of_bytes
    marks = str.maketrans({mark: " " for mark in spaces if mark and len(mark) == 1})
    return lambda piece: piece.translate(marks)


def _steps(decoder: dict[str, Any]) -> list[dict[str, Any]]:
    return decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]


def _is_space(step: dict[str, Any]) -> bool:
    return bool(step.get("content") == " " and isinstance(step.get("pattern"), dict))


def _of_bytes(piece: str) -> str:
    if not all(character in _BYTE_OF for character in piece):
        return piece
    text = bytes(_BYTE_OF[character] for character in piece).decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: f"<0x{ord(found[0]) - 0xDC00:02X}>", text)
