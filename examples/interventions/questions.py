"""The demo's facts as prompts with known answers, and in other wordings to choose features from.

A model that answers with more than one token is judged by the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
    """Two questions about a city. Of held-out ones the model never saw the second, nor may features be chosen by it."""

    name: str
    state: str
    held_out: bool

    @property
    def one_hop(self) -> str:
        return f"Fact: the state containing {self.name} is"

    @property
    def two_hops(self) -> str:
        return f"Fact: the capital of the state containing {self.name} is"


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
    """What the demo's model knows."""

    def __init__(self) -> None:
        data = json.loads(FACTS.read_text(encoding="utf-8"))
        self.capitals = {state: entry["capital"] for state, entry in data["states"].items()}
        self.cities = [City(name, state, held) for state, entry in data["states"].items() for name, held in _of(entry)]
        self.countries: dict[str, str] = data["countries"]
        self.words = {
            language: [
                Word(pair[language][i], pair[language][1 - i], language, pair["en"][i])
                for pair in data["opposites"]
                for i in (0, 1)
            ]
            for language in OPPOSITE
        }


def about_country(country: str) -> tuple[str, ...]:
    """Wordings of one question that end alike."""
    return f"Fact: the capital of {country} is", f"The capital of {country} is"


def _of(entry: dict[str, list[str]]) -> Iterator[tuple[str, bool]]:
    for held_out, names in ((False, entry["cities"]), (True, entry["held_out"])):
        for name in names:
            yield name, held_out
