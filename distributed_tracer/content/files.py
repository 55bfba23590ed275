"""Files: those of a model or of transcoders, as one machine has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Files:
    """The files of a model or of transcoders on one node."""

    source: str
    folder: str | None
    """None: not on this node."""
    missing: str = ""
    """Why not."""
    on_hub: bool = False
    """A hub id that is not in this node's cache: with a network, it can be downloaded."""
    digests: Mapping[str, str] | None = None
    """Size and hash by name."""
    num_bytes: int = 0
    num_sampled: int = 0
    """So many of the files, the large ones, were not read whole."""
    damaged: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    """Of the digests: those of a config.yaml that names files, perhaps elsewhere, and of these files."""

    @property
    def fingerprint(self) -> str:
        """Eight digits, the same on nodes with the same files."""
        return hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()[:8]
