"""Sources of a bundle's files: directories on this machine, the hub through its cache, and any URL of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
import yaml

from ...artifacts import hub
from ...artifacts.checkpoint_files import INDEX, shards
from ...artifacts.location import (
    LISTING,
    LocalFolder,
    fetch_uri,
    locate,
    read_config,
    split_revision,
    split_uri,
    with_published_k,
)
from ...corpus.open_input import COMPRESSIONS, STDIN, name_of, path_of, translate_read_errors
from ...errors import BundleError, ModelError, TranscoderError
from ...redact import redacted_url

_MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
# Folders hold weights in other formats; `consolidated` is a second copy of Mistral's weights.
_NOT_MODEL_FILES = ("*/*", "consolidated*")
_TRANSCODER_ENDINGS = (".safetensors", ".npz", ".json", ".yaml")

Opener = Callable[[], BinaryIO]


def opener_of(path: Path) -> Opener:
    return lambda: path.open("rb")


@dataclass(frozen=True)
class Source:
    """Files of a model, a set of transcoders or a corpus that are not yet copied."""

    path: str
    """Path of the files in the bundle."""
    origin: str
    """Hub id, or the last name of a path, so that a manifest shows no folders or credentials of this machine."""
    revision: str | None
    """Commit on the hub; None for local files."""
    files: dict[str, Opener]
    """Function that opens each file, by its path in the bundle."""
    num_bytes: int
    """Size of all files; 0 if it is not known before reading."""


def model_source(model: str) -> Source:
    """Return the weights in safetensors files, configuration and tokenizer of a model. Raises ModelError if they cannot
    be read."""
    root, revision = Path(model).expanduser(), None
    if not root.is_dir():
        root = _model_snapshot(model)
        revision = root.name
    files = [path for pattern in _MODEL_FILES for path in root.glob(pattern) if path.is_file()]
    names = {path.name: path for path in files if not path.name.startswith("consolidated")}
    _check_weights(model, names)
    return _source("model", model if revision else root.resolve().name, revision, names)


def _model_snapshot(model: str) -> Path:
    name, revision = split_revision(model)
    try:
        return hub.download(name, revision, _MODEL_FILES, _NOT_MODEL_FILES)
    except hub.HubError as error:
        why = f"{error} {hub.advice(error, name)}".strip()
        raise ModelError(f"{model!r} is no directory here and cannot be had from the hub: {why}") from error


def _check_weights(model: str, names: dict[str, Path]) -> None:
    index = names.get(INDEX)
    try:
        wanted = set(shards(index).values()) if index else {"model.safetensors"}
    except ModelError as error:
        raise ModelError(f"model {model!r}: {error}") from error
    if missing := sorted(({"config.json"} | wanted) - names.keys()):
        raise ModelError(f"model {model!r} lacks {', '.join(missing[:4])}; weights are read from safetensors only")


def transcoder_source(transcoders: str) -> Source:
    """Return the weights and configurations of a set of transcoders.

    Files on the hub that a config.yaml names become files of the bundle. If k of TopK is only in the publisher's paper
    (see PUBLISHED_K), it is written into the config.yaml of the bundle. Raises TranscoderError for files that cannot be
    read.
    """
    folder = locate(transcoders)
    wanted = [name for name in folder.files() if name.endswith(_TRANSCODER_ENDINGS)]
    if not wanted:
        raise TranscoderError(f"{transcoders}: no transcoders; wanted are {', '.join(_TRANSCODER_ENDINGS)}")
    names = dict(zip(wanted, folder.fetch(wanted), strict=True))
    if isinstance(folder, LocalFolder):
        origin, revision = folder.root.resolve().name, None
    else:
        origin, revision = str(folder), hub.commit_of(next(iter(names.values()))) or None
    stored = read_config(names[LISTING]) if LISTING in names else {}
    listing = with_published_k(stored, folder)
    here = _listed(listing, names)
    names |= {path: fetch_uri(uri) for uri, path in here.items()}
    source = _source("transcoders", origin, revision, names)
    if here:
        listing["transcoders"] = [here.get(name, name) for name in listing["transcoders"]]
    if here or listing != stored:
        source.files[f"transcoders/{LISTING}"] = partial(BytesIO, yaml.safe_dump(listing, sort_keys=False).encode())
    return source


def _listed(listing: dict[str, Any], names: Container[str]) -> dict[str, str]:
    """Return the hub addresses that a config.yaml names, with their paths below the transcoders of the bundle."""
    listed = listing.get("transcoders")
    texts = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    remote = [name for name in texts if name.startswith("hf://")]
    outside = [name for name in texts if name not in names and name not in remote]
    if outside:
        raise TranscoderError(f"{LISTING} names {outside[0]!r}, which is not among the files beside it: move it there")
    return {uri: _path_of(uri) for uri in remote}


def _path_of(uri: str) -> str:
    """Return the path user--repo[--revision]/path for an address on the hub."""
    repo, path, revision = split_uri(uri)
    return f"{'--'.join([repo, *([revision] if revision else [])]).replace('/', '--')}/{path}"


def prompts_source(prompts: str) -> Source:
    """Return the corpus as one file named `prompts` with the ending of the original, compressed or not.

    Opening the file may raise CorpusError.
    """
    if prompts == STDIN:
        raise BundleError("a bundle takes prompts from a file, not from standard input: write them to one first")
    name = f"prompts{_ending(prompts)}"
    return Source(name, PurePosixPath(redacted_url(path_of(prompts))).name, None, {name: partial(_open, prompts)}, 0)


def _ending(prompts: str) -> str:
    endings = PurePosixPath(path_of(prompts)).suffixes
    return "".join(endings[-2 if endings and endings[-1].lower() in COMPRESSIONS else -1 :])


def _open(url: str) -> BinaryIO:
    with translate_read_errors(name_of(url)):
        return cast(BinaryIO, fsspec.open(url, "rb").open())


def _source(part: str, origin: str, revision: str | None, names: dict[str, Path]) -> Source:
    files = {f"{part}/{name}": opener_of(path) for name, path in sorted(names.items())}
    return Source(part, origin, revision, files, sum(path.stat().st_size for path in names.values()))
