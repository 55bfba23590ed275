"""S3Backend: a store in a bucket. Each object is written whole, or not at all; many requests run concurrently.

All requests of a process run in fsspec's event loop. The loop has a thread of its own, for which neither a signal nor
the end of the program has to wait. obstore makes the requests, which take a tenth of the processor time that botocore's
take.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, TypeVar

from fsspec.asyn import get_loop
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError

from ...errors import StoreError
from ..object_names import most_bytes
from .base import PERMANENT_ERRORS, Larger, ObjectInfo, check_size, clock_key, dotted, found_of, translate_errors
from .retry import backoff
from .s3_config import access

T = TypeVar("T")
Request = Callable[[], Coroutine[Any, Any, T]]

_AT_ONCE = 64
_FIRST_PAUSE = 0.5
"""Pause in seconds before a request is repeated for the first time; it doubles with every repetition."""
_SETTLING = 0.2
"""Seconds that the end of the program leaves to obstore's threads."""
_LASTING_CODES = {"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "InvalidBucketName"}
"""Error codes with status 400 that waiting does not fix; other codes mean that the request arrived damaged or late."""


class S3Backend:
    """A folder of a bucket. `Backend` documents the methods.

    An object is created with a conditional put (`If-None-Match: *`).
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        bucket, _, prefix = self.url.partition("://")[2].partition("/")
        with translate_errors("open", self.url):
            self._s3 = access(bucket, prefix)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def read(self, key: str) -> bytes | None:
        return self.read_many([key]).get(key)

    def read_many(
        self, keys: Sequence[str], sizes: Mapping[str, int] | None = None, larger: dict[str, Larger] | None = None
    ) -> dict[str, bytes]:
        most = [most_bytes(key) if sizes is None else sizes[key] for key in keys]
        answers = self._all([partial(self._get, key, size) for key, size in zip(keys, most, strict=True)])
        found = {}
        for key, answer in zip(keys, answers, strict=True):
            with translate_errors("read", f"{self.url}/{key}"):
                found[key] = _given(answer)
        return found_of(self.url, found, larger)

    def list_dir(self, folder: str) -> list[str]:
        with translate_errors("list", f"{self.url}/{folder}"):
            try:
                found = self._one(partial(self._s3.reads.list_with_delimiter_async, folder or None))
            except FileNotFoundError:  # the bucket does not exist
                return []
        paths = {*found["common_prefixes"], *(about["path"] for about in found["objects"])}
        return sorted(path.rpartition("/")[2] for path in paths)

    def list_all(self, folder: str) -> dict[str, ObjectInfo]:
        with translate_errors("list", f"{self.url}/{folder}"):
            try:
                found = self._one(lambda: self._s3.reads.list(folder or None).collect_async())
            except FileNotFoundError:
                return {}
        return {about["path"]: ObjectInfo(about["size"], about["last_modified"].timestamp()) for about in found}

    def put_if_absent(self, key: str, data: bytes) -> bytes:
        """Create an object unless it exists, as `Backend.put_if_absent` says.

        If all responses were lost, reading the object back shows whose it is.
        """
        check_size(self.url, key, data)
        with translate_errors("create", f"{self.url}/{key}"):
            try:
                answer = self._one(partial(self._create, key, data))
            except Exception:
                there = self.read(key)
                if there is None:
                    raise
                return there
            return found_of(self.url, {key: answer}, None)[key]

    def put(self, key: str, data: bytes) -> None:
        with translate_errors("write", f"{self.url}/{key}"):
            self._one(partial(self._put, key, data))

    def remove(self, key: str) -> None:
        with translate_errors("remove", f"{self.url}/{key}"):
            self._one(partial(self._delete, key))

    def remove_folder(self, folder: str) -> None:
        keys = list(self.list_all(folder))
        with translate_errors("remove", f"{self.url}/{folder}"):
            for last in (False, True):
                for answer in self._all([partial(self._delete, key) for key in keys if dotted(key) == last]):
                    _given(answer)

    def now(self) -> float:
        key = clock_key()
        self.put(key, b"")
        try:
            with translate_errors("read", f"{self.url}/{key}"):
                about = self._one(lambda: self._s3.reads.head_async(key))
                return about["last_modified"].timestamp()
        finally:
            self.remove(key)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        with translate_errors("write a part to", self.url):
            for answer in self._all([partial(self._put, key, data) for key, data in objects.items()]):
                _given(answer)

    async def _get(self, key: str, most: int) -> bytes | Larger | None:
        """Return an object, or its size if it has more than `most` bytes.

        The size is at the beginning of a response, so the rest of an object that is too long is not downloaded.
        """
        try:
            answer = await self._s3.reads.get_async(key)
            if (size := answer.meta["size"]) > most:
                return Larger(most, size)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None

    async def _put(self, key: str, data: bytes) -> None:
        await self._s3.writes.put_async(key, data, use_multipart=False)

    async def _create(self, key: str, data: bytes) -> bytes | Larger:
        """Create an object with a conditional put, and return its content afterwards.

        The put may be refused because of another writer's object, because of our own object from an earlier attempt, or
        because somebody is writing the object at this moment.
        """
        try:
            await self._s3.writes.put_async(key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            there = await self._get(key, most_bytes(key))
            if there is None:
                raise OSError("refused because it is there, and not there when read") from None
            return there
        return data

    async def _delete(self, key: str) -> None:
        await self._s3.writes.delete_async(key)

    def _one(self, request: Request[T]) -> T:
        return _given(self._all([request])[0])

    def _all(self, requests: Sequence[Request[T]]) -> list[T | Exception]:
        """Run requests concurrently and return each one's response, or the exception with which it failed.

        The requests are cancelled if this thread is interrupted.
        """
        if _first_user() != os.getpid():
            raise StoreError(
                f"{self.url}: this process was forked from one that had used S3, and has not its threads; "
                'start processes with multiprocessing.get_context("spawn")'
            )

        async def answers() -> list[T | Exception]:
            return await asyncio.gather(*(self._persistently(request) for request in requests))

        waiting = asyncio.run_coroutine_threadsafe(answers(), get_loop())
        _UNDER_WAY.add(waiting)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise
        finally:
            _UNDER_WAY.discard(waiting)

    async def _persistently(self, request: Request[T]) -> T | Exception:
        """Send a request, and again as long as that may help; return its response, or the last failure.

        All requests that are made here may safely be repeated.
        """
        failure: Exception
        pauses = backoff(_FIRST_PAUSE)
        for attempt in range(self._s3.attempts):
            if attempt:
                await asyncio.sleep(next(pauses))
            try:
                async with self._turn:
                    return await request()
            except Exception as error:  # obstore raises its own types and built-in ones
                failure = _explained(error)
                if isinstance(failure, PERMANENT_ERRORS):
                    break
        return failure


_UNDER_WAY: set[Future[Any]] = set()


@cache
def _first_user() -> int:
    """Return the id of the process that first used S3, even in a process forked from it.

    In a forked process obstore would wait for ever.
    """
    atexit.register(_settle)
    return os.getpid()


def _settle() -> None:
    """Cancel the requests under way, and let obstore's threads report what has become of all requests.

    For that a thread needs the interpreter, also after its result has arrived. Python before 3.14 ends a thread that
    asks for an interpreter that has begun to end, which aborts the process (exit code -6) if the thread runs Rust.
    """
    for waiting in tuple(_UNDER_WAY):
        waiting.cancel()
    time.sleep(_SETTLING)


def _given(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _explained(error: Exception) -> Exception:
    """Return a failure as a built-in exception, without the text that obstore adds.

    obstore adds its request and the response of S3, which repeats all that was signed if a signature is refused.
    """
    text = str(error)
    status = re.search(r"status code: (\d{3}) ([\w ]*)", text)
    if status is None:
        kind = re.search(r"kind: (Timeout|Connect)\b", text)
        cause = re.findall(r'(?:message|error): "([^"]*)"', text)[-1:]
        first_line = re.sub(r"\S+://\S+", "...", text.partition("\n\n")[0])
        words = ": ".join([first_line, *cause])
        if isinstance(error, ValueError):  # a key that obstore does not accept
            return ValueError(words)
        return TimeoutError(words) if kind and kind[1] == "Timeout" else OSError(words)
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    words = ": ".join([f"{status[1]} {status[2]}".strip(), *(found[1] for found in (code, message) if found)])
    if code and code[1] == "RequestTimeTooSkewed":
        return OSError(f"{words} {_clocks(text)}")
    if status[1] in ("401", "403") or isinstance(error, PermissionDeniedError):
        return PermissionError(words)
    if status[1] == "404":
        return FileNotFoundError(words)
    return ValueError(words) if code and code[1] in _LASTING_CODES else OSError(words)


def _clocks(answer: str) -> str:
    """Return a sentence with the time of this machine and of the server that refused a request for its clock skew.

    The error passes: most machines set their clocks themselves soon after they were started or resumed.
    """
    server = re.search("<ServerTime>([^<]*)</ServerTime>", answer)
    server_time = f", the server's {server[1]}" if server else ""
    return f"The clock of this machine says {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}{server_time}: set it right"
