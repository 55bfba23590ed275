"""What viewers save, in all the forms in which they save it."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.viewer_groups import cantor_pair, features_of_ids, saved_groups, saved_in_address

NAMES = ("x, \"y\" & 'z'", "", "", "50 % [a+b]", "\u202e🧪", "x" * 300)
GROUPS = [[name, f"1_{number}_2", f"2_{number}_2"] for number, name in enumerate(NAMES)]


@pytest.mark.parametrize("write", [list, json.dumps], ids=["as a list", "as text"])
def test_names_with_any_character_and_equal_names_stay(write: type) -> None:
    found = saved_groups({"supernodes": write(GROUPS), "pinnedIds": write(["a", "b"])}, ConfigError)
    assert [name for name, _ in found.groups] == list(NAMES)
    assert found.groups[3] == (NAMES[3], ("1_3_2", "2_3_2"))
    assert found.pins == ("a", "b")
    assert saved_groups({"pinnedIds": "a,b,"}, ConfigError).pins == ("a", "b")
    assert found.ids[:2] == ["1_0_2", "2_0_2"]


def test_an_address_says_the_same_and_is_decoded_once() -> None:
    query = {"supernodes": json.dumps(GROUPS), "pinnedIds": "a,b", "clerps": json.dumps([["1", "c"], ["2"]])}
    found = saved_in_address(f"http://localhost/?{urlencode(query)}", ConfigError)
    assert [name for name, _ in found.groups] == list(NAMES)
    assert found.names == (("1", "c"),)
    assert saved_in_address("http://localhost/?supernodes=&pinnedIds=", ConfigError).ids == []


def test_numbers_of_published_notebooks_have_the_layer_in_front() -> None:
    ids = ["23_2312237_10", "4_413154_9", "0_13727_7", "27_22605_10", "E_26865_9"]
    found = features_of_ids(ids, num_layers=26)
    assert found == {"23_2312237_10": (23, 12237, 10), "4_413154_9": (4, 13154, 9), "0_13727_7": (0, 13727, 7)}
    assert features_of_ids(["23_2312237_10"], 26) == {"23_2312237_10": (23, 12237, 10)}
    plain = ["1_100005_3", "1_130000_3"]
    assert features_of_ids(plain, 26)[plain[0]] == (1, 100_005, 3), "two indices of layer 1 may be so large"
    mixed = ["23_2312237_10", "20_15589_10"]
    assert features_of_ids(mixed, 26) == {mixed[0]: (23, 2_312_237, 10), mixed[1]: (20, 15_589, 10)}
    assert features_of_ids(["1_99999999999_3"], 26) == {}, "no index is so large"


def test_pairs_are_those_of_cantor() -> None:
    assert [cantor_pair(layer, feature) for layer, feature in ((0, 0), (1, 0), (0, 1), (0, 18753))] == [
        *(0, 1, 2, 175_865_634)
    ]


@pytest.mark.parametrize("saved", [{"supernodes": 3}, {"supernodes": [[1]]}, {"pinnedIds": {}}, {"pinnedIds": "[1]"}])
def test_malformed_groups_are_refused(saved: dict) -> None:
    with pytest.raises(ConfigError, match=r"a list|all of them text"):
        saved_groups(saved if saved != {"pinnedIds": {}} else {"pinnedIds": {"a": 1}}, ConfigError)
