"""Tasks in processes of their own: what they cost when they die, how errors arrive, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from distributed_tracer.config import RunConfig
from distributed_tracer.errors import ConfigError, WorkerLost
from distributed_tracer.runtime.task_runner import task_runner
from distributed_tracer.tasks.phases import Phases
from distributed_tracer.tasks.task import Place, Task

TWO = RunConfig(workers=2, progress=False)


def about_process(place: Place, number: int) -> list[Any]:
    print("this must not reach the standard output of the command")
    (place.out / "number").write_text(str(number))
    return [os.getpid(), os.environ["OMP_NUM_THREADS"], "torch" in sys.modules]


def die_until(place: Place, number: int, times: int) -> int:
    """Write a file, and kill this process, if it was not done so often before."""
    (place.out / "half").write_text("half")
    marks = Path(place.given["marks"])
    if len(list(marks.glob(f"{number}-*"))) < times:
        (marks / f"{number}-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(place: Place, number: int) -> None:
    raise OSError(28, "No space left on device") if number else ConfigError("the first is wrong")


def stumble(place: Place) -> None:
    {}["key"]


def wait_for(place: Place, number: int) -> int:
    """Say that the task has begun, and wait until a file says that it may end."""
    marks = Path(place.given["marks"])
    (marks / f"began-{number}").write_text(str(os.getpid()))
    while not (marks / "go").exists():
        time.sleep(0.01)
    return number


def values(run: RunConfig, folder: Path, function: Callable[..., Any], *arguments: dict[str, Any]) -> list[Any]:
    (folder / "marks").mkdir(exist_ok=True)
    with task_runner(run) as execute:
        phases = Phases(folder / "work", {}, execute, {"marks": str(folder / "marks")})
        return [one.value for one in phases.run("phase", [Task(function, one) for one in arguments])]


def test_tasks_run_in_processes_with_one_thread_which_end_with_the_runner(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = values(TWO, tmp_path, about_process, *({"number": number} for number in range(6)))
    pids = {pid for pid, _, _ in found}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {(threads, has_torch) for _, threads, has_torch in found} == {("1", False)}
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("run", [RunConfig(progress=False), RunConfig(workers=3, local=True, progress=False)])
def test_a_single_worker_is_this_process(run: RunConfig, tmp_path: Path) -> None:
    assert {pid for pid, _, _ in values(run, tmp_path, about_process, {"number": 0}, {"number": 1})} == {os.getpid()}


def test_a_process_that_is_killed_costs_its_task_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tasks = [{"number": number, "times": 2 * (number == 1)} for number in range(5)]
    assert values(TWO, tmp_path, die_until, *tasks) == [0, 1, 2, 3, 4]
    assert len(list((tmp_path / "marks").iterdir())) == 2
    assert len(caplog.messages) == 2
    assert "was killed by SIGKILL at a task of the phase phase, which is done again" in caplog.messages[0]
    assert list((tmp_path / "work").rglob("*/task.json")) != []


def test_a_task_that_kills_every_process_ends_the_run_and_the_others_are_kept(tmp_path: Path) -> None:
    tasks = [{"number": number, "times": 3 * (number == 2)} for number in range(3)]
    with pytest.raises(
        WorkerLost, match=r"3 processes died at the same task of the phase phase; the last: process \d+"
    ):
        values(TWO, tmp_path, die_until, *tasks)
    assert len(list((tmp_path / "work").rglob("task.json"))) == 2
    assert values(TWO, tmp_path, die_until, *tasks) == [0, 1, 2], "the same command goes on"


@pytest.mark.parametrize(("number", "kind"), [(0, ConfigError), (1, OSError)])
def test_the_error_of_a_task_keeps_its_type(number: int, kind: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(kind, match="the first is wrong" if not number else "No space left") as raised:
        values(TWO, tmp_path, refuse, {"number": number})
    assert getattr(raised.value, "errno", 28) == 28


def test_a_mistake_in_a_task_arrives_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="key") as raised:
        values(TWO, tmp_path, stumble, {})
    assert '{}["key"]' in raised.value.__notes__[0]


DRIVER = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_task_runner import TWO, values, wait_for
if __name__ == "__main__":
    print(values(TWO, Path(sys.argv[1]), wait_for, *({{"number": number}} for number in range(4))))
"""


@pytest.fixture
def begun(tmp_path: Path) -> subprocess.Popen[str]:
    """A driver whose two processes are at a task."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "marks").glob("began-*"))) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)
    return process


def pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in (folder / "marks").glob("began-*")]


def test_a_driver_that_is_killed_takes_its_processes_along(begun: subprocess.Popen[str], tmp_path: Path) -> None:
    begun.kill()
    begun.communicate()
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "marks" / "go").touch()
    assert values(TWO, tmp_path, wait_for, *({"number": number} for number in range(4))) == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_lets_the_tasks_under_way_finish(
    number: signal.Signals, begun: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.killpg(begun.pid, number)
    for pid in pids(tmp_path):
        os.kill(pid, number)  # as systemd and Slurm do
    assert begun.stderr is not None
    assert begun.stderr.readline().startswith("stopping: writing what is under way")
    (tmp_path / "marks" / "go").touch()
    printed, errors = begun.communicate(timeout=60)
    assert (printed, "KeyboardInterrupt" in errors) == ("", True)
    assert len(list((tmp_path / "work").rglob("task.json"))) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))
    assert values(TWO, tmp_path, wait_for, *({"number": number} for number in range(4))) == [0, 1, 2, 3]
