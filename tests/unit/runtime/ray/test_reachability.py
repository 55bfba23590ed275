"""Addresses where nothing is, and waits that end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from distributed_tracer.errors import ConfigError
from distributed_tracer.runtime.ray.reachability import check_listens, host_and_port, within


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}", "http://127.0.0.1:{}/x"])
def test_a_port_that_listens_is_found(form: str, listener: int) -> None:
    check_listens(form.format(listener), 5.0)


def test_a_port_where_nothing_listens_is_an_error_at_once(listener: int) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            check_listens(f"127.0.0.1:{port}", 60.0)
        assert time.monotonic() - began < 30.0


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.0.0.1:6379", ("10.0.0.1", 6379)),
        ("head", None),
        ("head:port", None),
        (":6379", None),
        ("head:99999", None),
        ("ray://head", ("head", 10001)),
        ("http://head", ("head", 80)),
        ("https://head/dash", ("head", 443)),
        ("[::1]:6379", ("::1", 6379)),
    ],
)
def test_an_address_has_a_host_and_a_port(address: str, found: tuple[str, int] | None) -> None:
    if found is None:
        with pytest.raises(ConfigError, match="HOST:PORT"):
            host_and_port(address)
    else:
        assert host_and_port(address) == found


def test_a_call_that_does_not_come_back_is_left_behind() -> None:
    forever = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        within(0.1, forever.wait)
    assert time.monotonic() - began < 30.0
    forever.set()


def test_what_comes_back_in_time_is_passed_on() -> None:
    assert within(60.0, lambda: 7) == 7
    with pytest.raises(KeyError, match="seven"):
        within(60.0, lambda: {}["seven"])  # type: ignore[var-annotated]
