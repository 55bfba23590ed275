from __future__ import annotations

from pathlib import Path

import pytest
from killing import kill_until_done
from ledgers import record_failure
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import StoreMismatch, StoreNotFound
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.object_names import COMMIT_NAME
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.writer import PartWriter

GRAPHS = [random_graph(f"p{i}", seed=i) for i in range(6)]


def commit_asking(url: str, graph: Graph, asked: str) -> None:
    """A part of one graph that says what it was made from."""
    writer = PartWriter(url, StoreConfig(url))
    writer.add(graph, asked)
    manifest = writer.flush()
    assert manifest is not None
    ledger = Ledger(url)
    ledger.create_or_check(RUN_INFO)
    ledger.commit(manifest)


def test_a_merged_store_has_the_parts_of_all_byte_for_byte(store_url: str, other_url: str, tmp_path: Path) -> None:
    third = str(tmp_path / "third")
    make_store(store_url, GRAPHS[:2], GRAPHS[2:3])
    make_store(third, GRAPHS[3:5], GRAPHS[5:])
    record_failure(Ledger(third), "bad", "trace", "no such token", 1)
    made = merge_stores(other_url, [store_url, third])
    assert (made.num_parts, made.num_left_out) == (4, 0)
    merged = open_store(other_url)
    assert merged.digest() == make_store(str(tmp_path / "clean"), GRAPHS).digest()
    assert merged.verify() == made.num_bytes
    assert [int(commit.name[:10]) for commit in merged.catalogue.commits] == [1, 2, 3, 4]
    for source in (store_url, third):
        for manifest in open_store(source).manifests:
            keys = [f"parts/{manifest.part}/{key}" for key in manifest.objects]
            assert open_backend(other_url).read_many(keys) == open_backend(source).read_many(keys)
    assert set(Ledger(other_url).failures()) == {"bad"}
    assert [origin["store"] for origin in merged.info["merged_from"]] == [store_url, third]
    again = merge_stores(other_url, [store_url, third])
    assert (again.num_parts, again.num_left_out) == (0, 4)
    assert len(open_backend(other_url).list_dir("commits")) == 4


def test_of_a_prompt_in_several_stores_the_first_one_counts(tmp_path: Path) -> None:
    urls = [str(tmp_path / name) for name in ("a", "b", "c")]
    versions = [random_graph("p", seed=seed) for seed in range(3)]
    for url, graph in zip(urls, versions, strict=True):
        commit_asking(url, graph, "same")
    make_store(urls[1], [random_graph("q", seed=9)])
    merge_stores(urls[2], urls[:2])
    assert graph_digest(open_store(urls[2]).graph("p")) == graph_digest(versions[2]), "the target's own"
    out = str(tmp_path / "out")
    made = merge_stores(out, urls)
    assert graph_digest(open_store(out).graph("p")) == graph_digest(versions[0])
    assert set(open_store(out)) == {"p", "q"}
    assert (made.num_parts, made.num_left_out) == (2, 3), "parts without anything new stay behind"


def test_one_id_that_asks_for_two_things_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    here, there, out = (str(tmp_path / name) for name in ("a", "b", "out"))
    for url, asked in ((here, "one"), (there, "another")):
        commit_asking(url, random_graph("clash", seed=1), asked)
        commit_asking(url, random_graph("fine", seed=2), "same")
    make_store(there, [random_graph("unknown", seed=3)])
    with pytest.raises(StoreMismatch, match=r"1 prompts ask .*\n.*'clash' in .*/a and .*/b"):
        merge_stores(out, [here, there])
    assert not Path(out).exists()
    with pytest.raises(StoreMismatch, match="'clash'"):
        merge_stores(here, [there])
    assert len(open_backend(here).list_dir("commits")) == 2


def test_stores_of_other_configurations_are_refused_with_every_difference(tmp_path: Path) -> None:
    here, there, out = (str(tmp_path / name) for name in ("a", "b", "out"))
    make_store(here, GRAPHS[:1])
    Ledger(there).create_or_check({"identity": {"model": "large", "trace": {"round_size": 5}}})
    with pytest.raises(StoreMismatch) as caught:
        merge_stores(out, [here, there])
    assert f'model: {here} has "tiny", {there} "large"' in str(caught.value)
    assert f"trace.round_size: {here} has 4, {there} 5" in str(caught.value)
    assert not Path(out).exists()
    with pytest.raises(StoreNotFound):
        merge_stores(out, [here, str(tmp_path / "nothing")])


def test_a_compacted_store_is_merged_as_it_reads(tmp_path: Path) -> None:
    """Its large part has a late number; in the target, without an index, it must still hold what it held."""
    here, out = str(tmp_path / "a"), str(tmp_path / "out")
    first, second = random_graph("p", seed=1), random_graph("p", seed=2)
    make_store(here, [first], [random_graph("q", seed=3)])
    large = [second, *(random_graph(f"r{n}", seed=10 + n) for n in range(4))]
    Ledger(here).commit(write_part(here, large))
    compact(here, part_prompts=4)
    store = open_store(here)
    assert [len(store.catalogue.numbers(commit)) for commit in range(2)] == [4, 2]
    assert merge_stores(out, [here]).num_parts == 2
    assert open_store(out).index is None
    assert graph_digest(open_store(out).graph("p")) == graph_digest(first)
    assert open_store(out).digest() == store.digest()
    compact(out)
    assert merge_stores(out, [here]).num_parts == 0


def test_the_command_needs_a_store_and_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, out = str(tmp_path / "a"), str(tmp_path / "out")
    make_store(here, GRAPHS)
    assert main(["merge", out, here]) == 0
    assert capsys.readouterr().out.startswith("copied 1 parts of ")
    assert main(["merge", out]) == 1


@pytest.mark.slow
def test_a_merge_killed_at_random_moments_goes_on(tmp_path: Path) -> None:
    sources, out = [str(tmp_path / name) for name in ("a", "b")], str(tmp_path / "out")
    graphs = [[[random_graph(f"{i}{n:02}", seed=20 * i + n)] for n in range(15)] for i in range(2)]
    for url, parts in zip(sources, graphs, strict=True):
        make_store(url, *parts)
    clean = make_store(str(tmp_path / "clean"), *graphs[0], *graphs[1])
    num_objects = 0

    def has_begun() -> bool:
        nonlocal num_objects
        before, num_objects = num_objects, len(open_backend(out).list_all(""))
        return num_objects > before

    def check() -> None:
        if open_backend(out).read("run.json") is not None:
            assert open_store(out).verify() >= 0
            assert list(open_store(out)) == list(clean)[: len(open_store(out))]

    kill_until_done(["merge", out, *sources], has_begun, check, longest_wait=0.2, most=3)
    assert open_store(out).digest() == clean.digest()
    assert len([name for name in open_backend(out).list_dir("commits") if COMMIT_NAME.fullmatch(name)]) == 30
