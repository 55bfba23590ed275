"""The prompts to trace."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from .facts import Fact, Sentence, canonical_sentences
from .paths import CORPUS_FILE
from .report import Json
from .tokenizer import first_token_id


def corpus_sentences(facts: Sequence[Fact]) -> list[Sentence]:
    """Choose the prompts to trace: every held-out two-hop fact, and a spread of all families."""
    limits = {"two-hop": 50, "state-capital": 50, "city-state": 50, "country-capital": 50, "opposite": 60}
    taken: Counter[str] = Counter()
    states_seen: set[tuple[str, str]] = set()
    chosen: list[Sentence] = []
    for sentence in canonical_sentences(facts):
        fact = sentence.fact
        first_of_state = (fact.family, fact.answer) not in states_seen
        if not fact.held_out:
            if taken[fact.family] >= limits.get(fact.family, 0) or not first_of_state:
                continue
            taken[fact.family] += 1
            states_seen.add((fact.family, fact.answer))
        chosen.append(sentence)
    order = list(limits)
    return sorted(chosen, key=lambda sentence: (order.index(sentence.fact.family), sentence.fact.language))


def prompt_id(fact: Fact) -> str:
    """A short readable id; opposites share theirs over languages: opposite-fr-small, opposite-zh-small."""
    slug = re.sub(r"[^a-z]+", "-", fact.key.lower()).strip("-")
    language = f"{fact.language}-" if fact.family == "opposite" else ""
    return f"{fact.family}-{language}{slug}"


def corpus_line(tokenizer: PreTrainedTokenizerFast, sentence: Sentence) -> Json:
    """One prompt with its answer as the text would go on; two-hop prompts also tell their bridge."""
    fact = sentence.fact
    line = {
        "id": prompt_id(fact),
        "text": sentence.prompt,
        "family": fact.family,
        "language": fact.language,
        "subject": fact.subject,
        "answer": sentence.answer,
        "answer_token": tokenizer.decode([first_token_id(tokenizer, sentence.answer)]),
        "held_out": fact.held_out,
    }
    return line | {"bridge": f" {fact.bridge}"} if fact.family == "two-hop" else line


def write_corpus(tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> list[Json]:
    """Write one line per prompt, and two contrast prompts that name their own target."""
    lines = [corpus_line(tokenizer, sentence) for sentence in corpus_sentences(facts)]
    by_id = {line["id"]: line for line in lines}
    lines.append(by_id["two-hop-dallas"] | {"id": "contrast-dallas", "targets": ["Austin - Texas"]})
    lines.append(by_id["opposite-en-small"] | {"id": "contrast-small", "targets": ["large - small"]})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    CORPUS_FILE.write_text(text, encoding="utf-8")
    return lines
