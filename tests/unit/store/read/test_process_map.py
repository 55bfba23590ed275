from __future__ import annotations

import os
from pathlib import Path

import graph_functions
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, PromptNotFound, TracerError, WorkerLost
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.store.read import process_map
from distributed_tracer.store.read.process_map import reorder
from distributed_tracer.store.reader import Store

GRAPHS = {f"p{i}": random_graph(f"p{i}", seed=i, num_active=10 + i) for i in range(9)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    graphs = list(GRAPHS.values())
    return make_store(str(tmp_path), graphs[4:], graphs[:4], [random_graph("p5", seed=77)])


@pytest.mark.parametrize("processes", [1, 2])
def test_answers_come_in_the_order_asked_for(store: Store, processes: int) -> None:
    order = ["p8", "p0", "p5", "p1", "p0"]
    answers = list(store.map(graph_digest, order, processes=processes))
    assert answers == [graph_digest(GRAPHS[name]) for name in order]
    assert list(store.map(graph_digest, processes=processes)) == [graph_digest(GRAPHS[name]) for name in sorted(GRAPHS)]


def test_several_processes_share_the_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_map, "_GRAPHS", 1)
    answers = list(store.map(graph_functions.process_and_edges, [*GRAPHS] * 3, processes=2))
    assert [edges for _, edges in answers] == [graph.num_edges for graph in GRAPHS.values()] * 3
    assert os.getpid() not in {process for process, _ in answers}


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_names_the_prompt(store: Store, processes: int) -> None:
    with pytest.raises(ValueError, match="seven") as raised:
        list(store.map(graph_functions.no_p7, processes=processes))
    assert raised.value.__notes__ == ["in prompt 'p7'"]
    with pytest.raises(PromptNotFound, match="'nope'"):
        store.map(graph_functions.no_p7, ["nope"], processes=processes)


def test_an_error_that_cannot_travel_is_told_in_words(store: Store) -> None:
    with pytest.raises(TracerError, match=r"in prompt 'p3': Choosy: too large: \d+"):
        list(store.map(graph_functions.choosy, ["p3"], processes=2))


def test_a_function_that_other_processes_cannot_import_is_refused_at_once(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"cannot import .*lambda.*define it in a module"):
        list(store.map(lambda graph: 1, processes=2))
    assert list(store.map(lambda graph: 1, processes=1)) == [1] * 9


def test_the_end_of_a_process_is_told(store: Store) -> None:
    with pytest.raises(WorkerLost, match=r"a process of Store\.map ended"):
        list(store.map(graph_functions.dies, processes=2))


def test_what_comes_early_waits_and_is_forgotten_once_given() -> None:
    answers = iter([("b", 2), ("c", 3), ("a", 1)])
    given = reorder(answers, ["b", "a", "c", "b"])
    assert next(given) == 2
    assert [*given] == [1, 3, 2]
