from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from killing import ROOT, finish, kill_until_done
from ledgers import record_failure
from random_graphs import random_graph
from random_stores import make_store, whole, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.errors import StoreCorrupt, StoreError, StoreNotFound
from distributed_tracer.store.backend.base import Backend
from distributed_tracer.store.backend.local import LocalBackend
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.commits import REMOVAL
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger, commit_part
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage, find_garbage, remove_garbage
from distributed_tracer.store.maintenance.unreferenced import orphans
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import open_store


def age(folder: Path, hours: float) -> None:
    """Make everything below, folders too, so old."""
    then = time.time() - 3600 * hours
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files, "."):
            os.utime(Path(place) / name, (then, then))


def orphan(path: Path, hours: float) -> str:
    part = write_part(str(path), [random_graph("lost")]).part
    age(path / "parts" / part, hours)
    return part


def test_only_parts_without_a_commit_go_and_all_that_is_committed_stays(store_url: str) -> None:
    store = make_store(store_url, [random_graph("a")], [random_graph("b", seed=1)])
    record_failure(Ledger(store_url), "bad", "trace", "no such token", 1)
    before = set(open_backend(store_url).list_all(""))
    lost = write_part(store_url, [random_graph("lost")])
    assert collect_garbage(store_url) == [], "it is younger than a day"
    (found,) = collect_garbage(store_url, grace_hours=0.0, dry_run=True)
    assert (found.kind, found.key, found.num_bytes) == ("part", f"parts/{lost.part}", lost.num_bytes)
    assert found.num_objects == len(lost.objects)
    assert set(orphans(open_backend(store_url), [manifest.part for manifest in store.manifests])) == {lost.part}
    assert collect_garbage(store_url, grace_hours=0.0) == [found]
    assert set(open_backend(store_url).list_all("")) == before
    assert collect_garbage(store_url, grace_hours=0.0) == []
    assert orphans(open_backend(store_url), [manifest.part for manifest in store.manifests]) == {}
    again = open_store(store_url)
    assert again.digest() == store.digest()
    assert again.verify() > 0


