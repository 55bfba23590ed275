"""A small store, results that were mined from it, and a server of both, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Server, make_store, served

from distributed_tracer.cli.main import main
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of five prompts of the demo's model. Tests that change it copy it."""
    return make_store(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def mined(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An atlas, its chains, similar prompts, and influence through errors."""
    folder, store = tmp_path_factory.mktemp("mined"), str(small_store)
    atlas, chains, similar, dark = (folder / name for name in ("atlas", "chains", "similar", "dark"))
    assert main(["mine", "atlas", store, "--out", str(atlas)]) == 0
    assert main(["mine", "chains", store, "--atlas", str(atlas), "--out", str(chains)]) == 0
    assert main(["mine", "similar", store, "--out", str(similar)]) == 0
    assert main(["mine", "dark-matter", store, "--out", str(dark)]) == 0
    return [atlas, chains, similar, dark]


@pytest.fixture(scope="session")
def inside(small_store: Path, mined: list[Path]) -> ServedStore:
    """The store and the results as requests see them, without a server. Nothing is written into them."""
    return ServedStore(ServeSettings(str(small_store), mined=tuple(map(str, mined))))


@pytest.fixture(scope="module")
def server(small_store: Path) -> Iterator[Server]:
    """A server of the small store, which nobody can change."""
    with served(small_store, "--read-only") as found:
        yield found
