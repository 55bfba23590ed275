"""Bits that flip, objects that go or change places, commits that lie: always an error, never a wrong answer."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_of_cases import job, plain_rows
from ledgers import record_failure
from random_graphs import assert_same, random_graph, with_added_columns
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.config import StoreConfig
from distributed_tracer.errors import StoreCorrupt, StoreError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.report.status import status_of
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.index_schema import INDEX_COLUMNS
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.format.schema import COLUMNS, POINTER_COLUMN
from distributed_tracer.store.index import newest_index
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.writer import PartWriter

GRAPHS = [with_added_columns(random_graph(f"p{i}", seed=i, num_active=12, num_positions=3), i) for i in range(3)]
OTHER = random_graph("other", seed=9, num_active=12, num_positions=3)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clean") / "store"
    make_store(str(path), GRAPHS, [OTHER])
    Ledger(str(path)).start_run(5, 0, 60.0, {})
    record_failure(Ledger(str(path)), "bad", "trace", "no memory", 2)
    return path


@pytest.fixture
def store(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "store"))


def commits(store: Path) -> list[Path]:
    return sorted((store / "commits").iterdir())


def part_of(store: Path, number: int = 0) -> Path:
    return store / "parts" / commits(store)[number].name[11:43]


def flip(path: Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where % len(data)] ^= 1 << where % 8
    path.write_bytes(data)


@pytest.mark.parametrize("name", [*COLUMNS, POINTER_COLUMN.name, ""])
def test_a_bit_that_flips_in_any_array_is_seen_named_and_mended(store: Path, name: str) -> None:
    path = (
        next(p for p in (part_of(store) / name / "c").rglob("0") if p.is_file())
        if name
        else part_of(store) / "zarr.json"
    )
    flip(path, 1234)
    with pytest.raises(StoreCorrupt, match="SHA-256 differs"):
        open_store(str(store)).graph("p1")
    assert_same(open_store(str(store)).graph("other"), OTHER)
    (damage,) = verify(open_backend(str(store))).damages
    assert path.relative_to(part_of(store)).as_posix() in damage.problems[0]
    assert damage.prompts == ("p0", "p1", "p2")
    assert repair(str(store)).dropped == ("p0", "p1", "p2")
    assert not verify(open_backend(str(store))).damages
    assert list(open_store(str(store))) == ["other"]


HURT: dict[str, Callable[[Path, Path], object]] = {
    "cut off": lambda path, _: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path, _: path.write_bytes(b""),
    "missing": lambda path, _: path.unlink(),
    "another's": lambda path, other: shutil.copy(other, path),
}


@pytest.mark.parametrize("how", HURT)
def test_an_object_that_is_not_what_was_committed_is_seen(store: Path, how: str) -> None:
    key = "edges/weight/c/0"
    HURT[how](part_of(store) / key, part_of(store, 1) / key)
    with pytest.raises(StoreCorrupt, match="edges/weight/c/0"):
        open_store(str(store)).graph("p1")
    assert verify(open_backend(str(store))).lost == ("p0", "p1", "p2")


def lying(change: Callable[[PartManifest], PartManifest]) -> Callable[[bytes], bytes]:
    return lambda data: change(PartManifest.from_json(data, "")).to_json("now")


def document(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """A commit that was changed by somebody who left its hash away."""

    def changed(data: bytes) -> bytes:
        found = json.loads(data)
        del found["sha256"]
        change(found)
        return json.dumps(found).encode()

    return changed


def of_first(**changes: object) -> Callable[[bytes], bytes]:
    return lying(lambda r: replace(r, prompts=(replace(r.prompts[0], **changes), *r.prompts[1:])))


LIES: dict[str, Callable[[bytes], bytes]] = {
    "more nodes": of_first(num_nodes=10_000),
    "fewer edges": of_first(num_edges=1),
    "another id": of_first(id="q"),
    "ids swapped": lying(
        lambda r: replace(r, prompts=tuple(replace(e, id=f"p{2 - i}") for i, e in enumerate(r.prompts)))
    ),
    "a prompt less": lying(lambda r: replace(r, prompts=r.prompts[1:])),
    "a prompt more": lying(lambda r: replace(r, prompts=(*r.prompts, replace(r.prompts[0], id="more")))),
    "an object less": lying(lambda r: replace(r, objects={k: v for k, v in r.objects.items() if "source/c" not in k})),
    "sizes": lying(lambda r: replace(r, objects={k: (s + 1, h) for k, (s, h) in r.objects.items()})),
    "hashes": lying(lambda r: replace(r, objects={k: (s, "0" * 64) for k, (s, h) in r.objects.items()})),
    "another part": lying(lambda r: replace(r, part="0" * 32)),
    "huge": document(lambda d: d["prompts"].update(num_nodes=[10**30] * 3)),
    "negative": document(lambda d: d["prompts"].update(num_nodes=[-1] * 3)),
    "a score beyond float64": document(lambda d: d["prompts"].update(replacement=[10**400] * 3)),
    "a score that is no number": document(lambda d: d["prompts"].update(completeness=[float("nan")] * 3)),
    "text": document(lambda d: d["prompts"].update(num_nodes="123")),
    "infinite": document(lambda d: d["objects"].update({"zarr.json": [float("inf"), ""]})),
    "a list": document(lambda d: d.update(objects=[])),
    "upwards": document(lambda d: d["objects"].update({"../../run.json": [1, ""]})),
    "another version": document(lambda d: d.update(format_version=2)),
    "a score that is another's": lambda data: data.replace(b'"replacement":[0.', b'"replacement":[1.'),
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\xff\xfe{",
    "deep": lambda data: b"[" * 100_000,
    "digits": lambda data: b'{"part": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_commit_that_lies_is_seen_listed_and_taken_out(store: Path, lie: str) -> None:
    path = commits(store)[0]
    path.write_bytes(LIES[lie](path.read_bytes()))
    with pytest.raises(StoreError):
        list(open_store(str(store)).graphs())
    found = verify(open_backend(str(store)))
    assert [damage.key for damage in found.damages] == [f"commits/{path.name}"]
    repair(str(store))
    assert not verify(open_backend(str(store))).damages
    assert "other" in open_store(str(store))


def look(store: Path) -> list[Graph]:
    """All that a run, a reader or status reads."""
    Ledger(str(store)).failures()
    status_of(str(store))
    found = open_store(str(store))
    found.occurrences(0, 1)
    return [found.graph(name) for name in found]


@pytest.mark.parametrize("folder", ["commits", "failures", "runs", "", "index"])
def test_random_bytes_anywhere_in_records_give_store_errors_or_the_truth(
    clean: Path, tmp_path: Path, folder: str
) -> None:
    rng, refused = random.Random(folder), 0
    store = Path(shutil.copytree(clean, tmp_path / "store"))
    if folder == "index":
        compact(str(store), part_edges=1)
    paths = [path for path in (store / folder).iterdir() if path.suffix == ".json"]
    truth = {graph.prompt_id: graph for graph in (*GRAPHS, OTHER)}
    for _ in range(40):
        path = rng.choice(paths)
        data = path.read_bytes()
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at + rng.randrange(9) :])
        try:
            graphs = look(store)
        except StoreError:
            refused += 1
        else:
            assert len(graphs) == len(truth)
            for graph in graphs:
                assert_same(graph, truth[graph.prompt_id])
        try:
            verify(open_backend(str(store)))
        except StoreError:
            assert folder == "", "only run.json ends a verification"
        path.write_bytes(data)
    assert refused >= 10


def test_with_an_index_repair_takes_that_away_too_and_compact_makes_another(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    make_store(url, GRAPHS[:1], GRAPHS[1:], [OTHER])
    compact(url, part_prompts=2, part_edges=10**6)
    before = {name: open_store(url).graph(name) for name in ("p0", "other")}
    name = open_store(url).catalogue.commits[open_store(url).catalogue.place(1)[0]].name
    flip(tmp_path / "store/parts" / name[11:43] / "nodes/kind/c/0", 3)
    done = repair(url, dry_run=True)
    assert (done.dropped, len(verify(open_backend(url)).damages)) == (("p1", "p2"), 1)
    assert repair(url).dropped == ("p1", "p2")
    after = open_store(url)
    assert after.index is None
    for prompt, graph in before.items():
        assert_same(after.graph(prompt), graph)
    compact(url)
    assert not verify(open_backend(url)).damages


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All in one part, by the second of two indexes; what was compacted is there too."""
    path = tmp_path_factory.mktemp("indexed") / "store"
    make_store(str(path), GRAPHS[:1], GRAPHS[1:])
    compact(str(path))
    writer = PartWriter(str(path), StoreConfig(str(path)))
    writer.add(OTHER, asked="something")
    manifest = writer.flush()
    assert manifest
    Ledger(str(path)).commit(manifest)
    compact(str(path))
    return path


