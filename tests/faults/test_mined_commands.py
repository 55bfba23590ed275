"""Commands of mining are killed in each of their phases; the same command makes the same bytes and repeats no task."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from killed_tasks import content, disk_free, killing
from killing import ROOT, kill_until_done
from mined_commands import COMMANDS, SMALL, make_inputs, store_in
from small_disks import mounted_disk

from distributed_tracer.config import RunConfig
from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.mine import atlas
from distributed_tracer.mine.result import Result
from distributed_tracer.mine.virtual_weights import mine_weights
from distributed_tracer.runtime.task_runner import task_runner
from distributed_tracer.tasks.phases import perform_here
from distributed_tracer.tasks.task import Done, TaskCall

TWO = RunConfig(workers=2, progress=False)
NAMES = list(COMMANDS)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("commands")
    make_inputs(place)
    return place


@pytest.fixture(scope="module")
def undisturbed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of each command's result, made in one go, with tasks of the usual sizes."""
    place = tmp_path_factory.mktemp("undisturbed")
    return {name: content(command.mine(inputs, place / name, perform_here)) for name, command in COMMANDS.items()}


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, size in SMALL:
        monkeypatch.setattr(module, name, size)


class Noticing:
    """Does tasks in this process, and keeps the folders of those that it was given."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    def __call__(self, calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        self.folders += [call.folder for call in calls]
        return perform_here(calls)

    def phases(self) -> list[str]:
        return list(dict.fromkeys(folder.partition("/")[0] for folder in self.folders))


@pytest.mark.parametrize("name", NAMES)
def test_small_tasks_make_the_same_bytes_in_the_phases_that_are_killed_below(
    name: str, inputs: Path, undisturbed: dict[str, dict[str, bytes]], tmp_path: Path, small_tasks: None
) -> None:
    run = Noticing()
    result = COMMANDS[name].mine(inputs, tmp_path / "r", run)
    assert content(result) == undisturbed[name]
    assert run.phases() == list(COMMANDS[name].phases)
    assert name == "chains" or len(run.folders) >= len(run.phases()) + 2


@pytest.mark.parametrize(
    ("name", "phase"), [(name, phase) for name, command in COMMANDS.items() for phase in command.phases]
)
def test_a_process_that_is_killed_in_any_phase_is_continued_and_no_finished_task_is_repeated(
    name: str,
    phase: str,
    inputs: Path,
    undisturbed: dict[str, dict[str, bytes]],
    tmp_path: Path,
    small_tasks: None,
) -> None:
    out = tmp_path / "r"
    command = [sys.executable, "-m", "mined_commands", name, phase, str(inputs), str(out)]
    folders = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    killed = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": folders}, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    work = out / "work" / "phases"
    finished = {f"{path.parent.parent.name}/{path.parent.name}" for path in work.glob("*/*/task.json")}
    before = COMMANDS[name].phases[: COMMANDS[name].phases.index(phase)]
    assert {folder.partition("/")[0] for folder in finished} >= set(before)
    again = Noticing()
    result = COMMANDS[name].mine(inputs, out, again)
    assert not finished & set(again.folders)
    assert again.phases() == list(COMMANDS[name].phases[len(before) :])
    assert content(result) == undisturbed[name]
    assert sorted(path.name for path in out.iterdir()) == ["provenance.json", "tables"]


@pytest.mark.parametrize("name", NAMES)
def test_workers_that_are_killed_in_every_phase_change_nothing(
    name: str,
    inputs: Path,
    undisturbed: dict[str, dict[str, bytes]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with task_runner(TWO) as execute:
        for phase in COMMANDS[name].phases:
            execute = killing(execute, phase, tmp_path)
        assert content(COMMANDS[name].mine(inputs, tmp_path / "r", execute)) == undisturbed[name]
    for phase in COMMANDS[name].phases:
        assert f"SIGKILL at a task of the phase {phase}, which is done again" in caplog.text


@pytest.mark.parametrize(
    ("name", "phase", "options"),
    [
        ("weights", "candidates", "--min-positions 2"),
        ("roles", "observed", "--resolutions 1,4 --neighbours 4 --min-clusters 2 --bootstraps 2 --shuffles 2"),
    ],
)
def test_a_driver_that_is_killed_again_and_again_makes_the_same_bytes(
    name: str, phase: str, options: str, inputs: Path, undisturbed: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "r"
    command = ["mine", name, str(inputs / "store"), "--out", str(out), "--cluster", "topic"]
    command += [*options.split(), "--workers", "2"]

    def has_begun() -> bool:
        return any(out.glob(f"work/phases/{phase}/*/task.json"))

    def check() -> None:
        if (out / "provenance.json").exists():
            assert content(Result(out, atlas.open_result(out).info)) == undisturbed[name]

    kill_until_done(command, has_begun, check, longest_wait=0.3, most=2)
    assert not (out / "work").exists()


def test_tasks_of_other_options_and_of_other_prompts_do_not_count(
    inputs: Path, undisturbed: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """An unfinished result is not refused: what other settings have left there is not taken."""

    def stopped(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        if calls[0].folder.startswith("values/"):
            raise KeyboardInterrupt
        return perform_here(calls)

    for options in ({"candidates": 3}, {"where": "set=a"}):
        with pytest.raises(KeyboardInterrupt):
            mine_weights(store_in(inputs), tmp_path / "r", min_positions=2, cluster="topic", run=stopped, **options)
        assert list((tmp_path / "r").rglob("task.json"))
    run = Noticing()
    assert content(COMMANDS["weights"].mine(inputs, tmp_path / "r", run)) == undisturbed["weights"]
    assert run.phases() == list(COMMANDS["weights"].phases)


def test_an_atlas_that_changes_under_its_chains_is_an_error(inputs: Path, tmp_path: Path) -> None:
    def changing(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        for call in calls:
            atlas.mine_atlas(store_in(inputs), tmp_path / "other", where="set=a")
            call.given["atlas"] = str(tmp_path / "other")  # type: ignore[index]
            yield from perform_here([call])

    with pytest.raises(ConfigError, match="has changed since the command began: run it again"):
        COMMANDS["chains"].mine(inputs, tmp_path / "r", changing)


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_becomes_full_is_a_clear_error_and_then_the_command_goes_on(
    name: str, inputs: Path, undisturbed: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """The disk has room for a little more at each try."""
    said, room = list[str](), 0
    with mounted_disk(tmp_path / "disk", 8) as disk:
        while room < 8_000_000:
            (disk / "ballast").write_bytes(b"")
            (disk / "ballast").write_bytes(bytes(max(0, disk_free(disk) - room)))
            try:
                result = COMMANDS[name].mine(inputs, disk / "r", perform_here)
                break
            except ResultError as error:
                said.append(str(error))
            room = max(40_000, room * 5 // 4)
        assert content(result) == undisturbed[name]
    assert said
    form = r"the disk of .*/r is full: [\d,]+ bytes of temporary files and the tables must fit there, and [\d,]+ bytes "
    assert all(re.match(form + "are free; make room, and run the same command again", one) for one in said), said
