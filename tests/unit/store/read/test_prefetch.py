from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from random_graphs import assert_same, random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.store.read.prefetch import prefetch


def test_the_next_is_begun_and_no_more_before_this_one_is_asked_for() -> None:
    begun = [threading.Event() for _ in range(5)]

    def job(number: int) -> int:
        begun[number].set()
        return number

    answers = prefetch(partial(job, number) for number in range(5))
    assert next(answers) == 0
    assert begun[1].wait(10)
    assert not begun[2].is_set()
    assert list(answers) == [1, 2, 3, 4]


def test_an_error_comes_where_the_answer_would_and_the_rest_is_forgotten() -> None:
    done = []

    def job(number: int) -> int:
        done.append(number)
        return 6 // (2 - number)

    answers = prefetch(partial(job, number) for number in range(9))
    assert [next(answers), next(answers)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(answers)
    assert max(done) < 5


def test_an_iterator_left_early_lets_go(tmp_path: Path) -> None:
    graphs = [random_graph(f"p{i}", seed=i) for i in range(6)]
    store = make_store(str(tmp_path), *([graph] for graph in graphs))
    before = threading.active_count()
    reading = store.graphs()
    assert_same(next(reading), graphs[0])
    del reading
    for thread in threading.enumerate():
        if thread.name.startswith("ahead"):
            thread.join(10)
    assert threading.active_count() <= before + 16  # readers of local files stay


def test_damage_is_raised_where_it_is_met(tmp_path: Path) -> None:
    graphs = [random_graph(f"p{i}", seed=i) for i in range(4)]
    store = make_store(str(tmp_path), graphs[:2], graphs[2:])
    second = store.manifests[1].part
    (tmp_path / "parts" / second / "edges" / "weight" / "c" / "0").unlink()
    reading = store.graphs()
    assert [next(reading).prompt_id, next(reading).prompt_id] == ["p0", "p1"]
    with pytest.raises(StoreCorrupt, match="edges/weight/c/0 is missing; it concerns prompts 'p2', 'p3'"):
        next(reading)
