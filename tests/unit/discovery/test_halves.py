"""Halves: a cluster is in one of them as a whole, whatever else the store has."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_graphs import planted_graph
from random_stores import make_store

from distributed_tracer.discovery.halves import divide
from distributed_tracer.discovery.settings import DEFAULT_STEPS, STEPS, DiscoverSettings, chosen_steps
from distributed_tracer.errors import ConfigError
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.store.read.split import split_share
from distributed_tracer.store.reader import Store

EDGES = {((0, 1), (1, 1)): 1.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Forty prompts of thirteen topics; the last one has no topic."""
    graphs = [
        planted_graph(f"p{n:02d}", (1, 2), EDGES, **({"topic": n % 13} if n < 39 else {}), tag="x") for n in range(40)
    ]
    return make_store(str(tmp_path_factory.mktemp("halves") / "store"), graphs)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_prompts_are_divided_by_the_hash_of_their_cluster(store: Store, share: float) -> None:
    halves = divide(store, "topic", (), share)
    topics = {row["id"]: row["topic"] for row in store.prompts.rows() if row["topic"] is not None}
    assert {*halves.discovery.ids} == {prompt for prompt, topic in topics.items() if split_share(topic) <= share}
    assert {*halves.held_out.ids} == topics.keys() - {*halves.discovery.ids}
    assert (halves.discovery.num_clusters or 0) + (halves.held_out.num_clusters or 0) == 13
    assert halves.warnings() == []


def test_without_a_field_each_prompt_is_a_cluster(store: Store) -> None:
    halves = divide(store, None, (), 0.5)
    assert {*halves.discovery.ids} == {prompt for prompt in store if split_share(prompt) <= 0.5}
    assert halves.discovery.num_clusters == len(halves.discovery)
    assert len(halves.discovery) + len(halves.held_out) == 40
    (warning,) = halves.warnings()
    assert warning.endswith("Metadata that could be clusters: 'topic' (13 values).")
    assert choose_prompts(store, (), "id").num_clusters == 40


def test_metadata_with_the_name_of_ids_are_metadata(tmp_path: Path) -> None:
    graphs = [planted_graph(f"p{number}", (1, 2), EDGES, id=number % 2) for number in range(8)]
    store = make_store(str(tmp_path / "store"), graphs)
    assert choose_prompts(store, (), "id").num_clusters == 2
    with pytest.raises(ConfigError, match="metadata that is called id"):
        divide(store, None, (), 0.5)


def test_fields_and_halves_that_are_not_there_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"no metadata 'topik'; there are topic, tag\. Did you mean 'topic'"):
        divide(store, "topik", (), 0.5)
    with pytest.raises(ConfigError, match=r"the (discovery|held-out) half has no prompts: none of 40 prompts meets "):
        divide(store, "tag", (), 0.5)


def test_steps_are_done_in_their_order_and_unknown_ones_refused() -> None:
    assert chosen_steps((), ()) == DEFAULT_STEPS
    assert chosen_steps(STEPS, ("roles",)) == tuple(step for step in STEPS if step != "roles")
    assert chosen_steps(("report", "chains", "atlas")) == ("atlas", "chains", "report")
    with pytest.raises(ConfigError, match="no step 'role'"):
        chosen_steps(("role",))
    with pytest.raises(ConfigError, match="no step that mines is left"):
        chosen_steps(("report",))


@pytest.mark.parametrize(
    ("name", "value"),
    [("share", 1.0), ("alpha", 0.0), ("threshold", 0.0), ("findings", 0), ("sample", 0), ("draws", 1)],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        DiscoverSettings(**{name: value})
