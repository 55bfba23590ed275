"""Labels by rule: what a feature's profile says by itself, without a model that explains it.

The rules are simple and say nothing where a profile has no clear pattern; `docs/labels.md` states them for readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..graph.labels import Label
from ..profile.feature_profile import Context, FeatureProfile, WeightedToken

RULE = "rule"
"""Source of the labels that rules make."""
STANDS_OUT = 2.0
"""The most promoted token stands out if its weight is at least this many times that of the next other word. Random
directions hardly ever reach it: the largest of 50,000 normal numbers is about 1.05 times the second."""
MOST_CONTEXTS = 10
"""Number of the strongest contexts that are compared."""
FEWEST_CONTEXTS = 5
"""Fewest different contexts from which anything is concluded."""
AGREEMENT = 0.8
"""Share of the compared contexts that must agree."""
LONGEST_PHRASE = 4
"""Largest number of tokens that contexts are compared in."""
MOST_ALIKE, SHARE_ALIKE = 5, 0.01
"""A text that fits more features than both this number and this share of all tells them not apart, and is left out."""

Tokens = tuple[str, ...]


def rule_labels(profiles: Iterable[FeatureProfile]) -> list[tuple[int, int, Label]]:
    """Return the labels that rules make for these features, as rows of layer, index and label, in the same order.

    All features of a profile belong into one call: a text that would be a label of many of them is left out.
    """
    found: list[tuple[int, int, str]] = []
    num_features = 0
    for profile in profiles:
        num_features += 1
        found += ((profile.layer, profile.feature, text) for text in rule_texts(profile))
    alike = Counter(text for _, _, text in found)
    most = max(MOST_ALIKE, int(SHARE_ALIKE * num_features))
    return [(layer, feature, Label(text, RULE)) for layer, feature, text in found if alike[text] <= most]


def rule_texts(profile: FeatureProfile) -> Iterator[str]:
    """Yield what the rules say about one feature: what it promotes, then where it is active."""
    if token := promoted_token(profile.promoted):
        yield f"says {token!r}"
    if text := shared_context(profile.contexts):
        yield text


def promoted_token(promoted: Sequence[WeightedToken]) -> str | None:
    """Return the most promoted token if it stands out from the next other word; a word is one with and without capitals
    and a space before it."""
    if not promoted or promoted[0].weight <= 0:
        return None
    word = _word(promoted[0].token)
    others = [token.weight for token in promoted[1:] if _word(token.token) != word]
    return promoted[0].token if others and promoted[0].weight >= STANDS_OUT * max(others[0], 0.0) else None


def shared_context(contexts: Sequence[Context]) -> str | None:
    """Return what the strongest contexts share: the token where the feature is active, with those before it as far as
    they agree, or else only those before it."""
    compared = _strongest(contexts)
    if len(compared) < FEWEST_CONTEXTS:
        return None
    if phrase := _shared_end(compared):
        text = "".join(phrase)
        return f"fires on {text!r}" if len(phrase) == 1 else f"after {text!r}"
    if phrase := _shared_end([tokens[:-1] for tokens in compared]):
        return f"fires on the token after {''.join(phrase)!r}"
    return None


def _strongest(contexts: Sequence[Context]) -> list[Tokens]:
    """Return the tokens up to the active one of the strongest contexts, each once: a text that the corpus repeats is
    one piece of evidence."""
    ordered = sorted(contexts, key=lambda context: context.quantile)
    ends = (context.tokens[: context.position - context.start + 1] for context in ordered)
    return list(dict.fromkeys(tokens for tokens in ends if tokens))[:MOST_CONTEXTS]


def _shared_end(compared: Sequence[Tokens]) -> Tokens:
    """Return the longest sequence of tokens with which enough of the texts end; none if there is no such sequence."""
    shared: Tokens = ()
    for length in range(1, LONGEST_PHRASE + 1):
        ends = Counter(tokens[-length:] for tokens in compared if len(tokens) >= length)
        phrase, count = max(ends.items(), key=lambda end: end[1], default=((), 0))
        if count < AGREEMENT * len(compared):
            break
        shared = phrase
    return shared


def _word(token: str) -> str:
    return token.strip().casefold()