def group_of(store: Path) -> Path:
    """Of the newest index."""
    return store / "index" / json.loads((store / "index/0000000002.json").read_bytes())["group"]


def ask_all(url: str) -> None:
    """All that an index can be asked."""
    index = newest_index(open_backend(url))
    assert index is not None
    num_prompts = len(index.catalogue)
    list(index.content_hashes())
    index.features_of(np.arange(num_prompts))
    for layer, feature in zip(index.features["features/layer"], index.features["features/feature"], strict=True):
        index.postings(int(layer), int(feature))


@pytest.mark.parametrize("name", [*(column.name for column in INDEX_COLUMNS), ""])
def test_a_bit_that_flips_in_any_array_of_an_index_is_seen_and_costs_no_prompt(
    indexed: Path, tmp_path: Path, name: str
) -> None:
    store = Path(shutil.copytree(indexed, tmp_path / "store"))
    url, digest = str(store), open_store(str(store)).digest()
    key = f"{name}/c/0" if name else "zarr.json"
    chunk = group_of(store) / key
    ask_all(url)
    flip(chunk, chunk.stat().st_size // 2)
    with pytest.raises(StoreCorrupt, match=f"{key} has other content"):
        ask_all(url)
    (found,) = verify(open_backend(url)).damages
    assert (found.key, found.prompts) == ("index/0000000002.json", ())
    assert key in found.problems[0]
    assert repair(url).dropped == ()
    assert open_store(url).digest() == digest


def newest_part(store: Path) -> Path:
    return part_of(store, -1)


BESIDE_AN_INDEX: dict[str, Callable[[Path], object]] = {
    "the part": lambda store: flip(newest_part(store) / "nodes/kind/c/0", 3),
    "its commit": lambda store: flip(commits(store)[-1], 99),
    "no commit": lambda store: commits(store)[-1].unlink(),
    "the index": lambda store: flip(store / "index/0000000002.json", 99),
    "an object of it": lambda store: (group_of(store) / "postings/node/c/0").unlink(),
    "an earlier index": lambda store: flip(store / "index/0000000001.json", 99),
    "a superseded part": lambda store: flip(part_of(store) / "nodes/kind/c/0", 3),
    "a superseded commit": lambda store: flip(commits(store)[0], 99),
}


@pytest.mark.parametrize(
    ("hurt", "cleaned"),
    [*((hurt, False) for hurt in BESIDE_AN_INDEX), *((hurt, True) for hurt in list(BESIDE_AN_INDEX)[:5])],
)
def test_after_a_repair_beside_an_index_everything_goes_on(
    indexed: Path, tmp_path: Path, hurt: str, cleaned: bool
) -> None:
    url = str(shutil.copytree(indexed, tmp_path / "store"))
    digest = open_store(url).digest()
    if cleaned:
        collect_garbage(url, grace_hours=-1.0)
    BESIDE_AN_INDEX[hurt](Path(url))
    is_lost = cleaned and hurt in ("the part", "its commit", "no commit")
    found = verify(open_backend(url))
    assert len(found.damages) >= 1
    lost = ("other", "p0", "p1", "p2") if is_lost else ()
    assert repair(url).dropped == found.lost == lost
    assert not verify(open_backend(url)).damages
    assert (open_store(url).index is None) == (not hurt.startswith(("an earlier", "a superseded")))
    collect_garbage(url, grace_hours=-1.0)
    left = [graph for graph in (*GRAPHS, OTHER) if graph.prompt_id not in Ledger(url).done()]
    assert len(left) == len(lost)
    make_store(url, *([left] if left else []))
    for _ in range(2):
        compact(url)
        collect_garbage(url, grace_hours=-1.0)
        assert open_store(url).digest() == digest
        assert not verify(open_backend(url)).damages
    assert len(commits(Path(url))) == 1


LYING_INDEXES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda d: d.update(format_version=2),
    "upwards": lambda d: d.update(group="../parts"),
    "an object upwards": lambda d: d["objects"].update({"../../run.json": [1, "0" * 64]}),
    "a size that is text": lambda d: d["objects"].update({"zarr.json": ["7", "0" * 64]}),
    "a size that is true": lambda d: d["objects"].update({"zarr.json": [True, "0" * 64]}),
    "a negative size": lambda d: d["objects"].update({"zarr.json": [-1, "0" * 64]}),
    "no hash": lambda d: d["objects"].update({"zarr.json": [1, ""]}),
    "a list": lambda d: d.update(objects=[]),
    "no group": lambda d: d.pop("group"),
    "a seal of another": lambda d: d.update(sha256="0" * 64),
}


