"""Parts that are damaged or gone between their upload and their commit: their prompts alone are concerned."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import LOCAL, job, plain_rows
from random_graphs import random_graph
from random_stores import make_store, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.config import JobConfig, RunConfig
from distributed_tracer.errors import CommitRefused, StoreError, StoreNotFound
from distributed_tracer.job.summary import MAX_REFUSALS_IN_A_ROW, Summary
from distributed_tracer.pipeline import run_job
from distributed_tracer.report.status import status_of
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.commits import REMOVAL
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import open_store

ON_RAY = RunConfig(workers=2, threads=1, progress=False)


def removed(part: Path) -> None:
    shutil.rmtree(part)


def cut_off(part: Path) -> None:
    chunk = part / "edges" / "weight" / "c" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])


def one_object_gone(part: Path) -> None:
    (part / "zarr.json").unlink()


def about_to_be_removed(part: Path) -> None:
    (part / REMOVAL).touch()


DAMAGES: Sequence[Callable[[Path], None]] = (removed, cut_off, one_object_gone, about_to_be_removed)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path, int], None]], None]:
    """Have something happen to each part, by its folder and number from 0, right before it is to be committed."""
    count = 0
    plain = Ledger.commit

    def use(happen: Callable[[Path, int], None]) -> None:
        def commit(self: Ledger, *manifests: PartManifest) -> list[str]:
            nonlocal count
            for manifest in manifests:
                happen(Path(self._root.url) / "parts" / manifest.part, count)
                count += 1
            return plain(self, *manifests)

        monkeypatch.setattr(Ledger, "commit", commit)

    return use


def reference(tmp_path: Path, count: int) -> str:
    """The digest of a run that nothing happens to."""
    undisturbed = job(tmp_path, plain_rows(count), store="undisturbed")
    run_job(undisturbed)
    return open_store(undisturbed.store.store).digest()


def check_all_done(config: JobConfig, summary: Summary, digest: str) -> None:
    assert (summary.num_failed, summary.num_left, summary.exit_code) == (0, 0, 0)
    assert open_store(config.store.store).digest() == digest
    assert not verify(open_backend(config.store.store)).damages


@pytest.mark.parametrize(("damage", "overlap"), [*((damage, False) for damage in DAMAGES), (removed, True)])
def test_a_part_damaged_or_gone_before_its_commit_is_traced_again(
    damage: Callable[[Path], None],
    overlap: bool,
    tmp_path: Path,
    between: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("distributed_tracer.runtime.worker.overlap_helps", lambda *about: overlap)
    digest, config = reference(tmp_path, 5), job(tmp_path, plain_rows(5), part_prompts=2)
    between(lambda part, number: damage(part) if number == 1 else None)
    summary = run_job(config)
    check_all_done(config, summary, digest)
    assert (summary.num_done, summary.num_retried) == (5, 2)
    assert "The 2 prompts in it are not done" in caplog.text


@pytest.mark.ray
@pytest.mark.slow
def test_parts_of_ray_workers_damaged_or_gone_before_their_commit_are_traced_again(
    tmp_path: Path, between: Any, ray_cluster: object
) -> None:
    run = replace(ON_RAY, attempts=len(DAMAGES) + 1)  # one worker may make all refused parts, of the same prompts
    digest, config = reference(tmp_path, 9), job(tmp_path, plain_rows(9), run, part_prompts=2)
    between(lambda part, number: DAMAGES[number](part) if number < len(DAMAGES) else None)
    summary = run_job(config)
    check_all_done(config, summary, digest)
    assert (summary.num_done, summary.num_retried) == (9, 8)


def test_prompts_whose_parts_are_refused_again_and_again_fail_with_the_reason_and_the_rest_is_done(
    tmp_path: Path, between: Any
) -> None:
    """A folder that somebody removes as soon as a certain prompt is in it."""
    config = job(tmp_path, plain_rows(4), replace(LOCAL, attempts=3), part_prompts=1)
    unlucky = None

    def happen(part: Path, number: int) -> None:
        nonlocal unlucky
        ids = (part / "prompts" / "id" / "c" / "0").read_bytes()
        unlucky = ids if number == 0 else unlucky
        if ids == unlucky:
            cut_off(part)

    between(happen)
    summary = run_job(config)
    assert (summary.num_done, summary.num_failed, summary.num_retried, summary.exit_code) == (3, 1, 2, 3)
    (failed,) = status_of(config.store.store)["failed"]
    assert (failed["phase"], failed["attempts"]) == ("store", 3)
    assert "3 parts that its graph was in were refused" in failed["reason"]
    assert "edges/weight/c/0" in failed["reason"]


def test_a_store_that_refuses_part_after_part_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path, between: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = reference(tmp_path, 6)
    config = job(tmp_path, plain_rows(6), replace(LOCAL, attempts=5), part_prompts=1)
    seen = []

    def happen(part: Path, number: int) -> None:
        seen.append(number)
        if number > 1:
            removed(part)

    with monkeypatch.context():
        between(happen)
        with pytest.raises(StoreError, match=f"{MAX_REFUSALS_IN_A_ROW} parts in a row were refused.*the same command"):
            run_job(config)
    assert len(seen) == 2 + MAX_REFUSALS_IN_A_ROW
    assert len(open_store(config.store.store)) == 2
    end = status_of(config.store.store)["run"]["end"]
    assert (end["how"], "parts in a row" in end["reason"]) == ("failed", True)
    monkeypatch.undo()
    check_all_done(config, run_job(config), digest)


def test_a_store_that_is_gone_ends_the_run_at_the_first_commit_after(tmp_path: Path, between: Any) -> None:
    config = job(tmp_path, plain_rows(4), part_prompts=1)
    store = Path(config.store.store)
    between(lambda part, number: store.rename(tmp_path / "elsewhere") if number == 1 else None)
    with pytest.raises(StoreNotFound, match=r"run\.json is gone"):
        run_job(config)
    assert not store.exists(), "nothing is made in its place"
    assert main(["status", str(store)]) == 1
    assert len(open_store(str(tmp_path / "elsewhere"))) == 1


def test_a_part_made_in_the_place_of_a_store_that_is_gone_does_not_count(tmp_path: Path, between: Any) -> None:
    """Workers make folders anew, so that the part itself is whole."""
    config = job(tmp_path, plain_rows(2), part_prompts=1)
    store = Path(config.store.store)
    between(lambda part, number: (store / "run.json").unlink() if number == 1 else None)
    with pytest.raises(StoreNotFound, match=r"run\.json is gone"):
        run_job(config)


def test_of_several_parts_committed_together_those_that_are_whole_count(tmp_path: Path) -> None:
    url = str(tmp_path)
    make_store(url, [random_graph("a")])
    manifests = [write_part(url, [random_graph(name)]) for name in "bcde"]
    for manifest in manifests[1:3]:
        removed(tmp_path / "parts" / manifest.part)
    with pytest.raises(CommitRefused, match="are not there as written") as caught:
        Ledger(url).commit(*manifests)
    assert list(caught.value.parts) == [manifest.part for manifest in manifests[1:3]]
    assert list(open_store(url)) == ["a", "b", "e"]
    assert not verify(open_backend(url)).damages
