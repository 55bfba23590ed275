"""Time of each query in each form, from a reader that has just been opened and from one that has been used before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from store_questions import Form, Reader, Site, percentiles, timed

TOP = 20


@dataclass(frozen=True)
class Asked:
    """What to query: prompts, features, and the number of repeats of each query."""

    prompts: Sequence[str]
    sites: Mapping[str, Site]
    repeats: int


@dataclass(frozen=True)
class Answered:
    """One query's times in milliseconds, and the number of a server's answers per try (0 on a disk)."""

    question: str
    median: float
    p99: float
    requests: float


def ask(
    form: Form, asked: Asked, forget: Callable[[], object] = lambda: None, count: Callable[[], int] = lambda: 0
) -> list[Answered]:
    """Time every query that the form answers. `forget` empties caches before each cold try; that is not timed."""
    found: list[Answered] = []

    def answered(question: str, tries: Sequence[Callable[[], object]]) -> None:
        before = count()
        seconds = [second for one in tries for second in timed(one)]
        found.append(Answered(question, *percentiles(seconds), (count() - before) / len(tries)))

    def cold(question: str, ask_fresh: Callable[[Reader], object], number: int) -> None:
        requests, seconds = 0, []
        for _ in range(number):
            forget()
            reader, before = form.open(), count()
            seconds += timed(partial(ask_fresh, reader))
            requests += count() - before
        found.append(Answered(question, *percentiles(seconds), requests / number))

    forget()
    answered("open", [form.open] * asked.repeats)
    names = iter(asked.prompts)
    cold("one graph, cold", lambda reader: reader.graph(next(names)), min(5 * asked.repeats, len(asked.prompts)))
    reader = form.open()
    for prompt in asked.prompts:
        reader.graph(prompt)
    answered("one graph, warm", [partial(reader.graph, prompt) for prompt in asked.prompts])
    for question in ("occurrences", "edges_into", "edges_out_of"):
        for name, site in asked.sites.items():
            answered(
                f"{question.replace('_', ' ')}, {name}", [partial(getattr(reader, question), site)] * asked.repeats
            )
    for name, site in asked.sites.items():
        answered(f"cooccurring, {name}", [partial(reader.cooccurring, site, TOP)] * asked.repeats)
    cold("table of prompts", lambda reader: reader.num_prompts(), asked.repeats)
    cold("scan of all edges", lambda reader: reader.scan(), asked.repeats)
    return found


def check(form: Form, expected: Mapping[Site, tuple[Any, ...]], num_prompts: int, num_edges: int) -> None:
    """Raise SystemExit if a form's answers differ from those counted in the graphs themselves."""
    reader = form.open()
    for site, wanted in expected.items():
        found = (
            reader.occurrences(site),
            reader.edges_into(site),
            reader.edges_out_of(site),
            reader.cooccurring(site, TOP),
        )
        if found != wanted:
            raise SystemExit(f"{form.name} answers of {site}: {found}, not {wanted}")
    if (reader.num_prompts(), reader.scan()) != (num_prompts, num_edges):
        raise SystemExit(f"{form.name}: {reader.num_prompts()} prompts, {reader.scan()} edges, not all of them")
