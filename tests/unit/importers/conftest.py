from __future__ import annotations

import gzip
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "graph_files"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that circuit-tracer wrote."""
    folder = tmp_path_factory.mktemp("graph_files")
    for path in FILES.glob("*.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return folder
