"""ServeSettings: everything that the flags of `serve` set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServeSettings:
    """Settings of one server."""

    store: str
    """Directory or URL of the store."""
    host: str = "127.0.0.1"
    """Address to listen at; the default is reached from this machine alone."""
    port: int = 8765
    """Port to listen at; 0 takes a free one."""
    profile: str | None = None
    """Folder of a profile of features."""
    mined: Sequence[str] = ()
    """Folders of results of mining."""
    model: str | None = None
    transcoders: str | None = None
    """Model and transcoders for interventions; without them the pages have none."""
    device: str = "cpu"
    read_only: bool = False
    """Whether all changes are refused."""
    author: str = ""
    """Name written into annotations where a request gives none."""
    allowed_hosts: Sequence[str] = field(default_factory=tuple)
    """Names by which browsers may reach the server, besides those of this machine's own loopback and `host`."""
    token: str | None = None
    """The secret of the printed address; None makes one."""
    most_nodes: int = 50_000
    """Largest number of nodes sent of a graph: all targets and tokens, then the most influential ones."""
    most_edges: int = 1_000_000
    """Largest number of edges sent of a graph: those that pass on most influence."""
    cache_bytes: int = 256 << 20
    """Memory for replies that are kept."""
