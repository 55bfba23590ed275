"""What a model and transcoders are, beyond their names: hashes of their files, or commits on the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from .files import Files
from .find import model_files, transcoder_files

WEIGHTS = (".safetensors", ".npz")


def content_of(model: str, transcoders: str) -> dict[str, dict[str, str]]:
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
