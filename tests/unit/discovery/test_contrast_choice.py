"""Contrasts are chosen by metadata and numbers of clusters alone: classes are compared, names of prompts are not."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_graphs import Edges, planted_graph, random_edges
from random_stores import make_store

from distributed_tracer import discover
from distributed_tracer.discovery.contrast_choice import MOST_VALUES, ContrastChoice, choose_contrasts
from distributed_tracer.discovery.halves import Halves, divide
from distributed_tracer.discovery.settings import DiscoverSettings
from distributed_tracer.errors import ConfigError
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.store.reader import Store

pytest.importorskip("pyarrow")
TOPICS = 60
COMMON: Edges = {((0, 1), (1, 1)): 1.0, ((1, 1), (2, 1)): 1.0}
PLANTED: Edges = {((0, 7), (1, 7)): 1.0, ((1, 7), (2, 7)): 1.0}


def metadata(topic: int, place: int, rng: np.random.Generator) -> dict[str, Any]:
    """The metadata of the prompt with number `place` of a topic; None stands for a missing value."""
    return {
        "topic": topic,
        "form": "ab"[place],
        "kind": ["animal", "plant", "stone"][topic % 3],
        "is_kept": topic % 2 == 0,
        "again": ["no", "yes"][topic % 2],
        "grade": 1.5 if topic % 2 else 3,
        "group": ["north", "south", None][topic % 3],
        "band": [10, 20, 30, None][topic % 4],
        "rare": "seldom" if topic < 4 else "often",
        "lists": [topic],
        "one": "same",
        "name": f"name {topic}",
        "noise": "xy"[int(rng.integers(2))],
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Prompts of 60 topics in two forms. Prompts about animals have two features that others lack."""
    rng, graphs = np.random.default_rng(0), []
    for topic in range(TOPICS):
        for place in range(2):
            about = {key: value for key, value in metadata(topic, place, rng).items() if value is not None}
            edges = {**COMMON, **(PLANTED if about["kind"] == "animal" else {}), **random_edges(rng, 12, first=10)}
            graphs.append(planted_graph(f"p{topic:02d}{place}", (1, 2, 3), edges, **about))
    return make_store(str(tmp_path_factory.mktemp("contrasts") / "store"), graphs)


def choices(halves: Halves, **options: Any) -> dict[str, ContrastChoice]:
    given: dict[str, Any] = {"most": 50, "min_clusters": 6, "alpha": 0.05, **options}
    return {one.name: one for one in choose_contrasts(halves, **given)}


def test_classes_are_compared_and_what_names_prompts_is_not(store: Store) -> None:
    found = choices(divide(store, "topic", (), 0.5)).values()
    made = Counter(one.name.split("=")[0] for one in found if not one.why_not)
    assert made == {"kind": 3, "band": 3, "form": 1, "again": 1, "group": 1, "noise": 1}
    why_not = {one.name.split("=")[0]: one.why_not for one in found if one.why_not}
    assert why_not.keys() == {"lists", "one", "name", "is_kept", "grade", "rare"}
    assert why_not["lists"] == "it holds lists or objects"
    assert why_not["one"] == f"it has 1 value: from 2 to {MOST_VALUES} are compared"
    assert why_not["name"].endswith(f"from 2 to {MOST_VALUES} are compared")
    assert why_not["is_kept"].startswith("its sets are those of again=")
    assert why_not["grade"].startswith("its sets are those of again=")
    assert re.fullmatch(r"a set has \d clusters? to mine: 6 are needed", why_not["rare"])


def test_prompts_without_the_field_are_in_neither_set(store: Store) -> None:
    halves = divide(store, "topic", (), 0.5)
    found = choices(halves)
    bands = {row["topic"]: row["band"] for row in halves.table(halves.discovery).rows()}
    for band in (10, 20, 30):
        one = found[f"band={band} against all others"]
        own = sum(value == band for value in bands.values())
        assert one.clusters == (own, sum(value is not None for value in bands.values()) - own)
        assert one.where == ("band>=-1e99",)


def test_sets_that_share_most_of_their_clusters_are_compared_within_them(store: Store) -> None:
    halves = divide(store, "topic", (), 0.5)
    found = choices(halves)
    assert {name.split("=")[0] for name, one in found.items() if one.is_paired} <= {"form", "noise"}
    assert found["form=a against b"].is_paired
    assert found["form=a against b"].clusters == (halves.discovery.num_clusters,) * 2


def test_each_field_has_its_turn_before_any_has_a_second_one(store: Store) -> None:
    made = [one for one in choices(divide(store, "topic", (), 0.5), most=6).values() if not one.why_not]
    fields = [one.name.split("=")[0] for one in made]
    assert len(fields) == 6
    assert len({*fields}) == 6


def test_both_halves_need_enough_clusters(store: Store) -> None:
    halves = divide(store, "topic", (), 0.9)
    found = choices(halves)
    few = [one for one in found.values() if "that are held out: 5 are needed" in one.why_not]
    assert few
    assert all(min(one.held_out) < 5 for one in few)
    assert all(min(one.clusters) >= 6 and min(one.held_out) >= 5 for one in found.values() if not one.why_not)


def test_only_named_fields_are_compared_and_unknown_ones_are_refused(store: Store) -> None:
    halves = divide(store, "topic", (), 0.5)
    assert {name.split("=")[0] for name in choices(halves, by=("kind", "one"))} == {"kind", "one"}
    with pytest.raises(ConfigError, match="no metadata 'kid'; there are topic, form, kind"):
        choices(halves, by=("kid",))


@pytest.mark.parametrize(
    "values",
    [("null", "other"), ("a\nb", "\x1b[2J"), ("x=y", ">=3"), ("true", "True"), ("", " ")],
    ids=["null", "control", "signs", "booleans", "spaces"],
)
def test_values_that_look_like_conditions_select_their_own_prompts_or_none(
    values: tuple[str, str], tmp_path: Path
) -> None:
    graphs = [
        planted_graph(f"p{number:02d}", (1, 2), COMMON, value=values[number % 2], topic=number) for number in range(60)
    ]
    store = make_store(str(tmp_path / "store"), graphs)
    (one,) = choices(divide(store, "topic", (), 0.5)).values()
    assert one.name.isprintable()
    if one.why_not:
        assert "selects" in one.why_not
        return
    for (condition,) in (one.a, one.b):
        own = condition.partition("=")[2]
        ids = list(choose_prompts(store, [condition], None).ids)
        assert ids == [row["id"] for row in store.prompts.rows() if row["value"] == own]
        assert ids


def test_planted_metadata_find_what_was_planted_and_metadata_without_meaning_nothing(
    store: Store, tmp_path: Path
) -> None:
    settings = DiscoverSettings(contrasts=20)
    found = discover(
        store.url, tmp_path / "f", cluster="topic", steps=["contrasts"], by=["kind", "noise", "form"], settings=settings
    )
    of = {one.about: one.result for one in found.outcomes}
    for about, result in of.items():
        assert result is not None
        rows = result.table("features")
        own = rows.where(rows["q"] <= settings.alpha)
        sites = {*zip(own["layer"].tolist(), own["feature"].tolist(), strict=True)}
        planted = {(0, 7), (1, 7), (2, 7)}
        assert sites <= planted if about.startswith("kind=") else not sites, about
        assert "animal" not in about or sites == planted
    assert len(of) == 5
    steps = {row["about"]: row["found"] for row in found.summary.table("steps").rows()}
    assert steps["kind=animal against all others"] == 3
    assert sum(steps[about] for about in of if not about.startswith("kind=")) == 0
