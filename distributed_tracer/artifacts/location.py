"""Location: the source of transcoders, a local directory or a folder of a repository on the Hugging Face hub."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from reprlib import Repr
from typing import Any, Protocol

from ..documents.json_text import parse_json
from ..documents.text import read_text
from ..documents.yaml_text import parse_yaml
from ..errors import TranscoderError
from ..names import is_elsewhere
from ..text import and_more
from . import hub

_HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?P<folder>(/[\w.=,+ -]+)*)/?(@(?P<revision>[\w./-]+))?")
_HUB_URI = re.compile(r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*)/(?P<path>[^?]+)(\?revision=(?P<revision>[\w./-]+))?")
_DEPTH = 5  # layer_5/width_16k/average_l0_76/params.npz has a depth of 4

LISTING = "config.yaml"
"""Name of circuit-tracer's configuration file. Its entry `transcoders` may name files on the hub or elsewhere on this
machine."""

SHORT_NAMES = {"gemma": "mwhanna/gemma-scope-transcoders", "llama": "mntss/transcoder-Llama-3.2-1B"}
"""Names of two transcoder sets on the hub in circuit-tracer's command line."""

PUBLISHED_K = {"facebook/crv-8b-instruct-transcoders": 128}
"""TopK sets on the hub whose files do not state k; their paper and circuit-tracer use 128."""

BOOKKEEPING = (
    *("author", "authors", "citation", "created", "date", "description", "license", "name", "notes", "url", "version"),
    *("model", "model_name", "tokenizer", "dataset", "dataset_name", "dataset_path"),
    *("batch_size", "learning_rate", "lr", "num_tokens", "num_training_tokens", "training_tokens", "run_name", "seed"),
    *("wandb", "wandb_entity", "wandb_id", "wandb_log_frequency", "wandb_project", "wandb_run", "wandb_run_id"),
)
"""Settings that describe how transcoders were trained and published; in no format do they change the computation."""

_SHORT_REPR = Repr()
_SHORT_REPR.maxstring = 100


