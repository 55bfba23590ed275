"""A server of a small store, for the browser tests of one file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Server, make_store, served


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of five prompts of the demo's model. Tests that write annotations copy it."""
    return make_store(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(small_store: Path) -> Iterator[Server]:
    """A server of the small store, which nobody can change."""
    with served(small_store, "--read-only") as found:
        yield found


@pytest.fixture
def store(small_store: Path, tmp_path: Path) -> Path:
    """A store that a test may change."""
    return Path(shutil.copytree(small_store, tmp_path / "store"))
