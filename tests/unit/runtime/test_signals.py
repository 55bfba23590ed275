"""Real signals to this process."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from distributed_tracer.cli.main import main
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.signals import ECHO_SECONDS, GracefulShutdown, NothingBegun

UNITS = [WorkUnit(Prompt(name)) for name in "abc"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_the_handing_out_of_work(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    with GracefulShutdown() as stopping:
        units = stopping.take_until_stopped(UNITS)
        assert next(units) is UNITS[0]
        os.kill(os.getpid(), number)
        assert list(units) == []
        assert stopping.requested
    assert "a second signal ends at once" in capfd.readouterr().err


def test_a_second_signal_from_the_keyboard_ends_at_once() -> None:
    with GracefulShutdown() as stopping:
        next(stopping.take_until_stopped(UNITS))
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_of_one_request_count_once_and_a_later_one_ends_at_once(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GracefulShutdown() as stopping:
        units = stopping.take_until_stopped(UNITS)
        next(units)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), number)  # as from `timeout` and Slurm, which send it to a process and to its group
        assert list(units) == []
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + ECHO_SECONDS)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_the_first_signal_ends_at_once_what_is_only_being_made_ready(capfd: pytest.CaptureFixture[str]) -> None:
    with GracefulShutdown() as stopping:
        units = stopping.take_until_stopped(UNITS)
        with pytest.raises(NothingBegun):
            os.kill(os.getpid(), signal.SIGTERM)
        assert (stopping.signal, list(units)) == ("SIGTERM", [])


def test_a_run_under_nohup_goes_on_when_its_terminal_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with GracefulShutdown() as stopping:
            os.kill(os.getpid(), signal.SIGHUP)
            assert list(stopping.take_until_stopped(UNITS)) == UNITS
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_takes_no_words_does_not_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(number: int, text: bytes) -> int:
        raise OSError("the terminal is gone")

    monkeypatch.setattr(os, "write", closed)
    with GracefulShutdown() as stopping:
        units = stopping.take_until_stopped(UNITS)
        next(units)
        os.kill(os.getpid(), signal.SIGHUP)
        assert list(units) == []


def test_signals_are_as_before_afterwards() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with GracefulShutdown():
        pass
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_signal_to_any_command_ends_it_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("distributed_tracer.report.status.status_of", lambda path: signal.raise_signal(signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a test before may have started Ray, which sets its own
    try:
        assert main(["status", "store"]) == 130
        assert "run the same command again to go on" in capsys.readouterr().err
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_units_pass_without_signals() -> None:
    passed: list[WorkUnit] = []

    def work() -> None:
        with GracefulShutdown() as stopping:
            passed.extend(stopping.take_until_stopped(UNITS))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert passed == UNITS
