"""The classic interventions, each tried on every fact of its kind that the demo's model knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from questions import City, Facts, Word
from supernodes import Floats, Supernode, activations, both, supernode

from distributed_tracer import ReplacementModel

FIRST_HALF, SECOND_HALF = range(2), range(2, 4)
"""Layers. The demo's model should represent what is asked about in the lower half; the upper half decides its answer.
"""


@dataclass(frozen=True)
class Trial:
    """One prompt, the features turned off and on in it, and the answers that show whether the intervention worked."""

    text: str
    off: Supernode
    on: Supernode
    wanted: Sequence[str] = ()
    """If empty, any answer except the `unwanted` ones counts."""
    unwanted: Sequence[str] = ()
    held_out: bool = False


@dataclass(frozen=True)
class Classic:
    """One kind of intervention, its expected effect, and everything on which it is tried."""

    name: str
    expected: str
    trials: list[Trial] = field(repr=False)
    is_everywhere: bool = False
    """Whether it sets features at all positions, so that there is no other position to set them at."""


def about_cities(model: ReplacementModel, facts: Facts, seed: int = 0) -> Iterator[Classic]:
    """Yield interventions on the state in which a city lies, and on the question for its capital."""
    states, say_capital = _places(model, [city for city in facts.cities if not city.held_out])
    countries, _ = _places(model, facts.abroad)
    capitals, rng = facts.capitals, np.random.default_rng(seed)
    other = {city: _another(city.place, list(capitals), rng) for city in facts.cities}
    abroad = {city: str(rng.choice(list(countries))) for city in facts.cities}

    def trial(
        city: City, off: Supernode, on: Supernode, wanted: Sequence[str] = (), unwanted: Sequence[str] = ()
    ) -> Trial:
        return Trial(city.two_hops, off, on, _spaced(wanted), _spaced(unwanted), city.held_out)

    yield Classic(
        "turn off 'say a capital'",
        "the state",
        [
            trial(city, say_capital[city.place], {}, [city.place])
            for city in facts.cities
            if not capitals[city.place].startswith(city.place)  # Oklahoma City: its first token is the state's
        ],
    )
    yield Classic(
        "turn off the state",
        "not its capital",
        [trial(city, states[city.place], {}, unwanted=[capitals[city.place]]) for city in facts.cities],
    )
    yield Classic(
        "turn off the state",
        "another's capital",
        [
            trial(city, states[city.place], {}, [capitals[state] for state in capitals if state != city.place])
            for city in facts.cities
        ],
    )
    yield Classic(
        "one state for another",
        "the other's capital",
        [trial(city, states[city.place], states[of], [capitals[of]]) for city, of in other.items()],
    )
    yield Classic(
        "the state for a country",
        "the country's capital",
        [trial(city, states[city.place], countries[of], [facts.capitals_abroad[of]]) for city, of in abroad.items()],
    )


def about_words(model: ReplacementModel, facts: Facts, seed: int = 0) -> Iterator[Classic]:
    """Yield interventions on a word whose opposite is asked for. Features are chosen in other wordings."""
    rng = np.random.default_rng(seed)
    words = {language: _words(model, of) for language, of in facts.words.items()}
    pairs = [
        (found, word, list(found)[_other_row(row, len(found), rng)])
        for found in words.values()
        for row, word in enumerate(found)
    ]
    yield Classic(
        "one word for another",
        "the other's opposite",
        [Trial(word.asked(), found[word], found[other], [other.opposite]) for found, word, other in pairs],
    )
    opposites = {(word.language, word.text): word for found in words.values() for word in found}
    yield Classic(
        "small for big",
        "small",
        [
            Trial(word.asked(), found[word], found[opposites[word.language, word.opposite]], [word.text])
            for found, word, _ in pairs
        ],
    )


def about_languages(model: ReplacementModel, facts: Facts, seed: int = 0) -> Iterator[Classic]:
    """Yield interventions on the language of an answer, by features that fire in French but not in English.

    The prompts compared say the same in both languages.
    """
    rng = np.random.default_rng(seed)
    said = {language: _said(model, of) for language, of in facts.words.items()}
    english, french, chinese = (facts.words[language] for language in ("en", "fr", "zh"))
    in_french = [supernode(fr, en, SECOND_HALF) for fr, en in zip(said["fr"], said["en"], strict=True)]
    in_chinese = [supernode(zh, en, SECOND_HALF) for zh, en in zip(said["zh"], said["en"], strict=True)]
    meaning = {language: _each(fired) for language, fired in said.items()}
    yield Classic(
        "another word, from English",
        "its opposite, not in English",
        [
            Trial(word.asked(), meaning[word.language][row], meaning["en"][other], [words[other].opposite])
            for words in (french, chinese)
            for row, word in enumerate(words)
            for other in [_other_row(row, len(words), rng)]
        ],
    )
    yield Classic(
        "turn off 'in French'",
        "the English word",
        [
            Trial(word.asked(), off, {}, [same.opposite])
            for word, off, same in zip(french, in_french, english, strict=True)
        ],
    )
    yield Classic(
        "French for Chinese",
        "the Chinese word",
        [
            Trial(word.asked(), off, on, [same.opposite])
            for word, off, on, same in zip(french, in_french, in_chinese, chinese, strict=True)
        ],
    )


def _places(model: ReplacementModel, cities: Sequence[City]) -> tuple[Mapping[str, Supernode], Mapping[str, Supernode]]:
    """Return supernodes of every state or country: its own, and that of the question for its capital.

    Its own features fire for its cities whichever question is asked; those of the other fire only if the capital is
    asked for.
    """
    one_hop = activations(model, [city.one_hop for city in cities])
    two_hops = activations(model, [city.two_hops for city in cities])
    places, say_capital = {}, {}
    for place in dict.fromkeys(city.place for city in cities):
        here = np.array([city.place == place for city in cities])
        either = (supernode(fired[here], fired[~here], FIRST_HALF) for fired in (two_hops, one_hop))
        places[place] = both(*either)
        say_capital[place] = supernode(two_hops[here], one_hop[here])
    return places, say_capital


def _words(model: ReplacementModel, words: Sequence[Word]) -> Mapping[Word, Supernode]:
    return dict(zip(words, _each(_said(model, words)), strict=True))


def _said(model: ReplacementModel, words: Sequence[Word]) -> Floats:
    """Return activations in the two wordings that are not tested: [word, wording, L, Q, S]."""
    return np.stack([activations(model, [word.asked(wording) for word in words]) for wording in (1, 2)], axis=1)


def _spaced(answers: Sequence[str]) -> list[str]:
    return [f" {answer}" for answer in answers]


def _each(fired: Floats) -> list[Supernode]:
    """Return a supernode per subject, from its prompts [subject, wording, L, Q, S] and those of all other subjects."""
    return [
        supernode(with_it, np.concatenate([*fired[:row], *fired[row + 1 :]]), FIRST_HALF)
        for row, with_it in enumerate(fired)
    ]


def _another(this: str, among: Sequence[str], rng: np.random.Generator) -> str:
    return among[_other_row(among.index(this), len(among), rng)]


def _other_row(row: int, count: int, rng: np.random.Generator) -> int:
    return int(row + rng.integers(1, count)) % count
