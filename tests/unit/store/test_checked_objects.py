from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from random_graphs import assert_same, random_graph
from random_stores import make_store

from distributed_tracer.errors import StoreCorrupt
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.format.schema import Column
from distributed_tracer.store.reader import Store, open_store


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "is missing"),
    "flipped bit": (flip, "SHA-256 differs"),
    "cut off": (cut, "bytes, the commit says"),
}


@pytest.fixture
def graphs() -> list[Graph]:
    return [random_graph(f"p{i}", seed=i, num_active=280, num_positions=8) for i in range(5)]


@pytest.fixture
def store(tmp_path: Path, graphs: list[Graph]) -> Store:
    return make_store(str(tmp_path), graphs)


def find(store: Store, pattern: str) -> Path:
    (path,) = (Path(store.url) / "parts").glob(f"*/{pattern}")
    return path


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("key", ["edges/weight/c/0", "nodes/kind/c/0", "prompts/pointers/c/0/0", "zarr.json"])
def test_damage_is_an_error_that_names_part_and_prompts(store: Store, kind: str, key: str) -> None:
    hurt, says = DAMAGE[kind]
    hurt(find(store, key))
    for look in (lambda: open_store(store.url).graph("p3"), lambda: list(store.graphs()), store.verify):
        with pytest.raises(StoreCorrupt, match=says) as caught:
            look()
        assert key in str(caught.value)
        assert "part " in str(caught.value)
        assert "'p0', 'p1', 'p2' and 2 more" in str(caught.value)


@pytest.mark.parametrize("chunk_rows", [1 << 17, 1 << 18])
def test_only_prompts_with_rows_in_the_damaged_chunk_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    big = [random_graph(f"p{i}", seed=i, num_active=1500, density=0.09) for i in range(3)]
    with monkeypatch.context() as earlier:
        earlier.setattr(Column, "chunk_rows", chunk_rows)
        store = make_store(str(tmp_path), big)
    ends = [sum(graph.num_edges for graph in big[: i + 1]) for i in range(3)]
    damaged = (1 << 19) // chunk_rows
    assert ends[1] < damaged * chunk_rows < ends[2] < (1 << 20)
    find(store, f"edges/source/c/{damaged}").unlink()
    assert_same(store.graph("p0"), big[0])
    assert_same(store.graph("p1"), big[1])
    with pytest.raises(StoreCorrupt, match=rf"edges/source/c/{damaged} is missing; it concerns prompt 'p2'; if the"):
        store.graph("p2")


def test_verify_lists_all_damage_worst_first_and_counts_bytes(store: Store, tmp_path: Path) -> None:
    files = [path for path in (tmp_path / "parts").rglob("*") if path.is_file()]
    assert store.verify() == sum(path.stat().st_size for path in files)
    for name in ("kind", "layer", "position", "feature", "influence", "constant"):
        find(store, f"nodes/{name}/c/0").unlink()
    with pytest.raises(StoreCorrupt, match=r"^6 objects of .* are damaged:(\n  part .*){5}\n  and 1 more$"):
        store.verify()


def test_a_part_that_is_gone_does_not_hide_the_others(store: Store, graphs: list[Graph]) -> None:
    more = make_store(store.url, [random_graph("late")])
    (part,) = {row["part"] for row in more.prompts.rows() if row["id"] == "p0"}
    (Path(store.url) / "parts" / part).rename(Path(store.url) / "gone")
    again = open_store(store.url)
    assert again.graph("late").prompt_id == "late"
    with pytest.raises(StoreCorrupt, match=r"zarr\.json is missing"):
        again.graph("p0")


def test_a_missing_chunk_is_never_read_as_zeros(store: Store) -> None:
    find(store, "nodes/feature/c/0").unlink()
    with pytest.raises(StoreCorrupt, match="nodes/feature/c/0 is missing"):
        store.occurrences(0, 0)
    find(store, "prompts/text/c/0").unlink()
    with pytest.raises(StoreCorrupt, match="prompts/text/c/0 is missing"):
        open_store(store.url).prompts  # noqa: B018
