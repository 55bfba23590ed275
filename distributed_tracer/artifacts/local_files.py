"""Local files: finds and digests the files of a model and of transcoders on this machine, without any download."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import TranscoderError
from . import hub
from .checkpoint_files import damaged
from .fingerprint import Files, digest_of
from .location import LISTING, HubFolder, LocalFolder, is_path, locate, read_config, split_revision, split_uri

_READ = (".safetensors", ".npz", ".json", ".yaml", ".yml", ".txt", ".model", ".jinja")
_THREADS = 8


@dataclass(frozen=True)
class Located:
    """The paths of files, before anything of them is read."""

    source: str
    folder: Path
    paths: Mapping[str, Path]
    """Path of each file by its name in the folder, or by the name under which a config.yaml lists it."""
    listed: tuple[str, ...] = ()
    """Names of files that a config.yaml lists, and of that file itself; see `Files.listed`."""


def model_files(model: str, full_hash: bool = False) -> Files:
    """Return the files that loading the model would use: those directly in its folder."""
    return described(locate_model(model), full_hash)


def transcoder_files(transcoders: str, full_hash: bool = False) -> Files:
    """Return the files that loading the transcoders would use.

    These are all files in their folder, and those that its config.yaml names.
    """
    return described(locate_transcoders(transcoders), full_hash)


def locate_model(model: str) -> Located | Files:
    """Return the paths of a model's files or, if they are not on this machine, a `Files` that says why."""
    name, revision = split_revision(model)
    if Path(name).is_dir():
        folder = Path(name)
    elif is_path(name):
        return Files(model, None, f"there is no directory {name!r}")
    else:
        cached = _cached(HubFolder(name, revision=revision))
        if isinstance(cached, str):
            return Files(model, None, cached, on_hub=True)
        folder = cached
    return _located(model, folder, [name for name in LocalFolder(folder).files() if "/" not in name])


def locate_transcoders(transcoders: str) -> Located | Files:
    """Return the paths of transcoder files or, if they are not on this machine, a `Files` that says why."""
    try:
        source = locate(transcoders)
    except TranscoderError as error:
        return Files(transcoders, None, str(error))
    folder = source.root if isinstance(source, LocalFolder) else _cached(source)
    if isinstance(folder, str):
        return Files(transcoders, None, folder, on_hub=True)
    names = LocalFolder(folder).files()
    try:
        listed = _listed(folder) if LISTING in names else {}
    except TranscoderError as error:
        return Files(transcoders, None, str(error))
    for name, found in listed.items():
        if isinstance(found, str):
            return Files(transcoders, None, f"{folder / LISTING} names {name}: {found}", name.startswith("hf://"))
    paths = {name: found for name, found in listed.items() if isinstance(found, Path)}
    return _located(transcoders, folder, names, paths)


def _located(source: str, folder: Path, names: Sequence[str], listed: Mapping[str, Path] | None = None) -> Located:
    """Return the paths of all files that are read: those in the folder, and `listed` ones by their listed names."""
    paths = {name: folder / name for name in names if name.endswith(_READ)} | dict(listed or {})
    return Located(source, folder, paths, (LISTING, *listed) if listed else ())


def _listed(folder: Path) -> dict[str, Path | str]:
    """Return the path of each file that a config.yaml names, or the reason why it is not on this machine.

    Raises TranscoderError if the config.yaml cannot be read.
    """
    names = read_config(folder / LISTING).get("transcoders")
    listed: dict[str, Path | str] = {}
    for name in names if isinstance(names, list) else []:
        if not str(name).startswith("hf://"):
            path = folder / str(name)
            listed[str(name)] = path if path.is_file() else "there is no such file"
            continue
        repo, inside, revision = split_uri(name)
        root = _cached(HubFolder(repo, revision=revision))
        found = root / inside if isinstance(root, Path) else root
        if isinstance(found, Path) and not found.is_file():
            found = f"the hub's cache has {repo}, but not this file"
        listed[name] = found
    return listed


def _cached(source: object) -> Path | str:
    """Return the folder in the hub's cache on this machine, or the reason why there is none."""
    assert isinstance(source, HubFolder)
    cached = hub.cached_folder(source.repo, source.revision)
    if cached is None:
        return "no such directory, and not in the hub's cache"
    root = cached / source.folder
    return root if root.is_dir() else f"the hub's cache has {source.repo}, but not its folder {source.folder}"


def described(located: Located | Files, full_hash: bool = False) -> Files:
    """Return the digests, sizes and damage of located files; a `Files` is returned unchanged."""
    if isinstance(located, Files):
        return located
    source, folder, named = located.source, located.folder, located.paths
    paths = list(named.values())
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            digests = list(pool.map(partial(digest_of, full=full_hash), paths))
        # `damaged` joins names to `folder`, which leaves the absolute path of a file in the cache unchanged
        wrong = damaged(folder, [str(path) if name.startswith("hf://") else name for name, path in named.items()])
        num_bytes = sum(path.stat().st_size for path in paths)
    except OSError as error:
        return Files(source, None, f"cannot be read: {error}")
    return Files(
        source,
        str(folder),
        digests={name: digest for name, (digest, _) in zip(named, digests, strict=True)},
        num_bytes=num_bytes,
        num_sampled=sum(sampled for _, sampled in digests),
        damaged=tuple(wrong),
        listed=located.listed,
    )


WEIGHTS = (".safetensors", ".npz")


def identity_of(found: Mapping[str, Files]) -> dict[str, dict[str, str]]:
    """Return hashes and commits that identify a model and transcoders, each by their names in `found`.

    `content` is a hash of the files in a directory, where large files are sampled; `revisions` are commits on the hub.
    Anything that is not on this machine is left out. A commit is not a hash of the weights, since it also changes with
    a README: it is recorded for information, and no store is refused because of it. Files that a config.yaml lists may
    belong to other repositories, which its own commit does not cover, so they are always hashed.
    """
    content = {name: _hash(weights_of(name, files)) for name, files in found.items()}
    revisions = {name: commit_of(files) for name, files in found.items()}
    return {
        "content": {name: value for name, value in content.items() if value},
        "revisions": {name: value for name, value in revisions.items() if value},
    }


def weights_of(what: str, files: Files) -> dict[str, str]:
    """Return the digests of weights and configurations by name; `what` is `model` or `transcoders`.

    The result is empty if there are no weights. A model's tokenizer is left out, because prompts are stored with their
    tokens. For a folder in the hub's cache, only listed files count, because the other files there depend on what was
    downloaded so far.
    """
    digests = dict(files.digests or {})
    if commit_of(files):
        digests = {name: digest for name, digest in digests.items() if name in files.listed}
    if not any(is_weights(name) for name in digests):
        return {}
    is_model = what == "model"
    return {
        name: digest
        for name, digest in digests.items()
        if not is_model or name == "config.json" or name.endswith(WEIGHTS)
    }


def is_weights(name: str) -> bool:
    """Whether a file holds weights, judged by its name, which may end in a revision if a config.yaml lists it."""
    return name.partition("?")[0].endswith(WEIGHTS)


def commit_of(files: Files) -> str:
    """Return the commit of files in the hub's cache; empty for all other files."""
    return hub.commit_of(files.folder or "")


def _hash(digests: Mapping[str, str]) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()}" if digests else ""
