"""Names of tokens for files that have only their ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

NameTokens = Callable[[Sequence[int]], tuple[str, ...]]
"""Returns the names of tokens, given their ids; -1 is no token."""


def unnamed(tokens: Sequence[int]) -> tuple[str, ...]:
    """Return what stands for the names of tokens whose names are not known: `<token 5>`, and `<token ?>` without id."""
    return tuple(f"<token {token if token >= 0 else '?'}>" for token in tokens)


@lru_cache(maxsize=1)
def names_of_tokenizer(place: str) -> NameTokens:
    """Return the function that names tokens as a tokenizer does: a directory, or an id on the hub.

    Raises ModelError if there is no tokenizer. This loads transformers.
    """
    from ..model.load import load_tokenizer
    from ..model.tokenize import token_strings

    tokenizer = load_tokenizer(place)

    def names(tokens: Sequence[int]) -> tuple[str, ...]:
        known = token_strings([token for token in tokens if token >= 0], tokenizer)
        found = iter(known)
        return tuple(next(found) if token >= 0 else unnamed([token])[0] for token in tokens)

    return names
