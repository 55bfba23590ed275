"""Phases do each task once, whatever an earlier run left, and notice what is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_tracer.errors import ConfigError, TracerError
from distributed_tracer.tasks.phases import Phases, perform_here
from distributed_tracer.tasks.task import TOKEN, Done, Place, Task, TaskCall, portable, quick_digest


def double(place: Place, number: int) -> int:
    (place.out / "number").write_text(str(2 * number))
    (place.out / "more").mkdir()
    (place.out / "more" / "text").write_text("text")
    return 2 * number


def add(place: Place, folders: list[str]) -> int:
    return sum(int((place.work / folder / "number").read_text()) for folder in folders)


def fail(place: Place, number: int) -> None:
    (place.out / "number").write_text("half")
    raise ConfigError(f"{number} is wrong")


class Recording:
    """An executor that remembers what it did."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        for call in reversed(calls):  # any order
            self.names.append(call.task.name.rpartition(":")[2])
            yield from perform_here([call])


def doubled(work: Path, numbers: Sequence[int] = (1, 2, 3), context: Any = 0) -> tuple[list[Any], list[str], Phases]:
    record = Recording()
    phases = Phases(work, {"settings": context}, record)
    found = phases.run("double", [Task(double, {"number": number}) for number in numbers])
    return [one.value for one in found], record.names, phases


def test_results_come_in_the_order_of_tasks_and_finished_tasks_are_not_done_again(tmp_path: Path) -> None:
    assert doubled(tmp_path)[:2] == ([2, 4, 6], ["double"] * 3)
    assert doubled(tmp_path)[:2] == ([2, 4, 6], [])
    assert doubled(tmp_path, [3, 4, 1])[:2] == ([6, 8, 2], ["double"])
    assert len(list((tmp_path / "double").iterdir())) == 3, "the task of another argument is removed"
    assert doubled(tmp_path, [3, 4, 1], context=1)[1] == ["double"] * 3


@pytest.mark.parametrize("name", ["number", "more/text", "task.json"])
@pytest.mark.parametrize("change", ["flip", "shorten", "remove"])
def test_a_damaged_task_is_done_again(name: str, change: str, tmp_path: Path) -> None:
    doubled(tmp_path)
    path = next((tmp_path / "double").glob(f"*/{name}"))
    data = path.read_bytes()
    if change == "remove":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + b"X" if change == "flip" else data[:-1])
    assert doubled(tmp_path)[:2] == ([2, 4, 6], ["double"])
    assert doubled(tmp_path)[1] == []


def test_the_quick_digest_notices_sectors_that_are_lost_exchanged_or_older(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(3 << 20)
    sector = 512

    def digest(content: bytes) -> str:
        (tmp_path / "file").write_bytes(content)
        return quick_digest(tmp_path / "file")

    whole = digest(data)
    for place in (0, 1 << 20, len(data) - sector):
        before, own, after = data[:place], data[place : place + sector], data[place + sector :]
        assert digest(before + bytes(sector) + after) != whole
        assert digest(before + own[:-1] + bytes([own[-1] ^ 1]) + after) != whole
    assert digest(data[sector : 2 * sector] + data[:sector] + data[2 * sector :]) != whole
    assert digest(data) == whole
    assert len({digest(data[:size]) for size in (0, 1, 511, 512, 513, 1 << 20)}) == 6


def test_a_task_that_fails_leaves_nothing_and_those_before_it_count(tmp_path: Path) -> None:
    tasks = [Task(double, {"number": 1}), Task(fail, {"number": 2})]
    with pytest.raises(ConfigError, match="2 is wrong"):
        Phases(tmp_path, {}).run("some", tasks)
    assert [path.read_text() for path in tmp_path.rglob("number")] == ["2"]
    record = Recording()
    Phases(tmp_path, {}, record).run("some", tasks[:1])
    assert record.names == []


def test_what_a_killed_task_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "double" / ".0123.4567.tmp").mkdir(parents=True)
    (tmp_path / "double" / ".0123.4567.tmp" / "number").write_text("half")
    assert doubled(tmp_path)[0] == [2, 4, 6]
    assert {path.read_text() for path in tmp_path.rglob("number")} == {"2", "4", "6"}


def test_two_processes_may_do_one_task(tmp_path: Path) -> None:
    class Twice(Recording):
        def __call__(self, calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
            for call in calls:
                yield call, call.perform()
                assert call.perform().value == 2

    assert Phases(tmp_path, {}, Twice()).run("double", [Task(double, {"number": 1})])[0].value == 2
    assert len(list((tmp_path / "double").iterdir())) == 1


def summed(work: Path, numbers: Sequence[int] = (1, 2)) -> tuple[int, list[str]]:
    """Double, add, release the first phase, and double the sum."""
    _, _, phases = doubled(work, numbers)
    record = Recording()
    phases._execute = record
    found = phases.run("double", [Task(double, {"number": number}) for number in numbers])
    (total,) = phases.run("add", [Task(add, {"folders": [one.folder for one in found]})])
    phases.release("double")
    return total.value, record.names


def test_released_files_are_gone_and_their_tasks_still_count(tmp_path: Path) -> None:
    assert summed(tmp_path) == (6, ["add"])
    assert [*tmp_path.rglob("number"), *tmp_path.rglob("text")] == []
    assert summed(tmp_path) == (6, [])


def test_released_files_are_made_again_if_they_are_needed_after_all(tmp_path: Path) -> None:
    summed(tmp_path)
    next((tmp_path / "add").glob("*/task.json")).unlink()
    assert summed(tmp_path) == (6, ["double", "double", "add"])
    assert summed(tmp_path, [1, 2, 4]) == (14, ["add"])


def test_a_process_that_does_not_see_the_work_folder_says_so(tmp_path: Path) -> None:
    def elsewhere(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        (tmp_path / TOKEN).write_text("of another machine")
        yield from perform_here(calls)

    with pytest.raises(ConfigError, match=f"does not see the folder {tmp_path}: .*--out on a file system that they"):
        Phases(tmp_path, {}, elsewhere).run("double", [Task(double, {"number": 1})])


def test_an_error_that_cannot_be_sent_keeps_its_name_and_place() -> None:
    class Own(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one + two)

    try:
        raise Own(1, 2)
    except Own as error:
        found = portable(error)
    assert isinstance(found, TracerError)
    assert str(found) == "Own: 3"
    assert "raise Own(1, 2)" in found.__notes__[0]
    assert portable(OSError(28, "full")).errno == 28  # type: ignore[attr-defined]
