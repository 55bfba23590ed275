"""What holds for transcoders of every format, however they are kept: whole, in their files, or in slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rounding import round_off
from torch import Tensor
from transcoder_formats import FORMATS, NUM_LAYERS, SIZE, WIDTH, Format, expected_active, quarters, random_weights

from distributed_tracer.transcoder.activation import merge
from distributed_tracer.transcoder.base import Transcoders
from distributed_tracer.transcoder.load import load_transcoders, transcoder_shape
from distributed_tracer.transcoder.shard import Shard
from distributed_tracer.transcoder.sharded import ShardedTranscoders

WEIGHTS = random_weights()
X_PD = quarters(torch.Generator().manual_seed(1), 9, WIDTH)
LAYERS = range(NUM_LAYERS)
FEATURES_F = torch.tensor([0, 10, 3, 3, 7])


def in_slices(source: str, count: int, lazy: bool) -> ShardedTranscoders:
    return ShardedTranscoders(
        [load_transcoders(source, shard=Shard(index, count), lazy=lazy) for index in range(count)]
    )


KEPT: dict[str, Callable[[str], Transcoders]] = {
    "resident": lambda source: load_transcoders(source, lazy=False),
    "lazy": lambda source: load_transcoders(source, lazy=True),
    "one slice": lambda source: in_slices(source, 1, lazy=False),
    "three slices": lambda source: in_slices(source, 3, lazy=False),
    "three lazy slices": lambda source: in_slices(source, 3, lazy=True),
    "more slices than features": lambda source: in_slices(source, SIZE + 2, lazy=False),
}


@pytest.fixture(scope="module", params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Format, str]:
    chosen = FORMATS[request.param]
    return chosen, str(chosen.save(tmp_path_factory.mktemp("transcoders") / request.param, WEIGHTS))


@pytest.fixture(scope="module", params=KEPT)
def kept(request: pytest.FixtureRequest, written: tuple[Format, str]) -> Transcoders:
    return KEPT[request.param](written[1])


def test_exactly_the_features_of_the_definition_are_active(written: tuple[Format, str], kept: Transcoders) -> None:
    for layer in LAYERS:
        positions_A, features_A, activations_A = kept.encode(layer, X_PD)
        assert positions_A.dtype == features_A.dtype == torch.int64
        found = list(zip(positions_A.tolist(), features_A.tolist(), activations_A.tolist(), strict=True))
        assert found == expected_active(written[0], WEIGHTS[layer], X_PD)


def test_no_position_has_no_active_feature(kept: Transcoders) -> None:
    assert [len(tensor) for tensor in kept.encode(0, X_PD[:0])] == [0, 0, 0]


def test_encoder_rows_are_those_written(kept: Transcoders) -> None:
    for layer in LAYERS:
        W_enc_FD, b_enc_F = kept.encoder_rows(layer, FEATURES_F)
        assert torch.equal(W_enc_FD, WEIGHTS[layer].W_enc[FEATURES_F])
        assert torch.equal(b_enc_F, WEIGHTS[layer].b_enc[FEATURES_F])


def test_decoder_rows_are_those_written_for_every_layer_written_to(kept: Transcoders) -> None:
    for layer in LAYERS:
        for output_layer in kept.shape.writes_to(layer):
            rows_FD = kept.decoder_rows(layer, FEATURES_F, output_layer)
            assert torch.equal(rows_FD, WEIGHTS[layer].W_dec[FEATURES_F, output_layer - layer])


def test_rows_of_no_feature_are_empty(kept: Transcoders) -> None:
    none_F = FEATURES_F[:0]
    assert kept.decoder_rows(1, none_F, 1).shape == kept.encoder_rows(1, none_F)[0].shape == (0, WIDTH)


def test_bias_and_skip_are_those_written(written: tuple[Format, str], kept: Transcoders) -> None:
    for layer in LAYERS:
        assert torch.equal(kept.decoder_bias(layer), WEIGHTS[layer].b_dec)
        skip_DD = kept.skip(layer)
        assert torch.equal(skip_DD, WEIGHTS[layer].W_skip) if skip_DD is not None else not written[0].skip


def test_everything_is_in_the_type_asked_for(written: tuple[Format, str]) -> None:
    for lazy in (False, True):
        halved = load_transcoders(written[1], dtype="bfloat16", lazy=lazy)
        W_enc_FD, b_enc_F = halved.encoder_rows(2, FEATURES_F)
        tensors = [halved.encode(2, X_PD)[2], W_enc_FD, b_enc_F, halved.decoder_bias(2)]
        tensors += [halved.decoder_rows(2, FEATURES_F, 2), halved.skip(2)] if written[0].skip else []
        assert {tensor.dtype for tensor in tensors if tensor is not None} == {torch.bfloat16} == {halved.dtype}


def test_the_shape_is_known_from_headers(written: tuple[Format, str], kept: Transcoders) -> None:
    chosen, source = written
    shape = transcoder_shape(source)
    assert shape == kept.shape
    assert (shape.kind, shape.activation, shape.has_skip) == (chosen.kind, chosen.activation, chosen.skip)
    assert (shape.num_layers, shape.d_model, shape.features_L) == (NUM_LAYERS, WIDTH, (SIZE,) * NUM_LAYERS)
    assert (shape.input_site, shape.output_site) == (chosen.input_site, chosen.output_site)
    outputs = [len(shape.writes_to(layer)) for layer in LAYERS]
    per_layer = SIZE * WIDTH + SIZE + WIDTH
    per_layer += SIZE * (chosen.activation == "jumprelu") + WIDTH**2 * chosen.skip
    assert shape.num_parameters == NUM_LAYERS * per_layer + sum(outputs) * SIZE * WIDTH


def test_what_slices_write_adds_up_to_what_the_whole_writes(written: tuple[Format, str]) -> None:
    whole = load_transcoders(written[1])
    parts = [load_transcoders(written[1], shard=Shard(index, 3)) for index in range(3)]
    for layer in LAYERS:
        active = whole.encode(layer, X_PD)
        if whole.shape.activation == "topk":
            chosen = merge([part.encode_candidates(layer, X_PD) for part in parts])
            of_part = [part.shard.features(SIZE) for part in parts]
            shares = [tuple(t[(chosen[1] >= r.start) & (chosen[1] < r.stop)] for t in chosen) for r in of_part]
        else:
            shares = [part.encode(layer, X_PD) for part in parts]
        written_PD = sum(write(part, layer, *share) for part, share in zip(parts, shares, strict=True))
        assert isinstance(written_PD, Tensor)
        assert torch.equal(written_PD, write(whole, layer, *active))


def write(transcoders: Transcoders, layer: int, positions_A: Tensor, features_A: Tensor, values_A: Tensor) -> Tensor:
    """The reconstruction [P, D] of one layer's MLP, as far as these transcoders have it."""
    skip_DD = transcoders.skip(layer)
    out_PD = transcoders.decoder_bias(layer) + (X_PD @ skip_DD.T if skip_DD is not None else torch.zeros_like(X_PD))
    return out_PD.index_add(0, positions_A, transcoders.decoder_rows(layer, features_A, layer) * values_A[:, None])


@pytest.mark.parametrize(
    "case", sorted((Path(__file__).parents[1] / "cases").glob("*/transcoders")), ids=lambda p: p.parent.name
)
def test_reference_cases_are_kept_alike_in_any_way(case: Path) -> None:
    whole = load_transcoders(str(case), lazy=False)
    x_PD = torch.randn(7, whole.shape.d_model, generator=torch.Generator().manual_seed(0))
    for other in (load_transcoders(str(case), lazy=True), in_slices(str(case), 5, lazy=True)):
        for layer in range(whole.shape.num_layers):
            ours, theirs = whole.encode(layer, x_PD), other.encode(layer, x_PD)
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
            # products of other sizes may add up in another order
            off = round_off(torch.float32, whole.shape.d_model, max(ours[2].abs().tolist(), default=0.0))
            torch.testing.assert_close(ours[2], theirs[2], rtol=0, atol=off)
            for output_layer in whole.shape.writes_to(layer):
                rows_AD = whole.decoder_rows(layer, ours[1], output_layer)
                assert torch.equal(rows_AD, other.decoder_rows(layer, ours[1], output_layer))
