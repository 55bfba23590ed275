"""Neighbours of a prompt: those of the table of prompts, as it is filtered and sorted."""

from __future__ import annotations

from typing import Any

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.serve.api.neighbours import ENDPOINTS
from distributed_tracer.serve.api.prompts import prompt_rows
from distributed_tracer.serve.prompts.loader import prompts_of
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedStore:
    """Sixty prompts in two parts, whose metadata sort them otherwise than their ids, with equal and missing values."""
    url = str(tmp_path_factory.mktemp("neighbours") / "store")
    graphs = [
        random_graph(
            f"p{number * 37 % 60:02d}",
            seed=number,
            num_active=4,
            text=f"Text {number}",
            metadata={"family": f"f{number % 3}", **({} if number % 7 == 0 else {"rank": number // 4})},
        )
        for number in range(60)
    ]
    make_store(url, graphs[:25], graphs[25:])
    found = ServedStore(ServeSettings(url))
    prompts_of(found).read_all(60)
    return found


def ask(served: ServedStore, prompt: str, **query: Any) -> Any:
    (endpoint,) = ENDPOINTS
    given = {name: value if isinstance(value, list) else [str(value)] for name, value in query.items()}
    return endpoint.handler(served, endpoint.arguments({"prompt": [prompt], **given}))


def table(served: ServedStore, where: list[str], search: str, sort: str, descending: bool) -> list[str]:
    """Return the ids of the table of prompts in its order."""
    query = {"where": where, "search": search, "sort": sort, "descending": descending}
    found = prompt_rows(served, {**query, "offset": 0, "limit": 500, "column": []}).value
    return [row["id"] for row in found["rows"]]


def test_leafing_from_the_first_to_the_last_gives_the_table(served: ServedStore) -> None:
    every = sorted(served.store)
    for where, search, sort, descending in (
        ([], "", "id", False),
        ([], "", "id", True),
        (["family=f1"], "", "id", False),
        (["family=f1", "rank>=3"], "", "rank", True),
        ([], "text 1", "rank", False),
        ([], "", "replacement", True),
    ):
        wanted = table(served, where, search, sort, descending)
        assert wanted
        query = {"where": where, "search": search, "sort": sort, "descending": str(descending).lower()}
        for place, prompt in enumerate(wanted):
            assert ask(served, prompt, **query).value == {
                "number": place + 1,
                "of": len(wanted),
                "previous": wanted[place - 1] if place else None,
                "next": wanted[place + 1] if place + 1 < len(wanted) else None,
            }
        assert len(wanted) == len(every) or where or search


def test_a_prompt_that_does_not_match_has_the_neighbours_of_its_place(served: ServedStore) -> None:
    inside = table(served, ["family=f1"], "", "id", False)
    outside = sorted(set(served.store) - set(inside))
    for prompt in outside:
        found = ask(served, prompt, where=["family=f1"]).value
        assert (found["number"], found["of"]) == (None, len(inside))
        assert found["previous"] == max((one for one in inside if one < prompt), default=None)
        assert found["next"] == min((one for one in inside if one > prompt), default=None)
    nobody = ask(served, inside[0], where=["family=none"]).value
    assert nobody == {"number": None, "of": 0, "previous": None, "next": None}


def test_wrong_questions_are_refused_and_early_ones_wait(served: ServedStore) -> None:
    with pytest.raises(PromptNotFound):
        ask(served, "nobody")
    with pytest.raises(ConfigError, match="famly"):
        ask(served, "p00", where=["famly=f1"])
    with pytest.raises(ConfigError, match="column that is sorted"):
        ask(served, "p00", sort="nothing")
    fresh = ServedStore(served.settings)
    prompts_of(fresh)._is_working = True  # as if it were being read for long
    early = ask(fresh, "p00", search="text 1")
    assert (early.status, early.value["waiting_for"]) == (202, ["text"])
    assert ask(fresh, "p00").value["number"] == 1  # of the order of ids all is known
    prompts_of(fresh)._is_working = False
    prompts_of(fresh).read_all(60)
    assert ask(fresh, "p00", search="text 1").status == 200
