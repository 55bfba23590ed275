"""The identity of files, as a run records it."""

from __future__ import annotations

from distributed_tracer.artifacts.local_files import identity_of, model_files, transcoder_files


def fingerprints(model: str, transcoders: str) -> dict[str, dict[str, str]]:
    """Return hashes and commits of a model and of transcoders on this machine."""
    return identity_of({"model": model_files(model), "transcoders": transcoder_files(transcoders)})
