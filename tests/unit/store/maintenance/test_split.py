from __future__ import annotations

from pathlib import Path

import pytest
from killing import kill_until_done
from random_graphs import AWKWARD, random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import ConfigError, PromptNotFound, StoreMismatch
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.split import chosen, split_store
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.writer import PartWriter

GRAPHS = [
    random_graph(f"p{i}", seed=i, metadata={"topic": ["a", "b", 3][i % 3], "hops": i, "hard": i > 3}) for i in range(6)
]


def test_split_graphs_are_bit_for_bit_the_same(store_url: str, other_url: str) -> None:
    graphs = list(AWKWARD.values())
    store = make_store(store_url, graphs[:5], graphs[5:])
    wanted = [graph.prompt_id for graph in graphs[::2]]
    assert split_store(store, other_url, wanted) == len(wanted)
    made = open_store(other_url)
    assert set(made) == set(wanted)
    assert made.verify() > 0
    for prompt_id in wanted:
        assert graph_digest(made.graph(prompt_id)) == graph_digest(store.graph(prompt_id))
        assert made.entry(prompt_id) == store.entry(prompt_id)
    assert made.info["identity"] == store.info["identity"]
    assert made.info["split_from"] == {"store": store_url}


def test_rounded_weights_what_was_asked_and_counts_of_unlisted_features_stay(tmp_path: Path) -> None:
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    Ledger(here).create_or_check(RUN_INFO)
    for number, keeps in enumerate((True, False)):
        writer = PartWriter(here, StoreConfig(here, weight_bits=7, store_active=keeps))
        for n in range(2):
            writer.add(random_graph(f"{keeps} {n}", seed=2 * number + n, num_selected=10), asked=f"asked {n}")
        manifest = writer.flush()
        assert manifest is not None
        Ledger(here).commit(manifest)
    store = open_store(here)
    split_store(store, there, list(store))
    made = open_store(there)
    assert made.digest() == store.digest()
    assert [made.entry(name) for name in made] == [store.entry(name) for name in store]
    assert made.entry("False 0").num_active == 40
    assert len(made.graph("False 0").active) == 10
    assert made.entry("True 1").asked == "asked 1"


def test_a_split_goes_on_and_takes_more(tmp_path: Path) -> None:
    store, there = make_store(str(tmp_path / "a"), GRAPHS), str(tmp_path / "b")
    assert split_store(store, there, ["p0", "p1", "p0"]) == 2
    assert split_store(store, there, ["p1", "p4"]) == 1
    assert split_store(store, there, ["p1", "p4"]) == 0
    assert list(open_store(there)) == ["p0", "p1", "p4"]
    assert len(open_backend(there).list_dir("commits")) == 2


def test_a_compacted_store_with_later_parts_is_split(tmp_path: Path) -> None:
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    make_store(here, GRAPHS[:2], GRAPHS[2:4])
    compact(here)
    Ledger(here).commit(write_part(here, GRAPHS[4:]))
    store = open_store(here)
    split_store(store, there, list(store))
    assert open_store(there).digest() == store.digest()


def test_prompts_that_are_not_there_and_other_targets_are_refused(tmp_path: Path) -> None:
    store, there = make_store(str(tmp_path / "a"), GRAPHS), tmp_path / "b"
    with pytest.raises(PromptNotFound, match=r"2 of 3 prompts are not in .*: 'x', 'y'"):
        split_store(store, str(there), ["p0", "x", "y"])
    with pytest.raises(PromptNotFound, match=r"1 of 1 prompts are not in .*: 'prompt'"):
        split_store(store, str(there), "prompt")
    assert not there.exists()
    make_store(str(there), GRAPHS[:1])
    with pytest.raises(StoreMismatch, match=r"was not split from .*\n.*split_from: .* has nothing"):
        split_store(store, str(there), ["p0"])


def test_conditions_are_those_of_queries(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [*GRAPHS, random_graph("bare", seed=9)])
    assert chosen(store, ["topic=a"]) == ["p0", "p3"]
    assert chosen(store, ["topic=3", "hard=true"]) == ["p5"]
    assert chosen(store, ["topic=3", "hard=True"]) == ["p5"]
    assert chosen(store, "hops=4") == ["p4"]
    assert chosen(store, ["topic=null"]) == ["bare"]
    assert chosen(store, ["topic=a", "topic=b"]) == []
    with pytest.raises(
        ConfigError, match=r"no metadata, score or size 'tpoic'; there are topic, .*Did you mean 'topic'\?"
    ):
        chosen(store, ["tpoic=a"])
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        chosen(store, ["topic"])


def test_the_command_takes_conditions_or_a_file_of_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, one, other, ids = (str(tmp_path / name) for name in ("a", "b", "c", "ids.txt"))
    make_store(here, GRAPHS)
    assert main(["split", here, one, "--where", "topic=a", "hard=false"]) == 0
    assert list(open_store(one)) == ["p0", "p3"]
    Path(ids).write_text("p5\n\np0\n", encoding="utf-8")
    assert main(["split", here, other, "--prompts", ids]) == 0
    assert list(open_store(other)) == ["p0", "p5"]
    assert capsys.readouterr().out == "wrote 2 graphs; 0 were there\n" * 2
    for flags in ([], ["--where", "topic=a", "--prompts", ids]):
        assert main(["split", here, other, *flags]) == 1
    Path(ids).write_bytes(b"\xff\xfe")
    assert main(["split", here, other, "--prompts", ids]) == 1
    assert "can't decode byte 0xff" in capsys.readouterr().err


@pytest.mark.slow
def test_a_split_killed_at_random_moments_goes_on(tmp_path: Path) -> None:
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    store = make_store(here, [random_graph(f"p{i:04}", seed=i % 7, num_active=20) for i in range(1000)])
    num_objects = 0

    def has_begun() -> bool:
        nonlocal num_objects
        before, num_objects = num_objects, len(open_backend(there).list_all(""))
        return num_objects > before

    def check() -> None:
        if open_backend(there).read("run.json") is not None:
            assert open_store(there).verify() >= 0

    ids = tmp_path / "ids"
    ids.write_text("\n".join(store), encoding="utf-8")
    kill_until_done(["split", here, there, "--prompts", str(ids)], has_begun, check, longest_wait=0.1, most=3)
    assert open_store(there).digest() == store.digest()
