"""JobServer: runs jobs on the head of a Ray cluster that is reached through its dashboard's port alone."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, JobServerError
from ..store.table import printable
from .executor import keep_ray_offline
from .submission import Submission

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

STOP_SECONDS = 600
"""From SIGTERM to SIGKILL. Ray's own three seconds are too few to finish prompts and write parts."""
_DEFAULT = "http://127.0.0.1:8265"
_ADDRESS = re.compile(r"https?://[^/@?#\s]+(/[^@?#\s]*)?")
_RECONNECT_SECONDS = 2.0
_RECONNECT_TRIES = 30


class JobServer:
    """A client. Raises JobServerError where no server answers, or it refuses, here and in every method.

    The token is found where Ray looks: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or a file.
    """

    def __init__(self, address: str | None = None) -> None:
        """`address` is by default that of RAY_API_SERVER_ADDRESS, else of this machine. Raises ConfigError."""
        self.address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or _DEFAULT
        if not _ADDRESS.fullmatch(self.address):
            raise ConfigError("the address of a job server is http://HOST:PORT, without user and password")
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address  # Ray's client heeds it more than its own argument
        keep_ray_offline()
        with self._reported():
            from ray.job_submission import JobSubmissionClient

            self._client = JobSubmissionClient(self.address)

    def submit(self, submission: Submission) -> str:
        """Start a job; its id."""
        environment: dict[str, Any] = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}}
        if submission.folder is not None:
            # names with a dot in front are where credentials and versions are kept
            environment |= {"working_dir": str(submission.folder), "excludes": [".?*"]}  # ".*" is the folder itself too
        with self._reported():
            return str(self._client.submit_job(entrypoint=submission.entrypoint, runtime_env=environment))

    def follow(self, job: str, show: Callable[[str], None]) -> int:
        """Give every line of a job's log to `show` until it ends; its exit code, as a shell would say it."""
        asyncio.run(self._follow(job, show))
        return self._exit_code(self._ended(job), show)

    def stop(self, job: str) -> str:
        """Ask a job to stop, wait until it has ended; how it did. It writes what is under way first."""
        with self._reported():
            self._client.stop_job(job)
        return str(self._ended(job).status)

    async def _follow(self, job: str, show: Callable[[str], None]) -> None:
        """A lost connection is made again; a log always comes from its beginning."""
        from aiohttp import ClientError

        num_shown = tries = 0
        while True:
            number = 0
            try:
                async for line in _lines(self._client.tail_job_logs(job)):
                    number += 1
                    if number > num_shown:
                        show(printable(line))
                        num_shown, tries = number, 0
                return
            except (ClientError, RuntimeError, OSError) as error:
                tries += 1
                if tries > _RECONNECT_TRIES:
                    raise JobServerError(f"lost {self.address} ({error}); the job {job} may go on") from error
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _ended(self, job: str) -> JobDetails:
        while True:
            with self._reported():
                details = self._client.get_job_info(job)
            if details.status.is_terminal():
                return details
            time.sleep(0.5)

    @staticmethod
    def _exit_code(details: JobDetails, show: Callable[[str], None]) -> int:
        """Ray itself calls anything but 0 a failure."""
        if str(details.status) == "STOPPED":
            return 130
        if details.driver_exit_code is None:  # it never ran
            show(printable(f"{details.status}: {details.message}"))
            return 0 if str(details.status) == "SUCCEEDED" else 1
        code = details.driver_exit_code
        return code if code >= 0 else 128 - code

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what Ray's client raises into one error. Tokens are in none of its messages."""
        from ray.exceptions import RayError

        try:
            yield
        except RayError as error:  # for authentication it has a type of its own, since 2.52
            raise JobServerError(
                f"the job server at {self.address} refuses: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
                "RAY_AUTH_TOKEN_PATH to the token of the cluster"
            ) from error
        except OSError as error:
            raise JobServerError(
                f"no job server answers at {self.address}: is the cluster up, its port 8265 forwarded to here?"
            ) from error
        except (RuntimeError, ValueError) as error:
            raise JobServerError(f"the job server at {self.address}: {_first_line(error)}") from error


async def _lines(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    """Whole lines of a text that comes in pieces."""
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
