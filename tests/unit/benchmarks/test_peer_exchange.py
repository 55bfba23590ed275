"""peer_exchange_reader: what of two JSON files for viewers is compared, and that it notices what differs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from random_graphs import finite, random_graph

from distributed_tracer.export.formats import export_graph

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from peer_exchange_reader import same_json


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("viewer") / "g.json"
    export_graph(finite(random_graph(num_targets=1)), path, "viewer")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def without(document: dict[str, Any], node_id: str) -> None:
    """Remove the edges of a node."""
    document["links"] = [link for link in document["links"] if node_id not in (link["source"], link["target"])]


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a weight": lambda d: d["links"][7].update(weight=d["links"][7]["weight"] + 1),
    "an edge": lambda d: d["links"].pop(),
    "a node": lambda d: without(d, d["nodes"].pop(0)["node_id"]),
    "a feature's number": lambda d: d["nodes"][0].update(feature=10**9),
    "a position": lambda d: d["nodes"][0].update(ctx_idx=99),
    "an influence": lambda d: d["nodes"][0].update(influence=d["nodes"][0]["influence"] / 2),
    "a target's label": lambda d: d["nodes"][-1].update(clerp='Output "x" (p=0.001)'),
    "the prompt": lambda d: d["metadata"].update(prompt="another"),
}


def test_a_file_is_the_same_as_itself_whatever_its_ids(document: dict[str, Any]) -> None:
    renamed = deepcopy(document)
    for node in renamed["nodes"]:
        node["node_id"] = f"x{node['node_id']}"
    for link in renamed["links"]:
        link.update(source=f"x{link['source']}", target=f"x{link['target']}")
    assert same_json(renamed, document, 1.0) == (True, "0.0e+00")


@pytest.mark.parametrize("change", CHANGES)
def test_every_difference_is_noticed(change: str, document: dict[str, Any]) -> None:
    changed = deepcopy(document)
    CHANGES[change](changed)
    assert not same_json(changed, document, 1.0)[0]


def test_without_a_threshold_theirs_may_have_less_but_nothing_else(document: dict[str, Any]) -> None:
    less, more = deepcopy(document), deepcopy(document)
    less["links"].pop()
    more["links"][0].update(weight=9.0)
    assert same_json(less, document, None)[0]
    assert not same_json(document, less, None)[0]
    assert not same_json(more, document, None)[0]
