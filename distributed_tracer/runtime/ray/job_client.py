"""JobServer: runs jobs on the head of a Ray cluster that can be reached only through its dashboard's port."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import JobConfig
from ...errors import ConfigError, JobServerError
from ..telemetry.untrusted_text import in_short, plain_line
from .environment import keep_ray_offline
from .reachability import check_listens, within

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

STOP_SECONDS = 600
"""Seconds from SIGTERM to SIGKILL. Ray's default of three seconds is too short to finish prompts and write parts."""
_DEFAULT = "http://127.0.0.1:8265"
_ADDRESS = re.compile(r"https?://[^/@?#\s]+(/[^@?#\s]*)?")
_RECONNECT_SECONDS = 2.0
_RECONNECT_TRIES = 30
_ANSWER_SECONDS = 30.0
"""Time limit for a request to the server."""
_UPLOAD_SECONDS = 600.0
"""Time limit for a submission, which includes the upload of its folder."""
_QUIET_SECONDS = 60.0
"""Seconds without a log line after which the connection may be dead, and the server is asked whether the job runs."""


class JobServer:
    """A client of Ray's job server. The constructor and all methods raise JobServerError if no server answers or if it
    refuses the request.

    Ray finds the token itself, by RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or a file.
    """

    def __init__(self, address: str | None = None) -> None:
        """Connect to the server at `address`; the default is RAY_API_SERVER_ADDRESS, or else this machine.

        Raises ConfigError if the address is malformed.
        """
        self.address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or _DEFAULT
        if not _ADDRESS.fullmatch(self.address):
            raise ConfigError("the address of a job server is http://HOST:PORT, without user and password")
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address  # Ray's client prefers it to its own argument
        keep_ray_offline()
        with self._reported():
            within(_ANSWER_SECONDS, lambda: check_listens(self.address, _ANSWER_SECONDS))
            from ray.job_submission import JobSubmissionClient

            self._client = within(_ANSWER_SECONDS, lambda: JobSubmissionClient(self.address))

    def submit(self, submission: Submission) -> str:
        """Start a job and return its id."""
        environment: dict[str, Any] = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}}
        if submission.folder is not None:
            # names that begin with a dot are excluded: they hold credentials and version control
            environment |= {"working_dir": str(submission.folder), "excludes": [".?*"]}  # ".*" also matches the folder
        with self._reported():
            submit = partial(self._client.submit_job, entrypoint=submission.entrypoint, runtime_env=environment)
            return str(within(_UPLOAD_SECONDS, submit))

    def follow(self, job: str, show: Callable[[str], None]) -> int:
        """Pass every line of a job's log to `show` until the job ends; return its exit code as a shell reports it."""
        asyncio.run(self._follow(job, show))
        return self._exit_code(self._ended(job), show)

    def stop(self, job: str) -> str:
        """Ask a job to stop, wait until it has ended, and return its final status.

        The job first writes the prompts that are being traced.
        """
        with self._reported():
            within(_ANSWER_SECONDS, lambda: self._client.stop_job(job))
        return str(self._ended(job, STOP_SECONDS + _ANSWER_SECONDS).status)

    async def _follow(self, job: str, show: Callable[[str], None]) -> None:
        """Show a job's log, and reconnect after a lost connection.

        The server always sends a log from its beginning, so lines that were shown already are skipped.
        """
        from aiohttp import ClientError

        num_shown = tries = 0
        while True:
            number = 0
            try:
                async for line in _lines(self._log(job)):
                    number += 1
                    if number > num_shown:
                        show(plain_line(line))
                        num_shown, tries = number, 0
                return
            except (ClientError, RuntimeError, OSError, JobServerError) as error:
                tries += 1
                if tries > _RECONNECT_TRIES:
                    lost = f"lost {self.address} ({in_short(error)}), and {_RECONNECT_TRIES} times found no way back"
                    raise JobServerError(f"{lost}; the job {job} may go on") from error
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _log(self, job: str) -> AsyncIterator[str]:
        """Yield a job's log as it is written.

        If the connection is dead, this ends after the job has ended, because a job that ended logs nothing more.
        """
        pieces = aiter(self._client.tail_job_logs(job))
        ended = False
        while True:
            piece = asyncio.ensure_future(anext(pieces))
            while not (await asyncio.wait({piece}, timeout=_QUIET_SECONDS))[0]:
                if ended:  # and nothing came for another _QUIET_SECONDS
                    piece.cancel()
                    return
                ended = (await asyncio.to_thread(self._details, job)).status.is_terminal()
            try:
                yield piece.result()
            except StopAsyncIteration:
                return

    def _details(self, job: str) -> JobDetails:
        with self._reported():
            return within(_ANSWER_SECONDS, lambda: self._client.get_job_info(job))

    def _ended(self, job: str, seconds: float = math.inf) -> JobDetails:
        deadline = time.monotonic() + seconds
        while not (details := self._details(job)).status.is_terminal():
            if time.monotonic() > deadline:
                raise JobServerError(
                    f"{job} has been asked to stop and has not ended within {seconds:g} s: it is {details.status}. Ask "
                    f"again, or look at the head of {self.address}"
                )
            time.sleep(0.5)
        return details

    @staticmethod
    def _exit_code(details: JobDetails, show: Callable[[str], None]) -> int:
        """Return the exit code of a job that ended: 130 if it was stopped, 128 + N if signal N killed it.

        Ray itself reports any code but 0 as a failure.
        """
        if str(details.status) == "STOPPED":
            return 130
        if details.driver_exit_code is None:  # the command was never started
            show(plain_line(f"{details.status}: {details.message}"))
            return 0 if str(details.status) == "SUCCEEDED" else 1
        code = details.driver_exit_code
        return code if code >= 0 else 128 - code

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn the exceptions of Ray's client into JobServerError. None of its messages contains a token."""
        from ray.exceptions import RayError

        try:
            yield
        except RayError as error:  # since version 2.52, Ray has an exception type for authentication
            raise JobServerError(
                f"the job server at {self.address} refuses: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
                "RAY_AUTH_TOKEN_PATH to the token of the cluster"
            ) from error
        except ConfigError:
            raise
        except OSError as error:
            raise JobServerError(
                f"no job server answers at {self.address} ({in_short(error)}): is the cluster up, its port 8265 "
                "forwarded to here?"
            ) from error
        except (RuntimeError, ValueError) as error:
            raise JobServerError(f"the job server at {self.address}: {in_short(error)}") from error


