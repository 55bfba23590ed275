"""Sets of slices that do not make a whole, and slices asked for what others keep."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transcoder_formats import FORMATS, NUM_LAYERS, WIDTH, random_weights

from distributed_tracer.errors import TranscoderError
from distributed_tracer.transcoder.load import load_transcoders
from distributed_tracer.transcoder.shard import Shard
from distributed_tracer.transcoder.sharded import ShardedTranscoders


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(FORMATS["plt-topk-skip"].save(tmp_path, random_weights()))


def test_holders_that_are_missing_twice_there_or_out_of_order_are_refused(source: str) -> None:
    first, second = (load_transcoders(source, shard=Shard(index, 2)) for index in range(2))
    for holders in ([first], [first, first], [second, first], []):
        with pytest.raises(ValueError, match="each shard needs one owner"):
            ShardedTranscoders(holders)


def test_a_slice_of_topk_transcoders_does_not_decide_alone(source: str) -> None:
    part = load_transcoders(source, shard=Shard(1, 2))
    with pytest.raises(TranscoderError, match="shard 1 of 2 cannot determine which 4 features"):
        part.encode(0, torch.zeros(1, WIDTH))


def test_a_slice_refuses_features_of_others(source: str) -> None:
    part = load_transcoders(source, shard=Shard(1, 2))
    for wrong in (4, 11):
        with pytest.raises(AssertionError, match=r"shard 1 of 2 has range\(5, 11\) only"):
            part.encoder_rows(0, torch.tensor([wrong]))


def test_what_belongs_to_no_feature_belongs_to_slice_0(source: str) -> None:
    weights = random_weights()
    first, second = (load_transcoders(source, shard=Shard(index, 2)) for index in range(2))
    for layer in range(NUM_LAYERS):
        assert torch.equal(first.decoder_bias(layer), weights[layer].b_dec)
        assert not second.decoder_bias(layer).any()
        assert first.skip(layer) is not None
        assert second.skip(layer) is None
