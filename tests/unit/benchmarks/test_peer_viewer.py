"""peer_viewer: what of a page is compared with the files, and that it notices what differs; no browser is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from peer_viewer import compared, differs, panel_differs, same_groups, table, unpaired
from peer_viewer_page import copy_page

from distributed_tracer.graph.viewer_groups import cantor_pair

DOCUMENT: dict[str, Any] = {
    "nodes": [{"node_id": name} for name in "abc"],
    "links": [{"source": "a", "target": "b", "weight": 1.0}, {"source": "b", "target": "c", "weight": -1.0}],
}
LINE_AB, LINE_BC = [0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.5]
PAGE: dict[str, Any] = {
    "nodes": [["a", 0.0, 1.0], ["b", 2.0, 3.0], ["c", 4.0, 5.5]],
    "clicks": [["a", "a", [LINE_AB]], ["b", "b", [LINE_BC, LINE_AB]], ["c", "c", [LINE_BC]]],
}
LACKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a line": lambda page: page["clicks"][1][2].pop(),
    "a line drawn elsewhere": lambda page: page["clicks"][2].__setitem__(2, [[2.0, 3.0, 4.0, 5.0]]),
    "a node": lambda page: page["nodes"].pop(0),
    "a click that does nothing": lambda page: page["clicks"][0].__setitem__(1, None),
    "a node that is not in the file": lambda page: page["nodes"].append(["d", 9.0, 9.0]),
}
RECORD = {
    "examples_quantiles": [{"examples": [{"tokens": ["x", "y", "z"], "tokens_acts_list": [0.0, 2.0, 2.0]}]}],
    "top_logits": [" Austin"],
    "bottom_logits": [],
    "histogram": [1.0, 2.0],
    "activation_frequency": 0.05,
}
PANEL: dict[str, Any] = {
    "title": "Feature L2/46 Act: 2.00 9pct, Freq: 5.000%",
    "label": "Texas",
    "examples": [[["x", False], ["yz", True]]],
    "rows": [[" Austin"]],
    "bars": 2,
}
OTHERS = {
    "label": "",
    "examples": [[["x", False], ["yz", True]]] * 2,
    "texts": [[["w", False], ["yz", True]]],
    "colours": [[["x", True], ["yz", True]]],
    "promoted tokens": [[" Austin"], ["\n"]],
    "histogram": 0,
    "frequency": "Feature L2/46 Act: 2.00",
}
KEYS = {
    "texts": "examples",
    "colours": "examples",
    "promoted tokens": "rows",
    "histogram": "bars",
    "frequency": "title",
}


def test_a_page_that_draws_every_edge_is_the_same_as_the_file() -> None:
    found = compared(DOCUMENT, PAGE)
    assert (found["nodes_drawn"], found["links_drawn"]) == (3, 2)
    assert not differs(found)


@pytest.mark.parametrize("lack", LACKS)
def test_what_a_page_does_not_draw_is_noticed(lack: str) -> None:
    page = deepcopy(PAGE)
    LACKS[lack](page)
    assert differs(compared(DOCUMENT, page))


def test_a_shown_feature_is_the_same_as_its_file() -> None:
    assert panel_differs(PANEL, RECORD, "Texas") == ""


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_shown_otherwise_of_a_feature_is_named(what: str) -> None:
    assert what in panel_differs({**PANEL, KEYS.get(what, what): OTHERS[what]}, RECORD, "Texas").split(", ")


def test_groups_and_pins_are_compared_by_name_and_members() -> None:
    saved = {"supernodes": [["A, <b", "a", "b"]], "pinnedIds": ["a", "b", "c"]}
    assert same_groups(saved, [["A, ‹b", ["b", "a"]], [None, ["c"]]]) == []
    assert same_groups(saved, [["A, ‹b", ["a"]], [None, ["b"]]]) == ["group A, ‹b", "group A, ‹b", "pin c"]


@pytest.mark.parametrize("site", [(0, 0), (2, 46), (41, 16_383)])
def test_a_number_of_the_viewer_has_its_layer_and_index(site: tuple[int, int]) -> None:
    assert unpaired(cantor_pair(*site)) == site


def test_a_request_to_another_host_and_an_error_of_the_page_are_differences() -> None:
    assert differs({"elsewhere": ["https://example.com"]})
    assert differs({"errors": ["x is not a function"]})
    assert "2 requests, 1 to other hosts" in table(
        [{"graph": "g", "requests": 2, "elsewhere": ["https://example.com"]}]
    )


def test_the_copied_page_asks_no_other_host_for_a_script(tmp_path: Path) -> None:
    assets = tmp_path / "peer/circuit_tracer/frontend/assets"
    assets.mkdir(parents=True)
    scripts = (
        "https://a.example/lib/d3.js",
        "https://b.example/x/pako.min.js",
        "https://c.example/npy.js",
        "./util.js",
    )
    (assets / "index.html").write_text("\n".join(f"<script src='{script}'></script>" for script in scripts))
    packages = ("d3/dist/d3.min.js", "d3-collection/dist/d3-collection.js", "d3-jetpack/build/d3-jetpack.cjs")
    for name in (*packages, "dagre/dist/dagre.min.js", "pako/dist/pako.min.js"):
        (tmp_path / "npm" / name).parent.mkdir(parents=True)
        (tmp_path / "npm" / name).write_text(f"/* {name} */")
    copy_page(tmp_path / "peer", tmp_path / "npm", tmp_path / "page")
    found = (tmp_path / "page/index.html").read_text().split()
    assert [one for one in found if "src" in one] == [
        "src='./libraries/d3.js'></script>",
        "src='./libraries/pako.min.js'></script>",
        "src='./util.js'></script>",
    ]
    assert all(name in (tmp_path / "page/libraries/d3.js").read_text() for name in packages)
