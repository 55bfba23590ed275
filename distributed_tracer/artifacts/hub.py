"""Hub: the only client of the Hugging Face hub, which lists and downloads files of repositories and finds them in the
hub's cache on this machine.

Errors of the hub's client, whose types differ by version, are raised as HubErrors. Their causes remain, so that
`advice` can tell what helps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

from ..text import printable

_SECONDS = 10.0  # without a time limit, a network that drops packets causes a wait of two and a half minutes
_LONGEST = 600


class HubError(Exception):
    """The hub does not have what is wanted, does not give it, or does not answer. The message is one printable line.

    Callers turn it into a ModelError or a TranscoderError that names the model or the transcoders.
    """


def list_files(repo: str, revision: str | None) -> list[str]:
    """Return the paths of all files of a repository.

    The hub is asked once, for at most ten seconds; the client's own functions for lists would try for 30 seconds.
    Raises HubError.
    """
    try:
        info = HfApi().model_info(repo, revision=revision, timeout=_SECONDS)
    except Exception as error:
        raise HubError(reason_of(error)) from error
    return [file.rfilename for file in info.siblings or ()]


def download(repo: str, revision: str | None, patterns: Sequence[str], without: Sequence[str] = ()) -> Path:
    """Return the folder in the cache with all files of a repository that match `patterns` and none of `without`.

    Files that are missing there are downloaded. If the hub does not answer, files that are there already are enough.
    Raises HubError.
    """
    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(without),
                etag_timeout=_SECONDS,
            )
        )
    except Exception as error:
        raise HubError(reason_of(error)) from error


def download_file(repo: str, revision: str | None, name: str, from_cache: bool = False) -> Path | None:
    """Return the path of one file of a repository, downloaded if necessary; None if there is no such file.

    With `from_cache` the hub is not asked, and a file that is not in the cache counts as missing. Raises HubError.
    """
    try:
        return Path(hf_hub_download(repo, name, revision=revision, local_files_only=from_cache, etag_timeout=_SECONDS))
    except EntryNotFoundError:
        return None
    except Exception as error:
        raise HubError(reason_of(error)) from error


def cached_folder(repo: str, revision: str | None) -> Path | None:
    """Return the folder in this machine's cache that holds files of a repository, or None. The hub is not asked.

    Some files may be missing there. No pattern is given, because the client would refuse a folder that lacks files
    which match one.
    """
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=[], local_files_only=True))
    except Exception:  # its type says which of several files of the cache is missing
        return None


def commit_of(path: str | PurePath) -> str:
    """Return the commit of a file or folder in the hub's cache, from its path `.../snapshots/<commit>/...`.

    It is empty for all other paths.
    """
    parts = PurePath(path).parts
    cached = any(part.startswith("models--") for part in parts) and "snapshots" in parts[:-1]
    return parts[parts.index("snapshots") + 1] if cached else ""


def is_offline() -> bool:
    """Whether an environment variable such as HF_HUB_OFFLINE forbids to ask the hub."""
    return constants.HF_HUB_OFFLINE


def reason_of(error: BaseException) -> str:
    """Return the message of an error in one printable line, without the query strings of URLs, which may contain
    signatures."""
    text = re.sub(r"(://[^\s?]*)\?\S*", r"\1", " ".join(str(error).split())) or type(error).__name__
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def advice(error: BaseException, repo: str) -> str:
    """Return how to get access to a repository that the hub refuses, judging by the causes of an error; empty for any
    other failure."""
    chain = causes(error)
    if any(isinstance(cause, GatedRepoError) for cause in chain):
        return (
            f"The repository is gated: accept its licence at {constants.ENDPOINT}/{repo}, then log in on every machine "
            "with `hf auth login`, or set HF_TOKEN there."
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in chain):
        return "Check the name; a private repository needs `hf auth login`, or HF_TOKEN, on every machine."
    return ""


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and all errors that led to it, the last one first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