def test_the_newest_object_decides_how_old_a_part_is(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    old, written_to = orphan(tmp_path, 25.0), orphan(tmp_path, 25.0)
    os.utime(tmp_path / "parts" / written_to / "nodes/kind/c/0")
    assert [found.key for found in collect_garbage(str(tmp_path))] == [f"parts/{old}"]
    assert [found.key for found in collect_garbage(str(tmp_path), grace_hours=0.0)] == [f"parts/{written_to}"]


def test_a_folder_that_a_writer_has_just_made_is_young_and_an_old_empty_one_goes(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    young, old = tmp_path / "parts" / ("a" * 32), tmp_path / "parts" / ("b" * 32)
    for folder in (young, old):
        (folder / "edges" / "weight").mkdir(parents=True)
    age(old, 25.0)
    (found,) = collect_garbage(str(tmp_path))
    assert (found.key, found.num_objects) == (f"parts/{old.name}", 0)
    assert young.exists()


def test_old_temporary_files_go_wherever_a_crash_may_leave_them(tmp_path: Path) -> None:
    (manifest,) = make_store(str(tmp_path), [random_graph("a")]).manifests
    names = [
        ".run.json.0.tmp",
        "commits/.x.0.tmp",
        "failures/.x.0.tmp",
        f"parts/{manifest.part}/edges/.zarr.json.0.tmp",
    ]
    for name in [*names, "runs/.young.0.tmp"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    for name in names:
        os.utime(tmp_path / name, (0, 0))
    assert {found.key for found in collect_garbage(str(tmp_path))} == set(names)
    assert [found.key for found in collect_garbage(str(tmp_path), grace_hours=0.0)] == ["runs/.young.0.tmp"]
    assert open_store(str(tmp_path)).verify() == manifest.num_bytes


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    strange = ["notes.tmp", "parts/notes/x", "parts/.hidden", "commits/notes.txt", "mine/.x.tmp", "parts/" + "c" * 32]
    for name in strange:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
        os.utime(tmp_path / name, (0, 0))
    assert collect_garbage(str(tmp_path)) == []
    assert all((tmp_path / name).read_bytes() == b"mine" for name in strange)


def test_what_is_committed_or_written_to_after_it_was_found_stays(store_url: str) -> None:
    make_store(store_url, [random_graph("a")])
    root = open_backend(store_url)
    late, lost = write_part(store_url, [random_graph("b")]), write_part(store_url, [random_graph("lost")])
    never = time.time() + 3600
    found = {garbage.key: garbage for garbage in find_garbage(root, never)}
    Ledger(store_url).commit(late)
    assert not remove_garbage(root, found[f"parts/{late.part}"], never)
    assert not remove_garbage(root, found[f"parts/{lost.part}"], time.time() - 3600), "written to a moment ago"
    assert remove_garbage(root, found[f"parts/{lost.part}"], never)
    assert open_store(store_url).verify() > 0


WRITER = """
import sys
from random_graphs import random_graph
from random_stores import write_part
from distributed_tracer.store.ledger import Ledger

url = sys.argv[1]
manifest = write_part(url, [random_graph("b", seed=1)])
print("uploaded", flush=True)
sys.stdin.readline()
Ledger(url).commit(manifest)
"""


def test_a_writer_between_upload_and_commit_is_not_robbed(store_url: str) -> None:
    make_store(store_url, [random_graph("a")])
    program = f"import sys; sys.path[:0] = {[str(ROOT / 'tests'), str(ROOT)]!r}\n{WRITER}"
    with subprocess.Popen(
        [sys.executable, "-c", program, store_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "uploaded\n"
        if "://" not in store_url:
            orphan(Path(store_url), 25.0)
        assert ("freed 0 bytes" in finish("gc", store_url)) == ("://" in store_url)
        writer.communicate("go on\n")
    assert writer.returncode == 0
    store = open_store(store_url)
    assert list(store) == ["a", "b"]
    assert store.verify() > 0
    assert len(open_backend(store_url).list_dir("commits")) == 2


def test_a_removal_that_was_killed_is_finished_however_young_it_looks(tmp_path: Path) -> None:
    """What is left is under a temporary name, or what was a whole part a moment ago would look half written."""
    make_store(str(tmp_path), [random_graph("a")])
    part = orphan(tmp_path, 0.0)
    (tmp_path / "parts" / part).rename(tmp_path / "parts" / f".{part}.0.tmp")
    (found,) = collect_garbage(str(tmp_path))
    assert found.key == f"parts/.{part}.0.tmp"
    assert len(open_backend(str(tmp_path)).list_dir("parts")) == 1


@pytest.mark.slow
def test_gc_killed_between_removals_is_finished_by_another(store_url: str) -> None:
    store = make_store(store_url, [random_graph("a")], [random_graph("b", seed=1)])
    root = open_backend(store_url)
    committed = set(root.list_all(""))
    for number in range(15):
        write_part(store_url, [random_graph(f"lost{number}", seed=number)])
    left = len(root.list_all("")) + 1

    def has_begun() -> bool:
        """Some object is gone that was there."""
        nonlocal left
        before, left = left, len(root.list_all(""))
        return left < before - 1

    def check() -> None:
        again = open_store(store_url)
        assert again.digest() == store.digest()
        assert again.verify() > 0

    kill_until_done(["gc", store_url, "--grace-hours", "0"], has_begun, check, longest_wait=0.02, most=2)
    assert set(root.list_all("")) == committed


def test_nothing_is_removed_where_there_is_no_store_or_a_commit_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        collect_garbage(str(tmp_path))
    make_store(str(tmp_path), [random_graph("a")])
    part = orphan(tmp_path, 25.0)
    (commit,) = (tmp_path / "commits").iterdir()
    commit.write_bytes(commit.read_bytes()[:100])
    with pytest.raises(StoreCorrupt):
        collect_garbage(str(tmp_path))
    assert (tmp_path / "parts" / part / "zarr.json").exists()


def test_the_command_says_what_it_removed_or_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    part = orphan(tmp_path, 25.0)
    assert main(["gc", str(tmp_path), "--dry-run"]) == 0
    assert f"would remove parts/{part}: no commit names it" in capsys.readouterr().out
    assert (tmp_path / "parts" / part).exists()
    assert main(["gc", str(tmp_path), "--json"]) == 0
    assert f'"key": "parts/{part}"' in capsys.readouterr().out
    assert main(["gc", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "freed 0 bytes in 0 objects\n"
    assert main(["gc", str(tmp_path), "--grace-hours", "-1"]) == 1


SMALL = [[random_graph(f"p{i}{n}", seed=10 * i + n) for n in range(2)] for i in range(4)]


def test_compacted_parts_go_commit_first_and_the_store_says_the_same(store_url: str) -> None:
    store = make_store(store_url, *SMALL)
    old, digest = [manifest.part for manifest in store.manifests], store.digest()
    compact(store_url)
    assert collect_garbage(store_url) == [], "whoever opened it before the index was made still reads them"
    found = collect_garbage(store_url, grace_hours=0.0)
    assert {one.key for one in found} == {f"parts/{part}" for part in old}
    assert {one.kind for one in found} == {"superseded"}
    root = open_backend(store_url)
    (commit,) = root.list_dir("commits")
    assert {key.split("/")[1] for key in root.list_all("parts")} == {commit[11:43]}
    again = open_store(store_url)
    assert again.digest() == digest
    assert again.verify() > 0
    assert Ledger(store_url).done() == set(store)
    assert collect_garbage(store_url, grace_hours=0.0) == []
    with pytest.raises(StoreCorrupt, match="open it again"):
        store.graph("p00")


def test_the_store_says_the_same_without_its_index_after_gc(tmp_path: Path) -> None:
    digest = make_store(str(tmp_path), *SMALL).digest()
    compact(str(tmp_path))
    collect_garbage(str(tmp_path), grace_hours=0.0)
    open_backend(str(tmp_path)).remove_folder("index")
    assert open_store(str(tmp_path)).digest() == digest


def test_a_superseded_commit_stays_where_a_later_one_would_hide_its_graph(tmp_path: Path) -> None:
    """Of readers that know no index; the compacted part has a number after both."""
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    first = random_graph("p", seed=1)
    make_store(here, [first], [random_graph("q", seed=3)])
    large = [random_graph("p", seed=2), *(random_graph(f"r{n}", seed=10 + n) for n in range(4))]
    Ledger(here).commit(write_part(here, large))
    digest = open_store(here).digest()
    compact(here, part_prompts=4)
    copy_store(here, there)
    assert [one.kind for one in collect_garbage(here, grace_hours=0.0)] == ["superseded"]
    for url in (here, there):
        assert [int(name[:10]) for name in open_backend(url).list_dir("commits")] == [1, 3, 4]
        assert open_store(url).digest() == digest
        open_backend(url).remove_folder("index")
        assert open_store(url).digest() == digest


def test_older_indexes_go_once_a_newer_one_is_old_enough(store_url: str) -> None:
    make_store(store_url, *SMALL[:2])
    ledger, root = Ledger(store_url), open_backend(store_url)
    for graphs in SMALL[2:]:
        compact(store_url)
        ledger.commit(write_part(store_url, graphs))
    compact(store_url)
    names = root.list_dir("index")
    lost = "d" * 32
    root.put_many({f"index/{lost}/zarr.json": b"{}"})  # a compaction that did not end
    assert sum(name.endswith(".json") for name in names) == 3
    collect_garbage(store_url, grace_hours=0.0)
    left = {key.split("/")[1] for key in root.list_all("index")}
    assert {name for name in left if name.endswith(".json")} == {"0000000003.json"}
    assert len(left) == 2
    assert lost not in left
    store = open_store(store_url)
    assert list(store) == [graph.prompt_id for graphs in SMALL for graph in graphs]
    assert store.verify() > 0
    assert store.index is not None


def test_a_settled_index_frees_what_it_superseded_although_a_newer_one_is_young(tmp_path: Path) -> None:
    """Or a store that is compacted every day would never lose anything."""
    store = make_store(str(tmp_path), *SMALL[:2])
    old = {f"parts/{manifest.part}" for manifest in store.manifests}
    compact(str(tmp_path))
    age(tmp_path, 25.0)
    Ledger(str(tmp_path)).commit(write_part(str(tmp_path), SMALL[2]))
    compact(str(tmp_path))
    assert {one.key for one in collect_garbage(str(tmp_path))} == old
    assert open_store(str(tmp_path)).verify() > 0


@pytest.mark.parametrize("damage", ["missing", "short", "no commit"])
def test_nothing_compacted_goes_while_the_larger_part_is_not_whole(tmp_path: Path, damage: str) -> None:
    store = make_store(str(tmp_path), *SMALL)
    compact(str(tmp_path))
    (large,) = open_store(str(tmp_path)).catalogue.commits
    chunk = tmp_path / "parts" / large.part / "edges/weight/c/0"
    if damage == "missing":
        chunk.unlink()
    elif damage == "short":
        chunk.write_bytes(chunk.read_bytes()[:-1])
    else:
        (tmp_path / "commits" / large.name).unlink()
    with pytest.raises(StoreCorrupt, match="nothing was removed"):
        collect_garbage(str(tmp_path), grace_hours=0.0)
    assert store.verify() > 0


def test_a_part_that_another_commit_names_too_stays(tmp_path: Path) -> None:
    """Two drivers may have committed one part under two numbers; the second commit holds nothing, and is superseded."""
    (manifest,) = make_store(str(tmp_path), SMALL[0]).manifests
    root = open_backend(str(tmp_path))
    root.put_if_absent(
        f"commits/0000000002-{manifest.part}.json", root.read(f"commits/0000000001-{manifest.part}.json") or b""
    )
    compact(str(tmp_path))
    collect_garbage(str(tmp_path), grace_hours=0.0)
    assert root.list_dir("commits") == [f"0000000001-{manifest.part}.json"]
    assert open_store(str(tmp_path)).verify() == manifest.num_bytes


def test_a_crash_between_a_commit_and_its_part_leaves_an_orphan_that_goes_next(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), *SMALL)
    compact(str(tmp_path))
    (tmp_path / "commits" / store.catalogue.commits[0].name).unlink()
    found = collect_garbage(str(tmp_path), grace_hours=0.0)
    assert sorted(one.kind for one in found) == ["part", "superseded", "superseded", "superseded"]
    assert open_store(str(tmp_path)).digest() == make_store(f"{tmp_path}/clean", *SMALL).digest()


@pytest.mark.slow
@pytest.mark.thorough  # faults/test_fault_points.py kills at chosen moments
def test_gc_of_a_compacted_store_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    parts = [[random_graph(f"p{i:02}", seed=i)] for i in range(40)]
    url = str(tmp_path)
    store = make_store(url, *parts)
    compact(url)
    root, left = open_backend(url), 41

    def has_begun() -> bool:
        nonlocal left
        before, left = left, len(root.list_dir("commits"))
        return left < before

    def check() -> None:
        again = open_store(url)
        assert again.digest() == store_digest
        assert again.verify() > 0

    store_digest = store.digest()
    kill_until_done(["gc", url, "--grace-hours", "0"], has_begun, check, longest_wait=0.01, most=2)
    assert len(root.list_dir("parts")) == len(root.list_dir("commits")) == 1


class Moments(LocalBackend):
    """A local store in which something happens right before or after a call, as if this process had been suspended."""

    def __init__(self, url: str, **happens: Callable[[], object]) -> None:
        super().__init__(url)
        self._happens = happens

    def put_if_absent(self, key: str, data: bytes) -> bytes:
        self._happens.pop("before_commit", nothing)()
        there = super().put_if_absent(key, data)
        self._happens.pop("after_commit", nothing)()
        return there

    def remove_folder(self, folder: str) -> None:
        self._happens.pop("before_removal", nothing)()
        super().remove_folder(folder)

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        self._happens.pop("after_notice", nothing)()


def nothing() -> None:
    pass


def late_commit(root: Backend, manifest: PartManifest) -> None:
    commit_part(root, f"0000000009-{manifest.part}.json", manifest.to_json("now"), manifest)


def test_a_part_that_gc_removed_while_its_writer_was_suspended_cannot_be_committed(store_url: str) -> None:
    store = make_store(store_url, [random_graph("a")])
    late = write_part(store_url, [random_graph("b", seed=1)])
    assert [one.key for one in collect_garbage(store_url, grace_hours=0.0)] == [f"parts/{late.part}"]
    with pytest.raises(StoreError, match=f"parts/{late.part} was written and must not count.*was this process susp"):
        Ledger(store_url).commit(late)
    assert not verify(open_backend(store_url)).damages
    assert open_store(store_url).digest() == store.digest()


def test_half_a_part_cannot_be_committed(store_url: str) -> None:
    make_store(store_url, [random_graph("a")])
    late = write_part(store_url, [random_graph("b", seed=1)])
    open_backend(store_url).remove(f"parts/{late.part}/edges/weight/c/0")
    with pytest.raises(StoreError, match=f"1 of its {len(late.objects)} objects are not there"):
        Ledger(store_url).commit(late)
    assert list(open_store(store_url)) == ["a"]


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
def test_a_part_removed_right_before_or_after_its_commit_does_not_count(tmp_path: Path, moment: str) -> None:
    """By a program that does not say what it is about to do."""
    url = str(tmp_path)
    make_store(url, [random_graph("a")])
    late = write_part(url, [random_graph("b", seed=1)])
    root = Moments(url, **{moment: lambda: open_backend(url).remove_folder(f"parts/{late.part}")})
    with pytest.raises(StoreError, match="was this process suspended"):
        late_commit(root, late)
    assert list(open_store(url)) == ["a"]
    assert not verify(open_backend(url)).damages


@pytest.mark.parametrize("moment", ["after_notice", "before_removal"])
def test_a_commit_while_gc_is_about_to_remove_its_part_is_refused_or_gc_leaves_it(tmp_path: Path, moment: str) -> None:
    """Either is told by the other, whichever of the two was suspended when."""
    url, told = str(tmp_path), []
    make_store(url, [random_graph("a")])
    late = write_part(url, [random_graph("b", seed=1)])

    def commit_now() -> None:
        try:
            late_commit(open_backend(url), late)
        except StoreError as error:
            told.append(str(error))

    root = Moments(url, **{moment: commit_now})
    (found,) = find_garbage(root, time.time() + 3600)
    assert remove_garbage(root, found, time.time() + 3600)
    assert "it is being removed" in told[0]
    assert list(open_store(url)) == ["a"]
    assert not verify(open_backend(url)).damages
    assert collect_garbage(url, grace_hours=0.0) == []


def test_a_commit_made_before_gc_gives_notice_keeps_its_part(tmp_path: Path) -> None:
    url = str(tmp_path)
    make_store(url, [random_graph("a")])
    late = write_part(url, [random_graph("b", seed=1)])
    (found,) = find_garbage(open_backend(url), time.time() + 3600)
    Ledger(url).commit(late)
    assert not remove_garbage(open_backend(url), found, time.time() + 3600)
    assert not (tmp_path / "parts" / late.part / REMOVAL).exists()
    assert whole(url, [random_graph("a"), random_graph("b", seed=1)]) == 2


def test_a_part_whose_removal_was_killed_after_the_notice_is_removed_however_young(store_url: str) -> None:
    make_store(store_url, [random_graph("a")])
    late = write_part(store_url, [random_graph("b", seed=1)])
    open_backend(store_url).put(f"parts/{late.part}/{REMOVAL}", b"")
    with pytest.raises(StoreError, match="it is being removed"):
        Ledger(store_url).commit(late)
    assert [one.key for one in collect_garbage(store_url)] == [f"parts/{late.part}"]


def test_an_index_that_gc_removed_while_its_writer_was_suspended_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(tmp_path)
    digest = make_store(url, *SMALL).digest()
    upload = LocalBackend.put_many

    def uploaded_and_suspended(self: LocalBackend, objects: Mapping[str, bytes]) -> None:
        upload(self, objects)
        if next(iter(objects)).startswith("index/"):
            collect_garbage(url, grace_hours=0.0)

    monkeypatch.setattr(LocalBackend, "put_many", uploaded_and_suspended)
    with pytest.raises(StoreError, match="was this process suspended"):
        compact(url)
    monkeypatch.undo()
    assert not verify(open_backend(url)).damages
    compact(url)
    assert open_store(url).digest() == digest


def test_a_copy_whose_part_was_removed_in_the_target_meanwhile_says_so_and_goes_on(
    store_url: str, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(store_url, [random_graph("a")])

    def removed_meanwhile(root: Backend, *given: Any) -> None:
        collect_garbage(other_url, grace_hours=0.0)
        commit_part(root, *given)

    monkeypatch.setattr("distributed_tracer.store.maintenance.copy_parts.commit_part", removed_meanwhile)
    with pytest.raises(StoreError, match="was this process suspended"):
        copy_store(store_url, other_url)
    assert list(open_store(other_url)) == []
    monkeypatch.undo()
    copy_store(store_url, other_url)
    assert open_store(other_url).digest() == store.digest()


def test_ages_are_told_by_the_clock_of_the_store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(store_url, [random_graph("a")])
    late = write_part(store_url, [random_graph("lost")])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600 * 48)
    assert collect_garbage(store_url) == [], "this machine's clock is two days ahead"
    monkeypatch.setattr(time, "time", lambda: now - 3600 * 48)
    assert [one.key for one in collect_garbage(store_url, grace_hours=0.0)] == [f"parts/{late.part}"]
    assert not [name for name in open_backend(store_url).list_dir("") if name.startswith(".")]


def test_who_may_only_read_sees_what_would_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    part = orphan(tmp_path, 25.0)

    def refused(self: Path, *given: Any, **how: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    assert [one.key for one in collect_garbage(str(tmp_path), dry_run=True)] == [f"parts/{part}"]
    with pytest.raises(StoreError, match="Permission denied"):
        collect_garbage(str(tmp_path))