@pytest.mark.parametrize("lie", LYING_INDEXES)
def test_an_index_that_lies_is_seen_and_taken_out(indexed: Path, tmp_path: Path, lie: str) -> None:
    store = Path(shutil.copytree(indexed, tmp_path / "store"))
    path = store / "index/0000000002.json"
    found = json.loads(path.read_bytes())
    assert path.read_bytes().endswith(f',"sha256":"{found.pop("sha256")}"}}'.encode())
    path.write_text(json.dumps(found))
    digest = open_store(str(store)).digest()
    assert not verify(open_backend(str(store))).damages, "early ones had no seal"
    LYING_INDEXES[lie](found)
    path.write_text(json.dumps(found))
    with pytest.raises(StoreCorrupt, match=r"0000000002\.json is not an index"):
        open_store(str(store))
    assert [damage.key for damage in verify(open_backend(str(store))).damages] == ["index/0000000002.json"]
    repair(str(store))
    assert open_store(str(store)).digest() == digest


@pytest.mark.slow
def test_damage_verify_repair_and_the_same_job_again_end_in_the_same_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = job(tmp_path, plain_rows(8), part_prompts=3)
    run_job(config)
    url = config.store.store
    digest = open_store(url).digest()
    paths = commits(Path(url))
    hurt = sorted(entry.id for entry in open_store(url).manifests[0].prompts)
    flip(part_of(Path(url)) / "edges/weight/c/0", 17)
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    assert main(["verify", url]) == 1
    told = capsys.readouterr().out
    assert "distributed-tracer repair" in told
    assert f"cannot be read whole: {', '.join(map(repr, hurt))}\n" in told
    assert "which prompts it named is not known" in told
    assert main(["repair", url]) == 0
    assert f"dropped 3 prompts: {', '.join(map(repr, hurt))}\n" in capsys.readouterr().out
    assert main(["verify", url]) == 0
    assert "all as written" in capsys.readouterr().out
    assert len(open_store(url)) == 2
    summary = run_job(config)
    assert (summary.num_done, summary.failed) == (6, ())
    assert open_store(url).digest() == digest
