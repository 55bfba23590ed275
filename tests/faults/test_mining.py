"""Workers and drivers of mining are killed for real, and disks become full; the same command makes the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from killed_tasks import content, disk_free, killing
from killing import finish, kill_until_done
from random_graphs import random_graph
from random_stores import make_store
from small_disks import mounted_disk

from distributed_tracer.config import RunConfig
from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.mine import atlas
from distributed_tracer.mine.atlas import mine_atlas
from distributed_tracer.mine.result import Result
from distributed_tracer.runtime.task_runner import task_runner
from distributed_tracer.store.reader import Store
from distributed_tracer.tasks.task import Done, TaskCall

PHASES = ["piece_sites", "sites", "active", "spill", "blocks"]
TWO = RunConfig(workers=2, progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    graphs = [random_graph(f"p{number}", seed=number, num_active=40, num_positions=4) for number in range(6)]
    return make_store(str(tmp_path_factory.mktemp("mining") / "store"), graphs[:2], graphs[2:4], graphs[4:])


@pytest.fixture(scope="module")
def expected(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return content(mine_atlas(store, tmp_path_factory.mktemp("mining") / "result"))


@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_that_is_killed_in_any_phase_changes_nothing(
    phase: str, store: Store, expected: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with task_runner(TWO) as execute:
        result = mine_atlas(store, tmp_path / "r", run=killing(execute, phase, tmp_path))
    assert content(result) == expected
    assert f"SIGKILL at a task of the phase {phase}, which is done again" in caplog.text
    assert sorted(path.name for path in result.path.iterdir()) == ["provenance.json", "tables"]


def test_a_worker_that_is_killed_while_prompts_are_added_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas, "FOLD_SHARE", 10.0)
    graphs = [random_graph(f"p{number}", seed=number, num_active=40, num_positions=4) for number in range(4)]
    url = str(tmp_path / "store")
    for own in (graphs[:3], graphs[3:]):
        store = make_store(url, own)  # which the second time grows
        here = mine_atlas(store, tmp_path / "here")
        with task_runner(TWO) as execute:
            result = mine_atlas(store, tmp_path / "r", run=killing(execute, "blocks", tmp_path))
        (tmp_path / "blocks").unlink()
    assert content(result) == content(here)
    assert len(result.info["atlas"]["added"]) == 1
    assert result.info["files"] == here.info["files"]


@pytest.mark.ray
def test_workers_on_ray_that_are_killed_change_nothing(
    ray_cluster: None, store: Store, expected: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        execute = stack.enter_context(task_runner(replace(TWO, ray_address="auto")))
        for phase in ("spill", "blocks"):
            execute = killing(execute, phase, tmp_path)
        assert content(mine_atlas(store, tmp_path / "r", run=execute)) == expected
    for phase in ("spill", "blocks"):
        assert f"at a task of the phase {phase}, which is done again" in caplog.text


@pytest.mark.ray
def test_machines_of_a_cluster_that_do_not_share_the_folder_are_noticed_before_the_work(
    ray_cluster: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unshared(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        with task_runner(replace(TWO, ray_address="auto")) as execute:
            yield from execute([replace(call, token="of another folder") for call in calls])

    with pytest.raises(ConfigError, match=r"does not see the folder .*/r/work/phases: all machines"):
        mine_atlas(store, tmp_path / "r", run=unshared)
    assert list((tmp_path / "r").rglob("task.json")) == []


@pytest.mark.ray
def test_a_cluster_without_a_free_cpu_is_an_error_in_time(ray_cluster: None, store: Store, tmp_path: Path) -> None:
    class Holding:
        def holds(self) -> bool:
            return True

    holding = ray.remote(num_cpus=2)(Holding).remote()
    assert ray.get(holding.holds.remote())
    run = replace(TWO, ray_address="auto", placement_seconds=0.5)
    with (
        task_runner(run) as execute,
        pytest.raises(ConfigError, match=r"no CPU of the cluster was free within 0\.5 seconds; free: 0 of 2 CPUs"),
    ):
        mine_atlas(store, tmp_path / "r", run=execute)
    ray.kill(holding)


def test_a_driver_that_is_killed_again_and_again_makes_the_same_bytes(
    store: Store, expected: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "r"
    command = ["mine", "atlas", store.url, "--out", str(folder), "--workers", "2"]

    def has_begun() -> bool:
        return any(folder.glob("work/phases/spill/*/task.json"))

    def check() -> None:
        if (folder / "provenance.json").exists():
            assert content(Result(folder, atlas.open_result(folder).info)) == expected

    kill_until_done(command, has_begun, check, longest_wait=0.3, most=3)
    assert (folder / "provenance.json").exists()
    assert not (folder / "work").exists()
    finish(*command)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_becomes_full_in_any_phase_is_a_clear_error_and_then_the_command_goes_on(
    workers: int, store: Store, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """The disk has room for a little more at each try, so that it becomes full in one phase after another."""
    begun, full, said, room = list[str](), set[str](), set[str](), 0
    with mounted_disk(tmp_path / "disk", 4) as disk, task_runner(replace(TWO, workers=workers)) as execute:

        def noticing(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
            begun.append(calls[0].folder.partition("/")[0])
            return execute(calls)

        while room < 4_000_000:
            (disk / "ballast").write_bytes(b"")
            (disk / "ballast").write_bytes(bytes(max(0, disk_free(disk) - room)))
            try:
                result = mine_atlas(store, disk / "r", run=noticing)
                break
            except ResultError as error:
                full.add(begun[-1] if begun else "")
                said.add(str(error))
            room += 20_000
        assert content(result) == expected
    assert len(full & set(PHASES)) >= 3, full
    form = (
        r"the disk of .*/r is full: [\d,]+ bytes of temporary files and the tables must fit there, and [\d,]+ bytes "
        "are free; make room, and run the same command again"
    )
    assert all(re.match(form, one) for one in said), said
