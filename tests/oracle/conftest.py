"""Cases are built once per architecture and flavour."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest
from frozen import Case, build


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Case]:
    directory = tmp_path_factory.mktemp("oracle")
    return lru_cache(maxsize=None)(lambda architecture, flavour: build(directory, architecture, flavour))
