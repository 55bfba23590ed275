"""Replies as bytes: compressed once where they never change, within the memory that is given to them."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest

from distributed_tracer.serve import responses
from distributed_tracer.serve.endpoint import Encoded, Json
from distributed_tracer.serve.responses import response_of
from distributed_tracer.serve.served_store import ByteCache

GZIP = {"accept-encoding": "gzip, br"}


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what has been compressed."""
    sizes: list[int] = []
    compress = gzip.compress

    def counting(data: bytes, *given: Any, **named: Any) -> bytes:
        sizes.append(len(data))
        return compress(data, *given, **named)

    monkeypatch.setattr(responses.gzip, "compress", counting)
    return sizes


def reply(number: int, size: int = 50_000) -> Encoded:
    return Encoded(np.random.default_rng(number).integers(0, 4, size, np.uint8).tobytes(), f"etag {number}")


def test_what_never_changes_is_compressed_once(compressed: list[int]) -> None:
    cache = ByteCache(1 << 20)
    one, other = reply(1), reply(2, 60_000)
    for _ in range(3):
        for sent in (one, other):
            found = response_of(sent, GZIP, cache)
            assert found.headers["content-encoding"] == "gzip"
            assert gzip.decompress(bytes(found.body)) == sent.content
    assert compressed == [50_000, 60_000]
    assert bytes(response_of(one, {}, cache).body) == one.content
    assert response_of(one, {**GZIP, "if-none-match": '"etag 1"'}, cache).status_code == 304


def test_without_an_etag_or_a_cache_nothing_is_kept(compressed: list[int]) -> None:
    cache = ByteCache(1 << 20)
    for _ in range(2):
        response_of(Json(list(range(5_000))), GZIP, cache)
        response_of(reply(1), GZIP)
    assert len(compressed) == 4


def test_memory_is_bounded_and_replies_stay_right(compressed: list[int]) -> None:
    size = len(gzip.compress(reply(0).content, 1))
    compressed.clear()
    cache = ByteCache(2 * size + size // 2)  # room for two
    for number in (0, 1, 2, 0, 0):
        assert gzip.decompress(bytes(response_of(reply(number), GZIP, cache).body)) == reply(number).content
    assert len(compressed) == 4  # the first was dropped for the third
