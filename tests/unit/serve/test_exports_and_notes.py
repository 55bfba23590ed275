"""Downloads, briefs, notes and saved views, as handlers of requests."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.serve.api import exports, notes
from distributed_tracer.serve.endpoint import Endpoint
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>"


def ask(served: ServedStore, path: str, body: Any = None, **query: Any) -> Any:
    """Return an endpoint's reply for parameters as a request has them."""
    method = "GET" if body is None else "POST"
    found: list[Endpoint] = [*exports.ENDPOINTS, *notes.ENDPOINTS]
    endpoint = next(one for one in found if (one.path, one.method) == (path, method))
    arguments = endpoint.arguments({name: [str(value)] for name, value in query.items()})
    return endpoint.handler(served, arguments, *([] if body is None else [body]))


@pytest.fixture
def writable(small_store: Path, tmp_path: Path) -> ServedStore:
    """A copy of the store, into which notes are written."""
    store = shutil.copytree(small_store, tmp_path / "store")
    return ServedStore(ServeSettings(str(store), author="the server"))


def test_files_hold_the_graph_and_nothing_stays_on_the_disk(
    inside: ServedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    graph = inside.graph("dallas")
    node_link = ask(inside, "/export", prompt="dallas", format="json")
    assert node_link.name == "dallas.json"
    assert len(json.loads(node_link.content)["nodes"]) == len(graph.nodes)
    with np.load(io.BytesIO(ask(inside, "/export", prompt="dallas", format="npz").content)) as arrays:
        assert np.count_nonzero(arrays["adjacency"]) == graph.num_edges
    packed = ask(inside, "/export", prompt="dallas", format="parquet")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
        assert file.namelist() == ["dallas/edges.parquet", "dallas/nodes.parquet"]
        assert file.testzip() is None
    page = ask(inside, "/export", prompt=HOSTILE, format="html")
    assert page.media_type == "application/octet-stream"
    assert not page.inline
    assert set(page.name) & set("<>= ()/") == set()
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_too_large_are_refused_before_they_are_written(
    inside: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST_BYTES", 1_000)
    for format_ in ("npz", "circuit-tracer", "json", "html"):
        with pytest.raises(ConfigError, match="`distributed-tracer export` has no such limit"):
            ask(inside, "/export", prompt="dallas", format=format_)
    with pytest.raises(PromptNotFound):
        ask(inside, "/export", prompt="nobody", format="json")


def test_a_brief_keeps_its_budget_and_may_be_of_some_nodes(inside: ServedStore) -> None:
    text = ask(inside, "/summary", prompt="dallas", characters=1_500, format="text").text
    assert len(text) <= 1_500
    assert "dallas" in text
    assert ask(inside, "/summary", prompt="dallas").value["prompt"]["id"] == "dallas"
    assert ask(inside, "/prompts/{prompt:path}/summary", prompt="dallas").value["prompt"]["id"] == "dallas"
    for wrong in ({"node": "feature:2"}, {"node": "feature:0:0:999999"}, {"characters": 1_500, "tokens": 900}):
        with pytest.raises(ConfigError):
            ask(inside, "/summary", prompt="dallas", **wrong)


def test_notes_are_written_replaced_removed_and_brought_back(writable: ServedStore) -> None:
    said = ask(writable, "/notes", {"prompt": "dallas", "text": "first"}).value
    first = said["ref"]
    assert said["notes"][0]["author"] == "the server"
    second = ask(writable, "/notes", {"prompt": "dallas", "text": "second", "author": "Ada", "parents": [first]}).value
    assert [one["content"]["text"] for one in second["notes"]] == ["second"]
    gone = ask(writable, "/notes", {"prompt": "dallas", "text": None, "parents": [second["ref"]]}).value
    assert gone["notes"] == []
    back = ask(writable, "/notes", {"prompt": "dallas", "restores": first, "parents": [gone["ref"]]}).value
    assert [one["content"]["text"] for one in back["notes"]] == ["first"]
    read = ask(ServedStore(writable.settings), "/notes", prompt="dallas").value
    assert read["num_records"] == 4
    assert [one["author"] for one in read["history"]] == ["the server", "the server", "Ada", "the server"]


def test_notes_of_nodes_and_features_and_views_are_kept_apart(writable: ServedStore) -> None:
    ask(writable, "/notes", {"prompt": "dallas", "node": "feature:2:10:46", "text": "of a node"})
    ask(writable, "/notes", {"layer": 2, "feature": 46, "text": "of a feature"})
    assert ask(writable, "/notes", prompt="dallas").value["notes"] == []
    assert [one["node"] for one in ask(writable, "/prompt_notes", prompt="dallas").value["notes"]] == [
        "feature:2:10:46"
    ]
    of_feature = ask(writable, "/notes", layer=2, feature=46).value["notes"]
    assert [one["content"]["text"] for one in of_feature] == ["of a feature"]
    view = {"prompt": "dallas", "name": "the view", "address": "graph?prompt=dallas&node=feature:2:10:46"}
    assert ask(writable, "/views", view).value["views"][0]["content"]["name"] == "the view"
    assert ask(writable, "/views").value["views"] == []
    for address in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "../x", ""):
        with pytest.raises(ConfigError):
            ask(writable, "/views", {**view, "address": address})


def test_edits_that_make_no_sense_are_refused(writable: ServedStore) -> None:
    for body in (
        [],
        {"prompt": "dallas", "txt": "x"},
        {"prompt": "dallas", "text": 5},
        {"prompt": "dallas", "text": "  "},
        {"prompt": "dallas", "text": "a\x1b[2J"},
        {"prompt": "dallas", "text": None},
        {"prompt": "dallas", "layer": 2, "feature": 46, "text": "x"},
        {"node": "feature:2:10:46", "text": "x"},
        {"layer": 99, "feature": 46, "text": "x"},
        {"prompt": "dallas", "text": "x", "parents": ["nothing"]},
        {"prompt": "dallas", "text": "x", "parents": "nothing"},
    ):
        with pytest.raises(ConfigError):
            ask(writable, "/notes", body)
    with pytest.raises(PromptNotFound):
        ask(writable, "/notes", {"prompt": "nobody", "text": "x"})
    assert ask(writable, "/notes", prompt="dallas").value["num_records"] == 0
