"""The map of a served store: made once in the background, asked by points and prompts, and filtered by regions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_graphs import planted_graph, random_edges
from random_stores import make_store, write_part

from distributed_tracer.errors import ConfigError
from distributed_tracer.mine.prompt_map import PromptMap, prompt_map
from distributed_tracer.serve import served_store
from distributed_tracer.serve.api.prompt_map import ENDPOINTS as OF_MAP
from distributed_tracer.serve.api.prompts import ENDPOINTS as OF_PROMPTS
from distributed_tracer.serve.endpoint import Arrays, Json
from distributed_tracer.serve.prompts import loader as loading
from distributed_tracer.serve.prompts.loader import prompts_of
from distributed_tracer.serve.prompts.region import MOST_VERTICES, RegionOfMap
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.ledger import Ledger

BY_PATH = {endpoint.path: endpoint for endpoint in (*OF_MAP, *OF_PROMPTS)}
SECONDS = 60.0


def graph(number: int) -> Any:
    edges = random_edges(np.random.default_rng(number), 5)
    return planted_graph(f"p{number:02d}", [1, 2, 3], edges, parity="even" if number % 2 == 0 else "odd", rank=number)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedStore:
    """A store of nine prompts, which is looked at again at every question."""
    monkeypatch.setattr(served_store, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(loading, "REFRESH_SECONDS", 0.0)
    make_store(str(tmp_path / "store"), [graph(number) for number in range(9)])
    return ServedStore(ServeSettings(str(tmp_path / "store")))


def ask(served: ServedStore, path: str, **query: Any) -> Any:
    """Return the reply to a request with these parameters."""
    endpoint = BY_PATH[path]
    texts = {name: value if isinstance(value, list) else [str(value)] for name, value in query.items()}
    return endpoint.handler(served, endpoint.arguments(texts))


def made(served: ServedStore, **query: Any) -> Arrays:
    """Return the reply of /map once the map has been made, and have the table of prompts read."""
    prompts_of(served).read_all(SECONDS)
    end, reply = time.monotonic() + SECONDS, ask(served, "/map", **query)
    while isinstance(reply, Json) and time.monotonic() < end:
        assert reply.status == 202
        assert 0 <= reply.value["done"] <= reply.value["total"] or reply.value["total"] == 0
        reply = ask(served, "/map")
    assert isinstance(reply, Arrays)
    return reply


def rectangle(map_id: str, left: float, bottom: float, right: float, top: float) -> str:
    return f"map.region={map_id}:{left},{bottom} {right},{bottom} {right},{top} {left},{top}"


def test_the_map_is_that_of_the_store_and_begins_when_it_is_asked_for(served: ServedStore) -> None:
    assert "map" not in served.shared
    assert isinstance(ask(served, "/map"), Json)
    found, expected = made(served), prompt_map(served.store)
    np.testing.assert_array_equal(found.arrays["x"], expected.place_I2[:, 0].astype(np.float32))
    assert (found.values["id"], found.values["num_prompts"], found.values["num_new"]) == (expected.id, 9, 0)
    assert found.etag == made(served).etag


def test_a_region_chooses_the_prompts_in_it_for_rows_histograms_and_points(served: ServedStore) -> None:
    found = made(served)
    x = found.arrays["x"].astype(float)
    middle = float(np.sort(x)[4:6].mean())
    region = rectangle(found.values["id"], middle, -9, 9, 9)
    expected = [f"p{number:02d}" for number in range(9) if x[number] > middle]
    rows = ask(served, "/prompts", where=[region]).value
    assert [row["id"] for row in rows["rows"]] == expected
    assert ask(served, "/ids", where=[region, "rank>=4"]).value["ids"] == [id_ for id_ in expected if id_ >= "p04"]
    column = ask(served, "/histograms", where=[region], column=["parity"]).value["columns"][0]
    of_parity = dict(zip(column["values"], column["matching"]["counts"], strict=True))
    assert of_parity["even"] == sum(int(id_[1:]) % 2 == 0 for id_ in expected)
    shown = ask(served, "/map/points", map=found.values["id"], where=[region, "rank>=2"], column="parity")
    state = [0 if number < 2 else 2 if x[number] > middle else 1 for number in range(9)]
    assert shown.arrays["state"].tolist() == state
    assert shown.values["matching"] == state.count(2)
    values = shown.values["legend"]["values"]
    assert [values[place] for place in shown.arrays["category"]] == ["even", "odd"] * 4 + ["even"]


def test_points_and_prompts_lead_to_each_other(served: ServedStore) -> None:
    own = {"map": made(served).values["id"]}
    assert ask(served, "/map/point", **own, prompt="p07").value["point"] == 7
    assert ask(served, "/map/point", **own, prompt="p99").value["point"] is None
    found = ask(served, "/map/point", **own, point=7, column="rank").value
    assert (found["prompt"], found["row"]["text"], found["row"]["values"]) == ("p07", "p07", [7])
    for query, message in (
        ({"point": 9}, "the map has 9 points"),
        ({}, "name either"),
        ({"point": 1, "prompt": "p07"}, "name either"),
    ):
        with pytest.raises(ConfigError, match=message):
            ask(served, "/map/point", **own, **query)
    with pytest.raises(ConfigError, match=r"the map is .* now, and not"):
        ask(served, "/map/point", map="0" * 12, point=1)


def test_new_prompts_are_counted_and_come_in_when_the_map_is_made_anew(served: ServedStore) -> None:
    before = made(served)
    region = rectangle(before.values["id"], -9, -9, 9, 9)
    Ledger(served.store.url).commit(write_part(served.store.url, [graph(9), graph(10)]))
    assert made(served).values["num_new"] == 2
    prompts_of(served).read_all(SECONDS)
    assert ask(served, "/prompts", where=[region]).value["matching"] == 9
    after = made(served, anew="true")
    assert (len(after.arrays["x"]), after.values["num_new"]) == (11, 0)
    with pytest.raises(ConfigError, match=r"the region was drawn on the map .*: remove this condition"):
        ask(served, "/prompts", where=[region])


def test_a_map_that_cannot_be_made_says_why_until_the_store_has_changed(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    make_store(url, [graph(0), graph(1)])
    served = ServedStore(ServeSettings(url))
    with pytest.raises(ConfigError, match="a map needs 3 prompts"):
        made(served)
    Ledger(url).commit(write_part(url, [graph(2)]))
    served.reopen()
    assert len(made(served).arrays["x"]) == 3


@pytest.fixture(scope="module")
def some_map(tmp_path_factory: pytest.TempPathFactory) -> PromptMap:
    return prompt_map(
        make_store(str(tmp_path_factory.mktemp("some") / "store"), [graph(number) for number in range(3)])
    )


@pytest.mark.parametrize(
    "points",
    [
        "",
        "0,0 1,1",
        "0,0 1,1 nan,0",
        "0,0 1,1 1e999,0",
        "0,0 1,1 1",
        "0,0 1,1 1,2,3",
        " ".join(["0,1"] * (MOST_VERTICES + 1)),
    ],
)
def test_malformed_regions_are_refused(points: str, some_map: PromptMap) -> None:
    with pytest.raises(ConfigError, match="is no region"):
        RegionOfMap.of(f"map.region={some_map.id}:{points}", some_map)


def test_every_second_crossing_leads_out_of_a_region(some_map: PromptMap) -> None:
    twice = "0,0 4,0 4,4 0,4 0,0 1,1 3,1 3,3 1,3 1,1"  # a square, and then another one within it
    region = RegionOfMap.of(f"map.region={some_map.id}:{twice}", some_map)
    points = np.array([[0.5, 0.7], [2.0, 2.0], [3.5, 2.0], [2.0, 3.5], [5.0, 2.0], [-1.0, 0.5], [2.0, 0.5]])
    assert region.inside(points).tolist() == [True, False, True, True, False, False, True]