async def _lines(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield the whole lines of a text that arrives in chunks."""
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            yield line
    if rest:
        yield rest


_SECRET_IN_ADDRESS = re.compile(r"://([^/\s]*@|\S*\?)")


@dataclass(frozen=True)
class Submission:
    """A command for the head of a cluster, and the folder that is uploaded for it to run in."""

    entrypoint: str
    folder: Path | None = None


def of_file(file: str, arguments: Sequence[str], python: str) -> Submission:
    """Return the submission of a job file with its folder, the only place from which it can import its own modules.

    Raises ConfigError if the file does not exist, or if its folder contains the home directory.
    """
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"there is no job file {file}; flags of trace come after --, as in: submit -- --model M ...")
    folder = path.resolve().parent
    if Path.home().resolve().is_relative_to(folder):
        raise ConfigError(f"all of {folder} would be sent with {path.name}: keep job files in a folder of their own")
    return Submission(shlex.join([python, path.name, *arguments]), folder)


def of_flags(flags: Sequence[str], config: JobConfig, python: str) -> Submission:
    """Return the submission of the command `trace` with these flags, which were parsed as `config`.

    Raises ConfigError for values that are meaningless on another machine, and for those that would show a password to
    everybody who can list jobs.
    """
    given = {
        "--prompts": config.corpus.prompts,
        "--store": config.store.store,
        "--model": config.model.model,
        "--transcoders": config.transcoders.transcoders,
    }
    if config.corpus.prompts == "-":
        raise ConfigError("--prompts - is standard input, which stays on this machine: give a file that the head sees")
    for flag, value in given.items():
        if _SECRET_IN_ADDRESS.search(value):
            raise ConfigError(f"{flag} is an address with a password or signature, and the job server shows commands")
        may_be_hub_id = flag in ("--model", "--transcoders") and not Path(value).exists()
        if "://" not in value and not Path(value).is_absolute() and not may_be_hub_id:
            raise ConfigError(f"{flag} {value} is a place on this machine: give an absolute path that all nodes share")
    return Submission(shlex.join([python, "-m", "distributed_tracer", "trace", *flags]))
