"""Names of communities from a profile: where their members are active, and what they promote."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_graphs import planted_graph
from profiles import write_profile
from random_stores import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.mine.communities import mine_roles
from distributed_tracer.mine.community_settings import CommunitySettings
from distributed_tracer.mine.profiled_tokens import ProfiledTokens
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, WeightedToken
from distributed_tracer.profile.reader import open_profile
from distributed_tracer.profile.same_features import check_profile
from distributed_tracer.store.reader import Store

pytest.importorskip("pyarrow")
HOSTILE = "\x1b[2J"
IDS = {name: 40 + place for place, name in enumerate((" Austin", " Dallas", " Houston", " x", " Des", HOSTILE))}


def context(token: str, number: int, quantile: int = 0) -> Context:
    return Context(quantile, f"{token!r} {number} {quantile}", 1, 0, (".", token), (0.0, 1.0))


def feature(layer: int, index: int, tokens: list[str], promoted: dict[str, float]) -> FeatureProfile:
    contexts = [context(token, 1000 * layer + 10 * index + place) for place, token in enumerate(tokens)]
    weights = tuple(WeightedToken(IDS[name], name, weight) for name, weight in promoted.items())
    return FeatureProfile(layer, index, 9, 9, 99, 9, 1.0, 1.0, contexts=(*contexts, context(" weak", index, 1)),
                          promoted=weights)  # fmt: skip


def test_tokens_are_those_that_members_have_and_others_do_not(tmp_path: Path) -> None:
    common = [" is", " is"]
    profile = open_profile(
        write_profile(
            tmp_path / "p",
            [
                feature(0, 1, [*common, " Texas", " Texas"], {" Austin": 3.0, " Dallas": 1.0}),
                feature(1, 1, [*common, " Texas", " Dallas"], {" Houston": 2.0, " Austin": 2.0, " x": -5.0}),
                feature(1, 2, [*common, " Iowa", " Iowa"], {" Des": 1.0}),
                feature(2, 7, [], {}),
            ],
        )
    )
    found = ProfiledTokens.of(profile, [(0, 1), (1, 1), (1, 2), (2, 7), (3, 3)])
    assert found.active[1] == {" is": 0.5, " Texas": 0.25, " Dallas": 0.25}
    assert found.promoted[1] == {" Houston": 0.5, " Austin": 0.5}
    assert found.strongest([0, 1, 3, 4], 2) == [" Texas", " Dallas"]
    assert found.promotes([0, 1, 3, 4]) == " Austin"
    assert found.strongest([2], 1) == [" Iowa"]
    assert (found.strongest([3, 4], 2), found.promotes([3, 4])) == ([], "")


def two_roles(tmp_path: Path) -> Store:
    """Features 0 to 3 of layer 1 have one role, and 10 to 13 another one."""
    edges = {}
    for first in (0, 10):
        for member in range(4):
            for end in range(3):
                edges[(0, first + end), (1, first + member)] = 1.0 + end
                edges[(1, first + member), (2, first + end)] = 2.0 - end / 4
    return make_store(str(tmp_path / "store"), [planted_graph(f"p{number}", [1, 2], edges) for number in range(5)])


SETTINGS = CommunitySettings(resolutions=(1.0,), neighbours=3, bootstraps=0, shuffles=0)


def test_communities_take_names_from_a_profile_where_it_has_their_members(tmp_path: Path) -> None:
    pytest.importorskip("graspologic_native")
    store = two_roles(tmp_path)
    usual = mine_roles(store, tmp_path / "usual", settings=SETTINGS)
    members = [feature(1, index, [" Texas", " is"], {HOSTILE: 1.0}) for index in range(4)]
    profile = open_profile(write_profile(tmp_path / "p", [*members, feature(9, 9, [" is"], {})]))
    named = mine_roles(store, tmp_path / "named", settings=SETTINGS, profile=profile)
    assert named.facts["features_profiled"] == 4
    before, after = (dict(zip(*_names(one), strict=True)) for one in (usual, named))
    of_profile = _community(named, (1, 0))
    assert after[of_profile] == "' Texas', ' is' → '\\x1b[2J'"
    other = _community(named, (1, 10))
    assert after[other] == before[other]
    assert "features_profiled" not in usual.facts
    with pytest.raises(ConfigError, match="profile"):
        mine_roles(store, tmp_path / "usual", settings=SETTINGS, profile=profile)


def _names(result: object) -> tuple[list[int], list[str]]:
    table = result.table("communities", ["community", "name"])  # type: ignore[attr-defined]
    return table["community"].tolist(), list(table["name"])


def _community(result: object, site: tuple[int, int]) -> int:
    rows = result.table("members").rows()  # type: ignore[attr-defined]
    return next(row["community"] for row in rows if (row["layer"], row["feature"]) == site)


def test_a_profile_of_other_features_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("graspologic_native")
    store = two_roles(tmp_path)
    store.info["content"] = {"model": "one"}
    profile = open_profile(write_profile(tmp_path / "p", [feature(0, 0, [], {})], {"content": {"model": "two"}}))
    with pytest.raises(ConfigError, match="was made with another model"):
        mine_roles(store, tmp_path / "r", settings=SETTINGS, profile=profile)
    with pytest.raises(ConfigError, match="was made with another model"):
        check_profile(store, profile)
