"""The demo's facts: as prompts with known answers, and in other wordings from which features are chosen.

An answer of more than one token is judged by its first token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FACTS = Path(__file__).resolve().parents[2] / "demo" / "facts.json"

OPPOSITE = {
    "en": (
        'The opposite of "{}" is "',
        'Fact: the opposite of "{}" is "',
        'The word that means the opposite of "{}" is "',
    ),
    "fr": ('Le contraire de "{}" est "', 'L\'opposé de "{}" est "', 'En français, le contraire de "{}" est "'),
    "zh": ('"{}"的反义词是"', '中文里，"{}"的反义词是"', '与"{}"意思相反的词是"'),
}


@dataclass(frozen=True)
class City:
    """Two questions about a city.

    The model never saw the two-hop question about held-out cities, and no feature may be chosen by it.
    """

    name: str
    place: str
    """The state or country in which the city lies."""
    kind: str
    held_out: bool = False

    @property
    def one_hop(self) -> str:
        return f"Fact: the {self.kind} containing {self.name} is"

    @property
    def two_hops(self) -> str:
        return f"Fact: the capital of the {self.kind} containing {self.name} is"


@dataclass(frozen=True)
class Word:
    """A word and its opposite in one language; `pair` is the word in English, by which languages are matched."""

    text: str
    opposite: str
    language: str
    pair: str

    def asked(self, wording: int = 0) -> str:
        return OPPOSITE[self.language][wording].format(self.text)


class Facts:
    """The facts that the demo's model knows."""

    def __init__(self) -> None:
        data = json.loads(FACTS.read_text(encoding="utf-8"))
        states, countries = data["states"], data["countries"]
        self.cities = list(_of("state", "cities", states)) + list(_of("state", "held_out", states))
        self.abroad = list(_of("country", "cities", countries))
        self.capitals = {state: entry["capital"] for state, entry in states.items()}
        self.capitals_abroad = {country: entry["capital"] for country, entry in countries.items()}
        self.words = {
            language: [
                Word(pair[language][i], pair[language][1 - i], language, pair["en"][i])
                for pair in data["opposites"]
                for i in (0, 1)
            ]
            for language in OPPOSITE
        }


def _of(kind: str, which: str, places: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[City]:
    for place, entry in places.items():
        for name in entry[which]:
            yield City(name, place, kind, which == "held_out")