class Folder(Protocol):
    """A directory of transcoder files."""

    def files(self) -> list[str]:
        """Return the sorted paths of all files, relative to the directory, with forward slashes."""
        ...

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Return the paths of these files on this machine. Raises TranscoderError if one cannot be obtained."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A directory on this machine."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def files(self) -> list[str]:
        """Return the sorted paths of all files down to a depth of five, relative, with forward slashes."""
        found = [path for depth in range(1, _DEPTH + 1) for path in self.root.glob("/".join("*" * depth))]
        return sorted(path.relative_to(self.root).as_posix() for path in found if path.is_file())

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Return the paths of these files. Raises TranscoderError if one is missing or may be outside the directory."""
        if outside := [name for name in names if is_elsewhere(name)]:
            raise TranscoderError(f"{self.root}: {outside[0]!r} may be outside this directory: move the file there")
        paths = [self.root / name for name in names]
        missing = [shorten(str(path)) for path in paths if not _is_file(path)]
        if missing:
            raise TranscoderError(f"{self.root}: no such file: {', '.join(missing)}")
        return paths


@dataclass(frozen=True)
class HubFolder:
    """A folder of a model repository on the hub; without a network, the copy in the hub's cache on this machine."""

    repo: str
    folder: str = ""
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo}{'/' * bool(self.folder)}{self.folder}{'@' * bool(self.revision)}{self.revision or ''}"

    def files(self) -> list[str]:
        """Return the sorted paths of all files, relative to the folder. Raises TranscoderError."""
        try:
            names = hub.list_files(self.repo, self.revision)
        except hub.HubError as error:
            root = hub.cached_folder(self.repo, self.revision)
            if root is None:
                raise TranscoderError(self._cannot_be_had([], error)) from error
            names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        inside = f"{self.folder}/" if self.folder else ""
        return sorted(name.removeprefix(inside) for name in names if name.startswith(inside))

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Return the paths of these files on this machine, and download them if necessary. Raises TranscoderError."""
        wanted = [str(PurePosixPath(self.folder) / name) for name in names]
        outside = [name for name in (*wanted, *names) if is_elsewhere(name)]
        if outside:
            raise TranscoderError(f"{self}: {', '.join(outside)} is not in the repository {self.repo}")
        try:
            root = hub.download(self.repo, self.revision, list(map(glob.escape, wanted)))
        except hub.HubError as error:
            raise TranscoderError(self._cannot_be_had(wanted, error)) from error
        missing = [name for name in wanted if not (root / name).is_file()]
        if missing:
            reason = hub.HubError("it is neither in the repository nor in this machine's cache")
            raise TranscoderError(self._cannot_be_had(missing, reason))
        return [root / name for name in wanted]

    def _cannot_be_had(self, names: Sequence[str], reason: hub.HubError) -> str:
        what = ", ".join(names) or "the list of files"
        revision = f" --revision {self.revision}" if self.revision else ""
        access = hub.advice(reason, self.repo)
        access += " " * bool(access)
        return (
            f"{self}: no such directory here, and {what} cannot be had from {self.repo} on the hub ({reason}). "
            f"{access}Run `hf download {self.repo}{revision}` where there is a network, with --local-dir to get a "
            "directory to give here, or set HF_HOME to a cache that has it; `distributed-tracer bundle` collects all "
            "that a run takes, for machines without internet"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is invalid on this file system
        return False


def locate(source: str) -> Folder:
    """Return the directory `source` if it exists, else the hub folder `user/repo[/folder][@revision]`.

    Nothing is downloaded. `gemma` and `llama` name two sets on the hub: see SHORT_NAMES. Raises TranscoderError if
    `source` has neither form.
    """
    path = Path(source).expanduser()
    if source and path.is_dir():
        return LocalFolder(path)
    match = _HUB_ID.fullmatch(SHORT_NAMES.get(source, source))
    if match is None:
        raise TranscoderError(
            f"{source!r} is neither a directory nor user/repo[/folder][@revision] on the hub; with internet, "
            "`distributed-tracer bundle` makes a directory of one"
        )
    return HubFolder(match["repo"], match["folder"].strip("/"), match["revision"])


def fetch_uri(uri: str) -> Path:
    """Return the path of the file at `hf://user/repo/path[?revision=...]` on this machine, downloaded if necessary."""
    repo, path, revision = split_uri(uri)
    return HubFolder(repo, revision=revision).fetch([path])[0]


def split_uri(uri: str) -> tuple[str, str, str | None]:
    """Split `hf://user/repo/path[?revision=...]` into (user/repo, path, revision). Raises TranscoderError."""
    match = _HUB_URI.fullmatch(uri)
    if match is None:
        raise TranscoderError(f"{shorten(uri)} is not hf://user/repo/path[?revision=...]")
    return match["repo"], match["path"], match["revision"]


def read_config(path: Path) -> dict[str, Any]:
    """Read a .json or .yaml file that holds one object. Raises TranscoderError if it cannot be read as one."""
    text = read_text(path, TranscoderError)
    try:
        is_json = path.suffix == ".json"
        config = parse_json(text, TranscoderError, strict=False) if is_json else parse_yaml(text, TranscoderError)
    except TranscoderError as error:
        raise TranscoderError(f"{path}: cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise TranscoderError(f"{path}: an object with named entries is wanted, not {type(config).__name__}")
    return config


def with_published_k(config: dict[str, Any], folder: Folder) -> dict[str, Any]:
    """Return circuit-tracer's configuration of a folder, with k from PUBLISHED_K if it lacks one."""
    k = PUBLISHED_K.get(folder.repo) if isinstance(folder, HubFolder) else None
    return config | {"k": k} if k and config.get("activation") == "topk" and config.get("k") is None else config


def refuse_unknown(config: Mapping[str, Any], known: Iterable[str], where: object) -> None:
    """Raise TranscoderError if settings have a value but are neither `known` nor in BOOKKEEPING; name them."""
    accepted = {*known, *BOOKKEEPING}
    unknown = [
        f"{_plain(key)} is {shorten(value)}"
        for key, value in config.items()
        if value is not None and key not in accepted
    ]
    if unknown:
        more = and_more(len(unknown) - 4)
        raise TranscoderError(
            f"{where}: settings that this package does not know: {', '.join(unknown[:4])}{more}. They may change what "
            "the transcoders compute; if they do not, remove them from a copy of the file"
        )


def _plain(key: object) -> str:
    """Return a key unchanged if it is a plain word; otherwise quote and shorten it, as it could contain anything."""
    return key if isinstance(key, str) and re.fullmatch(r"[\w.-]{1,60}", key) else shorten(key)


def shorten(value: object) -> str:
    """Return an untrusted value of a configuration, quoted and cut short: nested YAML aliases could fill the memory."""
    return _SHORT_REPR.repr(value)


def split_revision(model: str) -> tuple[str, str | None]:
    """Split `org/name@revision` into (name, revision); a path that exists is not split."""
    name, at, revision = model.rpartition("@")
    return (model, None) if not at or Path(model).exists() else (name, revision)


def is_path(name: str) -> bool:
    """Whether a name can only be a directory, because no hub id has this form."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1
