"""The files of a model and of transcoders as this machine has them, without any download."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download

from ..errors import TranscoderError
from .checkpoint_files import damaged
from .fingerprint import Files, digest_of
from .location import HubFolder, LocalFolder, is_path, locate, read_config, split_revision, split_uri

_READ = (".safetensors", ".npz", ".json", ".yaml", ".yml", ".txt", ".model", ".jinja")
_LISTING = "config.yaml"
"""circuit-tracer's; its `transcoders` may name files on the hub or elsewhere on this machine."""
_THREADS = 8


@dataclass(frozen=True)
class Located:
    """Where files are, before anything of them is read."""

    source: str
    folder: Path
    paths: Mapping[str, Path]
    """By name in the folder, or as a config.yaml lists it."""
    listed: tuple[str, ...] = ()
    """Names in a config.yaml; see `Files.listed`."""


def model_files(model: str, full_hash: bool = False) -> Files:
    """What loading the model would find: files directly in its folder."""
    return described(locate_model(model), full_hash)


def transcoder_files(transcoders: str, full_hash: bool = False) -> Files:
    """What loading the transcoders would find: all files in their folder, and those that its config.yaml names."""
    return described(locate_transcoders(transcoders), full_hash)


def locate_model(model: str) -> Located | Files:
    """Where they are; Files that say why not, where they are not."""
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
    """The same for transcoders."""
    try:
        source = locate(transcoders)
    except TranscoderError as error:
        return Files(transcoders, None, str(error))
    folder = source.root if isinstance(source, LocalFolder) else _cached(source)
    if isinstance(folder, str):
        return Files(transcoders, None, folder, on_hub=True)
    names = LocalFolder(folder).files()
    try:
        listed = _listed(folder) if _LISTING in names else {}
    except TranscoderError as error:
        return Files(transcoders, None, str(error))
    for name, found in listed.items():
        if isinstance(found, str):
            return Files(transcoders, None, f"{folder / _LISTING} names {name}: {found}", name.startswith("hf://"))
    paths = {name: found for name, found in listed.items() if isinstance(found, Path)}
    return _located(transcoders, folder, names, paths)


def _located(source: str, folder: Path, names: Sequence[str], listed: Mapping[str, Path] | None = None) -> Located:
    """`listed`: files that are read too, by the names under which they are listed."""
    paths = {name: folder / name for name in names if name.endswith(_READ)} | dict(listed or {})
    return Located(source, folder, paths, (_LISTING, *listed) if listed else ())


def _listed(folder: Path) -> dict[str, Path | str]:
    """Where each file that a config.yaml names is on this machine, or why it is not. Raises TranscoderError."""
    names = read_config(folder / _LISTING).get("transcoders")
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
    """The folder in the hub's cache on this machine, or why there is none."""
    assert isinstance(source, HubFolder)
    try:
        root = Path(snapshot_download(source.repo, revision=source.revision, local_files_only=True)) / source.folder
    except Exception as error:  # of the hub's client; they differ by version
        return f"no such directory, and not in the hub's cache: {type(error).__name__}"
    return root if root.is_dir() else f"the hub's cache has {source.repo}, but not its folder {source.folder}"


def described(located: Located | Files, full_hash: bool = False) -> Files:
    """What is in them."""
    if isinstance(located, Files):
        return located
    source, folder, named = located.source, located.folder, located.paths
    paths = list(named.values())
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            digests = list(pool.map(partial(digest_of, full=full_hash), paths))
        # joined to `folder`, the absolute path of a file in the cache stays itself
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


def fingerprints(model: str, transcoders: str) -> dict[str, dict[str, str]]:
    """See `identity_of`."""
    return identity_of({"model": model_files(model), "transcoders": transcoder_files(transcoders)})


def identity_of(found: Mapping[str, Files]) -> dict[str, dict[str, str]]:
    """`content`: a hash of the files in a directory, by samples of the large ones; `revisions`: commits on the hub.

    What is not on this machine is left out. A commit is no hash of the weights: it also changes with a README, so that
    it is worth knowing, but nothing to refuse a store for. Files that a config.yaml lists may be of other repositories,
    which no commit of its own covers: they are always hashed.
    """
    content = {name: _hash(weights_of(name, files)) for name, files in found.items()}
    revisions = {name: commit_of(files) for name, files in found.items()}
    return {
        "content": {name: value for name, value in content.items() if value},
        "revisions": {name: value for name, value in revisions.items() if value},
    }


def weights_of(what: str, files: Files) -> dict[str, str]:
    """Digests of weights and configurations by name, of a model or of transcoders (`what`); none without weights. A
    model's tokenizer is left out: prompts tell what tokens they have.

    Of a folder in the hub's cache only what is listed: what else is there depends on what was downloaded so far.
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
    """Whether a file, which a config.yaml may list with a revision, holds weights."""
    return name.partition("?")[0].endswith(WEIGHTS)


def commit_of(files: Files) -> str:
    """From where the hub's cache keeps what it has: `.../snapshots/<commit>/...`; empty for other directories."""
    parts = PurePosixPath(files.folder or "").parts
    cached = any(part.startswith("models--") for part in parts) and "snapshots" in parts[:-1]
    return parts[parts.index("snapshots") + 1] if cached else ""


def _hash(digests: Mapping[str, str]) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()}" if digests else ""
