"""S3Root: as few requests as there are objects, many of them at once; what waiting may mend is asked again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from answering import Answer, answering, refusal
from faulty_proxy import Fault, FaultyS3, Request, Spoil, everything, faulty, nothing
from s3 import S3Server

from distributed_tracer.errors import StoreCorrupt, StoreError, StoreUnavailable
from distributed_tracer.store.backend.base import Backend
from distributed_tracer.store.backend.open import open_backend

OBJECTS = {f"parts/{number}": bytes([number]) * 1000 for number in range(60)}
OPERATIONS: dict[str, Callable[[Backend], object]] = {
    "read": lambda root: root.read("parts/1"),
    "names": lambda root: root.list_dir("parts"),
    "listing": lambda root: root.list_all("parts"),
    "create": lambda root: root.put_if_absent("commits/1", b"1"),
    "replace": lambda root: root.put("failures/1", b"1"),
    "remove": lambda root: root.remove("parts/2"),
    "remove_folder": lambda root: root.remove_folder("parts"),
    "upload": lambda root: root.put_many({"parts/new": b"1"}),
}
EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS)
FAULTS: tuple[Fault, ...] = ("slow down", "error", "reset", "cut", "stall")
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTING", "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_SESSION_TOKEN": "the-token"}


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty(s3) as proxy, proxy.server.used():
        yield proxy


@pytest.fixture
def url(proxy: FaultyS3) -> str:
    return f"{proxy.server.make_bucket(f'b{uuid.uuid4().hex[:12]}')}/store"


@pytest.fixture
def root(url: str) -> Backend:
    root = open_backend(url)
    root.put_many(OBJECTS)
    return root


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 0.5}})


def once(fault: Fault) -> Spoil:
    left = [fault]
    return lambda request: left.pop() if left else None


def test_reading_takes_one_request_for_each_object(proxy: FaultyS3, root: Backend) -> None:
    before = proxy.counts[""]
    assert root.read_many(list(OBJECTS)) == OBJECTS
    assert proxy.counts[""] - before == len(OBJECTS)


def test_an_object_larger_than_expected_is_refused_before_it_is_read(proxy: FaultyS3, root: Backend, url: str) -> None:
    root.put_many({"parts/large": bytes(96 << 20)})
    before = proxy.counts[""]
    with pytest.raises(StoreCorrupt, match=r"parts/large has 100,663,296 bytes; at most 1,000 are read"):
        root.read_many(["parts/1", "parts/large"], {"parts/1": 1000, "parts/large": 1000})
    assert proxy.counts[""] - before == 2  # its size is not asked for
    program = (
        "import resource; from distributed_tracer.store.backend.open import open_backend\n"
        "most = {'parts/large': 1000}\n"
        f"root, larger = open_backend({url!r}), {{}}; root.read_many(['parts/1'])\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10; before = used()\n"
        "found = root.read_many(['parts/large'], most, larger); print(found, larger, used() - before)"
    )
    here = str(Path(__file__).parents[4])
    said = subprocess.run([sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=True).stdout
    assert said.startswith("{} {'parts/large': Larger(most=1000, num_bytes=100663296)} ")
    assert int(said.split()[-1]) < 32, "MiB more than for a small object"


def test_many_objects_are_waited_for_at_once(proxy: FaultyS3, root: Backend) -> None:
    proxy.stall_seconds = 1.0  # each, then it is passed on: ten at once would take six seconds
    proxy.spoil = everything("stall")
    started = time.monotonic()
    assert root.read_many(list(OBJECTS)) == OBJECTS
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize("fault", FAULTS)
@EVERY_OPERATION
def test_what_goes_wrong_once_is_asked_again(
    operation: str, fault: Fault, proxy: FaultyS3, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 0.1}})
    monkeypatch.setattr("distributed_tracer.store.backend.s3._FIRST_PAUSE", 0.01)
    root = open_backend(url)
    root.put_many({"parts/1": b"1", "parts/2": b"2"})
    proxy.stall_seconds, proxy.spoil = 1.0, once(fault)
    answer = OPERATIONS[operation](root)
    assert proxy.counts[fault] == 1
    assert isinstance(answer, dict) or answer in (None, b"1", ["1", "2"])


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_for_long_is_an_outage_that_names_the_store(
    fault: Fault, proxy: FaultyS3, url: str, impatient: None
) -> None:
    root = open_backend(url)
    root.put_many({"parts/1": b"1"})
    proxy.stall_seconds, proxy.spoil = 3.0, everything(fault)
    with ThreadPoolExecutor(len(OPERATIONS)) as pool:  # the waits for answers that do not come pass side by side
        asked = [pool.submit(operation, root) for operation in OPERATIONS.values()]
    for answer in asked:
        with pytest.raises(StoreUnavailable, match=r"^cannot [\w ]+ s3://b\w+/store[\w/]*: \w+Error: ") as caught:
            answer.result()
        assert "Debug source" not in str(caught.value)
    proxy.spoil = nothing


def test_an_object_may_take_longer_to_be_sent_than_an_answer_to_come(
    proxy: FaultyS3, url: str, impatient: None
) -> None:
    root = open_backend(url)
    proxy.stall_seconds, proxy.spoil = 1.0, everything("stall")
    root.put_many({"parts/1": b"1"})
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        root.read("parts/1")


def test_a_bucket_that_is_not_there_is_empty(proxy: FaultyS3) -> None:
    root = open_backend(f"s3://none-{uuid.uuid4().hex[:12]}/store")
    assert (root.read("run.json"), root.list_dir(""), root.list_all("")) == (None, [], {})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", StoreError),
        (404, "NoSuchBucket", StoreError),
        (400, "ExpiredToken", StoreError),
        (400, "RequestTimeout", StoreUnavailable),
        (503, "SlowDown", StoreUnavailable),
    ],
)
@pytest.mark.parametrize("operation", ["names", "create", "upload"])
def test_only_what_waiting_may_mend_is_an_outage(
    operation: str, status: int, code: str, kind: type[StoreError], monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    with answering(lambda asked: refusal(status, code)) as server:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.endpoint}.items():
            monkeypatch.setenv(name, value)
        root = open_backend("s3://bucket/store")
        if (operation, status) == ("names", 404):
            assert root.list_dir("parts") == []
            return
        with pytest.raises(StoreError, match=rf"Error: {status} [\w ]+: {code}: Said {code}\.$") as caught:
            OPERATIONS[operation](root)
        assert type(caught.value) is kind


def test_a_refusal_because_of_the_time_names_the_clocks_and_may_pass(
    monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    skewed = refusal(403, "RequestTimeTooSkewed", "<ServerTime>2026-01-01T00:00:00Z</ServerTime>")
    with answering(lambda asked: skewed) as server:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.endpoint}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(
            StoreUnavailable, match=r"clock of this machine says \S+Z, the server's 2026-01-01T00:00:00Z"
        ):
            open_backend("s3://bucket/store").read("run.json")


def test_what_aws_repeats_of_a_refused_signature_is_not_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = "<CanonicalRequest>x-amz-security-token:the-token</CanonicalRequest><AWSAccessKeyId>AKIATESTING<"
    with answering(lambda asked: refusal(403, "SignatureDoesNotMatch", signed + "/AWSAccessKeyId>")) as server:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.endpoint}.items():
            monkeypatch.setenv(name, value)
        root = open_backend("s3://bucket/store")
        for operation in OPERATIONS.values():
            with pytest.raises(StoreError, match="PermissionError: 403 Forbidden: SignatureDoesNotMatch") as caught:
                operation(root)
            shown = "".join(traceback.format_exception(caught.value))
            assert not [secret for secret in KEYS.values() if secret in shown]
        assert len(server.asked) == len(OPERATIONS) + 1, "once each, and what was to be created is looked for"
        assert all(asked.headers["x-amz-security-token"] == "the-token" for asked in server.asked)


def test_a_creation_that_met_another_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS answers 409 where two create at once; neither may be there yet."""
    answers = [refusal(409, "ConditionalRequestConflict"), refusal(404, "NoSuchKey"), Answer(200)]
    with answering(lambda asked: answers.pop(0)) as server:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.endpoint}.items():
            monkeypatch.setenv(name, value)
        assert open_backend("s3://bucket/store").put_if_absent("commits/1", b"mine") == b"mine"
        assert [(asked.method, asked.url) for asked in server.asked] == [
            ("PUT", "/bucket/store/commits/1"),
            ("GET", "/bucket/store/commits/1"),
            ("PUT", "/bucket/store/commits/1"),
        ]
        assert server.asked[0].headers["If-None-Match"] == "*"


def test_a_forked_process_is_told_to_be_spawned(proxy: FaultyS3, root: Backend) -> None:
    """In it obstore would wait for threads that only its parent has."""
    assert root.read("parts/1") == OBJECTS["parts/1"]
    reads, writes = os.pipe()
    if not (child := os.fork()):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(5)
        try:
            root.read("parts/1")
        except StoreError as error:
            os.write(writes, str(error).encode())
        os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with open(reads, "rb") as said:
        assert b"was forked" in said.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_not_kept_waiting_by_requests(number: signal.Signals, proxy: FaultyS3, url: str) -> None:
    def stall(request: Request) -> Fault:
        return "stall"

    proxy.spoil = stall
    program = (
        f"from distributed_tracer.store.backend.open import open_backend; open_backend({url!r}).read_many(['a', 'b'])"
    )
    here = str(Path(__file__).parents[4])
    # a shell's background jobs ignore SIGINT, and so would a child of tests that run in one
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {program}"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=here, stderr=subprocess.DEVNULL)
    while not proxy.counts["stall"] and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=5.0) == -number
