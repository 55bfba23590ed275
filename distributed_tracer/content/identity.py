"""What a model and transcoders are, beyond their names: hashes of their files, or commits on the hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath

from .files import Files
from .find import model_files, transcoder_files

_WEIGHTS = (".safetensors", ".npz")


def content_of(model: str, transcoders: str) -> dict[str, dict[str, str]]:
    """`content`: a hash of the files in a directory, by samples of the large ones; `revisions`: commits on the hub.

    What is not on this machine is left out. A commit is no hash of the weights: it also changes with a README, so that
    it is worth knowing, but nothing to refuse a run for. Files that a config.yaml lists may be of other repositories,
    which no commit of its own covers: they are always hashed.
    """
    found = {"model": model_files(model), "transcoders": transcoder_files(transcoders)}
    content = {
        name: _hash(files, name == "model") for name, files in found.items() if files.listed or not _commit(files)
    }
    revisions = {name: _commit(files) for name, files in found.items()}
    return {
        "content": {name: value for name, value in content.items() if value},
        "revisions": {name: value for name, value in revisions.items() if value},
    }


def _hash(files: Files, only_weights: bool) -> str:
    """Of weights and configurations. A model's tokenizer is left out: prompts tell what tokens they have.

    Of a folder in the hub's cache only what is listed: what else is there depends on what was downloaded so far.
    """
    digests = files.digests or {}
    if _commit(files):
        digests = {name: digest for name, digest in digests.items() if name in files.listed}
    if not any(name.partition("?")[0].endswith(_WEIGHTS) for name in digests):
        return ""
    chosen = {
        name: digest
        for name, digest in digests.items()
        if not only_weights or name.endswith(_WEIGHTS) or name == "config.json"
    }
    return f"sha256:{hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()}"


def _commit(files: Files) -> str:
    """From where the hub's cache keeps what it has: `.../snapshots/<commit>/...`; empty for other directories."""
    parts = PurePosixPath(files.folder or "").parts
    cached = any(part.startswith("models--") for part in parts) and "snapshots" in parts[:-1]
    return parts[parts.index("snapshots") + 1] if cached else ""
