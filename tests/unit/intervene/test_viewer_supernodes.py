"""Groups as viewers of the field save them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from distributed_tracer.errors import InterventionError
from distributed_tracer.intervene.supernode import Feature, Supernode
from distributed_tracer.intervene.viewer_supernodes import groups_of_file, groups_of_url, load_viewer_supernodes

GROUPS = [["Texas & co", "20_15589_10", "19_7477_9"], ["state", "6_4012_7"], ["state", "0_13727_7"]]
PINNED = ["27_22605_10", "20_15589_10", "E_26865_9", "16_25_9"]
CLERPS = [["16_25_9", "says \u202eplaces"]]
EXPECTED = (
    Supernode("Texas & co", (Feature(20, 10, 15589), Feature(19, 9, 7477))),
    Supernode("state", (Feature(6, 7, 4012),)),
    Supernode("state (2)", (Feature(0, 7, 13727),)),
    Supernode("says \u202eplaces", (Feature(16, 9, 25),)),
)


def address(**saved: str) -> str:
    return f"http://localhost:8041/index.html?{urlencode({'slug': 'dallas', **saved})}#top"


def test_groups_are_read_from_an_address() -> None:
    url = address(supernodes=json.dumps(GROUPS), pinnedIds=",".join(PINNED), clerps=json.dumps(CLERPS))
    found = groups_of_url(url, num_layers=26)
    assert found.supernodes == EXPECTED
    assert found.left_out == ("27_22605_10", "E_26865_9"), "an answer and a token cannot be set"
    assert groups_of_url(address(), num_layers=26).supernodes == ()
    paired = address(pinnedIds="16_25_9", clerps=json.dumps([["886", "says places"]]))  # 41 * 42 / 2 + 25
    assert [supernode.name for supernode in groups_of_url(paired, num_layers=26).supernodes] == ["says places"]


def test_addresses_of_published_notebooks_have_the_layer_in_the_number() -> None:
    url = address(supernodes=json.dumps([["", "23_2312237_10"], ["a, b", "4_413154_9"]]), pinnedIds="7_706861_9")
    assert groups_of_url(url, num_layers=26).supernodes == (
        Supernode("", (Feature(23, 10, 12237),)),
        Supernode("a, b", (Feature(4, 9, 13154),)),
        Supernode("7_706861_9", (Feature(7, 9, 6861),)),
    )


def test_features_of_a_file_are_known_by_their_fields_whatever_their_ids(tmp_path: Path) -> None:
    fields = {"feature_type": "cross layer transcoder", "ctx_idx": 4}
    nodes = [
        {**fields, "node_id": "12_cro_2082_4", "layer": 12, "feature": 2_195_547, "activation": 2.0},
        {**fields, "node_id": "n1", "layer": "0", "feature": 44},
    ]
    document = {"metadata": {"schema_version": 1}, "nodes": nodes}
    document["qParams"] = {"supernodes": [["x", "12_cro_2082_4"], ["y", "n1", "none"]]}
    (tmp_path / "g.json").write_text(json.dumps(document))
    found = groups_of_file(tmp_path / "g.json", num_layers=26)
    assert found.supernodes == (
        Supernode("x", (Feature(12, 4, 2082),), activations=(2.0,)),
        Supernode("y", (Feature(0, 4, 8),)),
    )
    assert found.left_out == ("none",)
    nodes[1]["feature"] = 43
    (tmp_path / "g.json").write_text(json.dumps(document))
    with pytest.raises(InterventionError, match="node 'n1' has the feature 43, which is no Cantor pair with layer 0"):
        groups_of_file(tmp_path / "g.json", num_layers=26)


def saved(path: Path, **changed: Any) -> Path:
    node = {"node_id": "20_15589_10", "feature_type": "cross layer transcoder", "activation": 7.5}
    error = {"node_id": "0_3_9", "feature_type": "mlp reconstruction error", "activation": None}
    groups = {"supernodes": GROUPS, "pinnedIds": [*PINNED, "0_3_9"], "clerps": CLERPS, **changed}
    path.write_text(json.dumps({"qParams": groups, "nodes": [node, error]}), encoding="utf-8")
    return path


def test_an_address_is_told_from_a_file(tmp_path: Path) -> None:
    by_address = load_viewer_supernodes(address(supernodes=json.dumps(GROUPS)), num_layers=26).supernodes
    assert (
        load_viewer_supernodes(str(saved(tmp_path / "graph.json", pinnedIds="")), num_layers=26).supernodes
        == by_address
    )
    assert len(by_address) == 3


def test_groups_are_read_from_a_graph_s_file(tmp_path: Path) -> None:
    found = groups_of_file(saved(tmp_path / "as_lists.json"), num_layers=26)
    assert found.supernodes == EXPECTED, "of groups that the file does not hold all activations of, none is taken"
    assert found.left_out == ("27_22605_10", "E_26865_9", "0_3_9"), "the file knows that 0_3_9 is an error"
    as_texts = {"supernodes": json.dumps(GROUPS), "pinnedIds": ",".join([*PINNED, "0_3_9"])}
    assert groups_of_file(saved(tmp_path / "as_texts.json", **as_texts), num_layers=26) == found
    (one,) = groups_of_file(saved(tmp_path / "p.json", supernodes=[], pinnedIds=PINNED[1]), num_layers=26).supernodes
    assert one == Supernode("20_15589_10", (Feature(20, 10, 15589),), activations=(7.5,))


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ("[" * 100_000, "not JSON"),
        ("{", "not JSON"),
        ('{"a": 1}', "a list, not dict"),
        ('["Texas"]', "all of them text"),
        ('[["Texas", 3]]', "all of them text"),
    ],
)
def test_malformed_groups_are_refused(groups: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InterventionError, match=says):
        groups_of_url(address(supernodes=groups), num_layers=26)
    with pytest.raises(InterventionError, match=says):
        groups_of_file(saved(tmp_path / "graph.json", supernodes=groups), num_layers=26)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterventionError, match="cannot read"):
        groups_of_file(tmp_path / "none.json", num_layers=26)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InterventionError, match="no object with qParams"):
        groups_of_file(tmp_path / "list.json", num_layers=26)
    with pytest.raises(InterventionError, match="not an address"):
        groups_of_url("http://[::1", num_layers=26)


def test_a_hostile_activation_is_refused(tmp_path: Path) -> None:
    for digits, says in (("9" * 400, "an integer of 400 digits"), ("9" * 309, "finite number"), ("NaN", "found NaN")):
        text = saved(tmp_path / "graph.json").read_text().replace("7.5", digits)
        (tmp_path / "graph.json").write_text(
            text.replace('["Texas & co", "20_15589_10", "19_7477_9"]', '["T", "20_15589_10"]')
        )
        with pytest.raises(InterventionError, match=says):
            groups_of_file(tmp_path / "graph.json", num_layers=26)


def test_the_time_for_many_groups_of_one_name_grows_with_their_number(tmp_path: Path) -> None:
    groups = [["Texas", f"1_{number}_2"] for number in range(20_000)]
    started = time.monotonic()
    found = groups_of_file(saved(tmp_path / "graph.json", supernodes=groups, pinnedIds=""), num_layers=26)
    assert time.monotonic() - started < 10
    names = [supernode.name for supernode in found.supernodes]
    assert names[:3] == ["Texas", "Texas (2)", "Texas (3)"]
    assert len(set(names)) == 20_000
    doubled = [["a (2)", "1_1_1"], ["a", "1_2_1"], ["a", "1_3_1"], ["a (2)", "1_4_1"]]
    found = groups_of_file(saved(tmp_path / "graph.json", supernodes=doubled, pinnedIds=""), num_layers=26)
    assert [supernode.name for supernode in found.supernodes] == ["a (2)", "a", "a (3)", "a (2) (2)"]
