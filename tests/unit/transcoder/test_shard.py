"""Feature ranges of shards."""

from __future__ import annotations

import pickle

import pytest

from distributed_tracer.errors import TranscoderError
from distributed_tracer.transcoder.shard import Shard


@pytest.mark.parametrize("num_features", [0, 1, 11, 12, 16384])
@pytest.mark.parametrize("count", [1, 2, 5, 13])
def test_shards_share_every_feature_once_and_evenly(num_features: int, count: int) -> None:
    parts = [Shard(index, count).features(num_features) for index in range(count)]
    assert [feature for part in parts for feature in part] == list(range(num_features))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_default_is_the_whole() -> None:
    assert Shard().features(7) == range(7)


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_none_is_refused(index: int, count: int) -> None:
    with pytest.raises(TranscoderError, match=f"shard {index} of {count}"):
        Shard(index, count)


def test_a_shard_travels_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Shard(1, 3))) == Shard(1, 3)
