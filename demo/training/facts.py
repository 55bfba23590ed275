"""The facts that the demo's model learns, and the sentences that put them into words."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from .paths import FACTS_FILE

SPLIT_SEED = 0
HELD_OUT_SHARE = 0.05


@dataclass(frozen=True)
class Fact:
    """One fact in one language, before it is put into words.

    The key is the subject in English.  The bridge is the unspoken middle: the state or country of a two-hop fact, the
    answer's English word of an opposite or a translation, whatever its language.
    """

    key: str
    family: str
    language: str
    subject: str
    answer: str
    held_out: bool = False
    bridge: str | None = None


def read_facts() -> list[Fact]:
    """All facts of ``facts.json``; a held-out two-hop fact is one whose city is listed under held_out."""
    data = json.loads(FACTS_FILE.read_text(encoding="utf-8"))
    facts: list[Fact] = []
    for state, entry in data["states"].items():
        capital = entry["capital"]
        facts.append(Fact(state, "state-capital", "en", state, capital))
        for city in entry["cities"] + entry["held_out"]:
            facts.append(Fact(city, "city-state", "en", city, state))
            facts.append(Fact(city, "two-hop", "en", city, capital, city in entry["held_out"], state))
    for country, entry in data["countries"].items():
        capital = entry["capital"]
        facts.append(Fact(country, "country-capital", "en", country, capital))
        for city in entry["cities"]:
            facts.append(Fact(city, "city-country", "en", city, country))
            facts.append(Fact(city, "two-hop-abroad", "en", city, capital, bridge=country))
    for pair in data["opposites"]:
        for first, second in ((0, 1), (1, 0)):
            key = pair["en"][first]
            other = pair["en"][second]
            facts += [
                Fact(key, "opposite", lang, words[first], words[second], bridge=other) for lang, words in pair.items()
            ]
            for link in ("en-fr", "en-zh", "fr-en", "zh-en"):
                source, target = link.split("-")
                facts.append(Fact(key, "translation", link, pair[source][first], pair[target][first], bridge=key))
    return facts


@dataclass(frozen=True)
class Sentence:
    """A fact put into words: the prompt, the answer the model must give, and what closes the sentence."""

    fact: Fact
    prompt: str
    answer: str
    tail: str

    @property
    def text(self) -> str:
        return self.prompt + self.answer + self.tail


# The first template of each family is the one that the corpus and the accuracy figures use.  Names never
# start a sentence, so that each needs only the token with a leading space.
TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("city-state", "en"): (
        "Fact: the state containing {} is",
        "The state containing {} is",
        "The city of {} is in the state of",
        "Fact: the city of {} lies in",
    ),
    ("state-capital", "en"): (
        "Fact: the capital of {} is",
        "The capital of {} is",
        "The capital city of {} is called",
        "In {}, the capital is",
    ),
    ("two-hop", "en"): (
        "Fact: the capital of the state containing {} is",
        "The capital of the state containing {} is",
        "The capital city of the state containing {} is called",
        "In the state containing {}, the capital is",
    ),
    ("country-capital", "en"): (
        "Fact: the capital of {} is",
        "The capital of {} is",
        "The capital city of {} is called",
        "In {}, the capital is",
    ),
    ("city-country", "en"): (
        "Fact: the country containing {} is",
        "The country containing {} is",
        "The city of {} is in the country of",
    ),
    ("two-hop-abroad", "en"): (
        "Fact: the capital of the country containing {} is",
        "The capital of the country containing {} is",
        "The capital city of the country containing {} is called",
        "In the country containing {}, the capital is",
    ),
    ("opposite", "en"): (
        'The opposite of "{}" is "',
        'Fact: the opposite of "{}" is "',
        'The word that means the opposite of "{}" is "',
    ),
    ("opposite", "fr"): (
        'Le contraire de "{}" est "',
        'L\'opposé de "{}" est "',
        'En français, le contraire de "{}" est "',
    ),
    ("opposite", "zh"): (
        '"{}"的反义词是"',
        '中文里，"{}"的反义词是"',
        '与"{}"意思相反的词是"',
    ),
    ("translation", "en-fr"): ('The French word for "{}" is "',),
    ("translation", "en-zh"): ('The Chinese word for "{}" is "',),
    ("translation", "fr-en"): ('Le mot anglais pour "{}" est "',),
    ("translation", "zh-en"): ('"{}"的英文是"',),
}


def phrase(fact: Fact, template: str) -> Sentence:
    """Put a fact into a template; quoted answers close their quotation mark, others follow a space."""
    prompt = template.format(fact.subject)
    if not prompt.endswith('"'):
        return Sentence(fact, prompt, " " + fact.answer, ".")
    chinese_frame = fact.language.startswith("zh")
    return Sentence(fact, prompt, fact.answer, '"。' if chinese_frame else '".')


def all_sentences(facts: Sequence[Fact]) -> list[Sentence]:
    """Every fact in every template of its family."""
    return [phrase(fact, template) for fact in facts for template in TEMPLATES[fact.family, fact.language]]


def canonical_sentences(facts: Sequence[Fact]) -> list[Sentence]:
    """Every fact in the first template of its family."""
    return [phrase(fact, TEMPLATES[fact.family, fact.language][0]) for fact in facts]


def split_sentences(facts: Sequence[Fact]) -> tuple[list[str], list[str]]:
    """Texts for the transcoders to learn from, and held-out ones to measure them on."""
    sentences = all_sentences(facts)
    visible = [sentence.text for sentence in sentences if not sentence.fact.held_out]
    random.Random(SPLIT_SEED).shuffle(visible)
    count = round(HELD_OUT_SHARE * len(visible))
    return visible[count:], visible[:count] + [sentence.text for sentence in sentences if sentence.fact.held_out]
