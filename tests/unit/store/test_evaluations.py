"""Figures beside graphs: what is written, what counts, what is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError, StoreCorrupt
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.evaluations import (
    EvaluatedPrompt,
    evaluation_results,
    new_check,
    read_checks,
    write_check,
)
from distributed_tracer.store.format.checksummed_json import dump_checksummed
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table


def store_of(url: str) -> Store:
    return make_store(url, [random_graph("a", seed=1)], [random_graph("b", seed=2)])


def write(
    store: Store, prompt_id: str, value: float, *, seed: int = 0, asked: str | None = None, reason: str = ""
) -> str:
    prompt = EvaluatedPrompt(prompt_id, store.entry(prompt_id).asked if asked is None else asked, "", reason)
    tables = () if reason else (Table({"distance": [1, "all"], "edges": [3, 4], "cosine": [value, float("nan")]}),)
    return write_check(store.root, new_check("edges", {"seed": seed}, {"command": "x"}, (prompt,), tables))[0]


def test_what_is_written_is_what_is_read(store_url: str) -> None:
    store = store_of(store_url)
    assert len(store.checks("edges")) == 0
    write(store, "b", 0.5)
    write(store, "a", 0.25)
    write(store, "a", 9.0, seed=1)
    found = open_store(store_url).checks("edges", {"seed": 0})
    assert found["prompt"].tolist() == ["a", "a", "b", "b"]
    assert found["distance"].tolist() == [1, "all", 1, "all"]
    assert found["edges"].dtype == np.int64
    np.testing.assert_array_equal(found["cosine"], [0.25, np.nan, 0.5, np.nan])
    assert store.checks("edges")["cosine"].tolist()[0] == 9.0, "the settings used last"
    assert len(store.checks("faithfulness")) == 0


def test_unknown_kinds_and_settings_are_answered_with_those_there_are(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    write(store, "a", 0.5, seed=3)
    with pytest.raises(
        ConfigError, match=r"no kind of results 'faith'; there are certificates, edges, faithfulness. Did you mean 'fai"
    ):
        store.checks("faith")
    with pytest.raises(ConfigError, match=r'no edges results were found with {"seed": 4}; used: {"seed": 3}'):
        store.checks("edges", {"seed": 4})


def test_figures_join_with_the_table_of_prompts(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    store = store_of(str(tmp_path))
    write(store, "a", 0.5)
    joined = store.checks("edges").to_polars().join(store.prompts.to_polars(), left_on="prompt", right_on="id")
    assert joined["distance"].to_list() == ["1", "all"]


def test_of_several_the_latest_counts_and_a_failure_takes_nothing_away(store_url: str) -> None:
    store = store_of(store_url)
    write(store, "a", 0.0, reason="edges: it broke")
    write(store, "b", 0.25)
    write(store, "b", 0.5)
    write(store, "b", 0.0, reason="edges: it broke")
    found = evaluation_results(store.root, "edges", store.catalogue, {"seed": 0})
    assert found.failed == {"a": "edges: it broke"}
    assert found.done == {"b"}
    assert found.table["cosine"][0] == 0.5


def test_the_latest_knew_of_the_others_whatever_the_clocks_said(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    prompt = EvaluatedPrompt("a", store.entry("a").asked, "")
    for year, value in ((2031, 0.25), (2020, 0.5)):
        number = evaluation_results(store.root, "edges", store.catalogue).number + 1
        check = new_check("edges", {"seed": year}, {}, (prompt,), [Table({"cosine": [value]})], number)
        write_check(store.root, replace(check, created=f"{year}-01-01T00:00:00.000+00:00"))
        write_check(store.root, replace(check, created=f"{year}-01-01T00:00:00.000+00:00", settings={}))
    assert evaluation_results(store.root, "edges", store.catalogue, {}).table["cosine"].tolist() == [0.5]
    assert evaluation_results(store.root, "edges", store.catalogue).number == 2


def test_figures_from_before_there_were_numbers_are_ordered_by_their_clocks(tmp_path: Path) -> None:
    store = store_of(str(tmp_path / "store"))
    prompt = EvaluatedPrompt("a", store.entry("a").asked, "")
    for year, value in ((2031, 0.25), (2020, 0.5)):
        check = new_check("edges", {}, {}, (prompt,), [Table({"cosine": [value]})])
        document = json.loads(replace(check, created=f"{year}-01-01T00:00:00.000+00:00").to_json())
        data = dump_checksummed({name: document[name] for name in document if name not in ("number", "sha256")})
        store.root.put_if_absent(f"checks/edges/{hashlib.sha256(data).hexdigest()[:32]}.json", data)
    assert evaluation_results(store.root, "edges", store.catalogue).table["cosine"].tolist() == [0.25]


def test_figures_of_another_graph_of_that_id_do_not_count(store_url: str) -> None:
    store = store_of(store_url)
    write(store, "a", 0.5, asked="something else")
    assert evaluation_results(store.root, "edges", store.catalogue).done == frozenset()


def test_some_prompts_figures_are_theirs(store_url: str) -> None:
    store = store_of(store_url)
    prompts = tuple(EvaluatedPrompt(name, store.entry(name).asked, "") for name in ("a", "b"))
    tables = [Table({"value": [1, 2]}), Table({"value": [3]})]
    check = new_check("edges", {}, {}, prompts, tables)
    write_check(store.root, check.of([1]))
    (read,) = read_checks(store.root)
    assert read.prompts == (prompts[1],)
    assert read.rows == {"prompt": [0], "value": [3]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "other"}, "of kind 'other'"),
        ({"format_version": 2}, "version 2"),
        ({"rows": {"prompt": [1]}}, "a prompt that is not there"),
        ({"rows": {"prompt": [True]}}, "a prompt that is not there"),
        ({"rows": {"prompt": [0], "edges": []}}, "different lengths"),
        ({"prompts": {"id": [1], "asked": [""], "graph": [""], "reason": [""]}}, "not text"),
        ({"settings": 3}, "TypeError"),
        ({"number": 2.5}, "number 2.5"),
        ({"sha256": "0" * 64}, "altered"),
    ],
)
def test_what_does_not_hold_figures_is_refused(change: dict[str, Any], says: str, tmp_path: Any) -> None:
    store = store_of(str(tmp_path / "store"))
    key = write(store, "a", 0.5)
    document = json.loads((tmp_path / "store" / key).read_bytes())
    del document["sha256"]
    data = (
        json.dumps({**document, **change}).encode() if "sha256" in change else dump_checksummed({**document, **change})
    )
    (tmp_path / "store" / key).chmod(0o644)
    (tmp_path / "store" / key).write_bytes(data)
    with pytest.raises(StoreCorrupt, match=says):
        read_checks(open_backend(str(tmp_path / "store")), "edges")


def test_figures_without_a_seal_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "store" / write(store_of(str(tmp_path / "store")), "a", 0.5)
    document = json.loads(path.read_bytes())
    del document["sha256"]
    path.chmod(0o644)
    path.write_text(json.dumps(document))
    with pytest.raises(StoreCorrupt, match="no checksum"):
        read_checks(open_backend(str(tmp_path / "store")), "edges")
