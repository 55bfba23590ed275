"""Loading, and all the ways in which weights do not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rounding import largest, round_off
from safetensors.torch import load_file, save_file
from tiny import save_transcoders
from torch import Tensor
from transcoder_formats import (
    FORMATS,
    NUM_LAYERS,
    SIZE,
    WIDTH,
    gemma_tensors,
    plt_tensors,
    random_weights,
    save_npz,
    write_clt,
    write_plt,
)

from distributed_tracer.errors import ShapeMismatch, TranscoderError
from distributed_tracer.plan import machine
from distributed_tracer.shapes import ModelShape
from distributed_tracer.transcoder import load, loaded
from distributed_tracer.transcoder.load import check_fits, load_transcoders, transcoder_shape
from distributed_tracer.transcoder.shard import Shard

WEIGHTS = random_weights()
MODEL = ModelShape("LlamaForCausalLM", NUM_LAYERS, WIDTH, 2, 2, 3, 100, 64, 1000)


def change(path: Path, **tensors: Tensor | None) -> None:
    """Replaces tensors of a file, or drops them."""
    changed = {key.replace("__", "."): tensor for key, tensor in tensors.items()}
    kept = {**load_file(path), **changed}
    save_file({key: tensor.contiguous() for key, tensor in kept.items() if tensor is not None}, path)


@pytest.mark.parametrize(
    ("key", "tensor", "message"),
    [
        ("W_enc", None, "layer_1.safetensors: no tensor W_enc; found \\['W_dec', 'W_skip'"),
        ("b_dec", None, "no tensor b_dec"),
        (
            "W_enc",
            torch.zeros(SIZE, WIDTH + 1),
            "W_enc in .*layer_1.* has shape \\[11, 7\\]; \\[11, 6\\] is wanted in layer 1",
        ),
        ("W_enc", torch.zeros(SIZE), "W_enc in .* has shape \\[11\\], 1 axes; 2 are wanted"),
        ("W_dec", torch.zeros(SIZE + 1, WIDTH), "W_dec in .* has shape \\[12, 6\\]; \\[11, 6\\] is wanted"),
        ("W_dec", torch.zeros(SIZE, 2, WIDTH), "W_dec in .* has shape \\[11, 2, 6\\], 3 axes; 2 are wanted"),
        ("b_enc", torch.zeros(WIDTH), "b_enc in .* has shape \\[6\\]; \\[11\\] is wanted"),
        ("b_dec", torch.zeros(SIZE), "b_dec in .* has shape \\[11\\]; \\[6\\] is wanted"),
        ("W_skip", torch.zeros(WIDTH, 5), "W_skip in .* has shape \\[6, 5\\]; \\[6, 6\\] is wanted"),
        ("activation_function__threshold", torch.zeros(3), "threshold in .* has shape \\[3\\]; \\[11\\] is wanted"),
        ("b_enc", torch.zeros(SIZE, dtype=torch.int64), "b_enc in .* is of type I64; weights are one of F64, F32"),
        ("W_dec", torch.zeros(SIZE, WIDTH, dtype=torch.int8), "W_dec in .* is of type I8"),
    ],
)
def test_a_wrong_tensor_is_named_with_both_numbers(key: str, tensor: Tensor, message: str, tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, threshold=True, skip=True)
    change(tmp_path / "layer_1.safetensors", **{key: tensor})
    for attempt in (transcoder_shape, load_transcoders):
        with pytest.raises(TranscoderError, match=message):
            attempt(str(tmp_path))


def test_cross_layer_decoders_must_reach_exactly_the_layers_above(tmp_path: Path) -> None:
    write_clt(tmp_path, WEIGHTS)
    change(tmp_path / "W_dec_1.safetensors", W_dec_1=torch.zeros(SIZE, 3, WIDTH))
    with pytest.raises(
        TranscoderError, match=r"W_dec_1 in .* has shape \[11, 3, 6\]; \[11, 2, 6\] is wanted in layer 1"
    ):
        transcoder_shape(str(tmp_path))


def test_npz_arrays_are_checked_as_they_are_used(tmp_path: Path) -> None:
    FORMATS["gemma-scope"].save(tmp_path, WEIGHTS)
    (path,) = tmp_path.glob("layer_2/*/*/params.npz")
    save_npz({**gemma_tensors(WEIGHTS[2]), "threshold": torch.zeros(SIZE, dtype=torch.int32)}, path)
    with pytest.raises(TranscoderError, match=r"threshold in .* is of type <i4"):
        transcoder_shape(str(tmp_path))
    save_npz(plt_tensors(WEIGHTS[2]) | {"threshold": WEIGHTS[2].threshold}, path)  # encoder the other way round
    with pytest.raises(TranscoderError, match=r"W_enc\.T in .* has shape \[6, 11\]; \[6, 6\] is wanted"):
        transcoder_shape(str(tmp_path))


@pytest.mark.parametrize("key", ["W_enc", "W_dec", "b_enc", "b_dec", "W_skip", "activation_function.threshold"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_when_loaded(key: str, wrong: float, tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS, threshold=True, skip=True)
    tensor = load_file(tmp_path / "layer_1.safetensors")[key]
    tensor.view(-1)[-1] = wrong
    change(tmp_path / "layer_1.safetensors", **{key: tensor})
    if key.endswith("threshold") and wrong == float("inf"):  # a way to switch a feature off
        assert SIZE - 1 not in load_transcoders(str(tmp_path)).encode(1, torch.randn(50, WIDTH))[1]
        return
    with pytest.raises(TranscoderError, match=f"{key} in .*layer_1.* NaN"):
        load_transcoders(str(tmp_path), lazy=False)


def test_a_number_too_large_for_the_type_is_refused(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    change(tmp_path / "layer_0.safetensors", b_dec=torch.full((WIDTH,), 1e6))
    assert load_transcoders(str(tmp_path), dtype="bfloat16").decoder_bias(0).isfinite().all()
    with pytest.raises(TranscoderError, match=r"6 of 6 numbers are NaN or infinite in torch\.float16"):
        load_transcoders(str(tmp_path), dtype="float16")


def test_nan_in_a_lazy_decoder_is_refused_when_it_is_read(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    W_dec = WEIGHTS[1].W_dec[:, 0].clone()
    W_dec[4, 2] = float("nan")
    change(tmp_path / "layer_1.safetensors", W_dec=W_dec)
    transcoders = load_transcoders(str(tmp_path), lazy=True)
    assert transcoders.decoder_rows(1, torch.tensor([3, 5]), 1).isfinite().all()
    with pytest.raises(TranscoderError, match="W_dec of layer 1: 1 of 6 numbers are NaN"):
        transcoders.decoder_rows(1, torch.tensor([4]), 1)


def test_layers_may_differ_in_size(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    w = WEIGHTS[1]
    smaller = replace(w, W_enc=w.W_enc[:5], b_enc=w.b_enc[:5], W_dec=w.W_dec[:5])
    save_file(
        {key: tensor.contiguous() for key, tensor in plt_tensors(smaller).items()}, tmp_path / "layer_1.safetensors"
    )
    assert load_transcoders(str(tmp_path)).shape.features_L == (11, 5, 11)


def test_decoders_are_in_memory_if_that_leaves_more_than_half_of_it_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clt(tmp_path, WEIGHTS)
    weights = 4 * transcoder_shape(str(tmp_path)).num_parameters

    def is_lazy(**options: object) -> bool:
        """What is in the file is seen through its mapping: change it and look."""
        transcoders = load_transcoders(str(tmp_path), **options)  # type: ignore[arg-type]
        before = transcoders.decoder_rows(2, torch.tensor([0]), 2)
        path = tmp_path / "W_dec_2.safetensors"
        content = path.read_bytes()
        with open(path, "r+b") as file:
            file.seek(len(content) - SIZE * WIDTH * 4)
            file.write(b"\x00\x00\x80\x42" * WIDTH)  # 64.0
        after = transcoders.decoder_rows(2, torch.tensor([0]), 2)
        with open(path, "r+b") as file:
            file.write(content)
        in_file = not torch.equal(before, after)
        assert transcoders.decoders == ("files" if in_file else "device")
        return in_file

    assert not is_lazy()
    assert is_lazy(lazy=True)
    assert is_lazy(decoders="files")
    monkeypatch.setattr(machine, "free_cpu_bytes", lambda: weights * 10 // 4 - 1)
    assert is_lazy()
    assert not is_lazy(lazy=False)
    assert not is_lazy(decoders="device")
    assert not is_lazy(dtype="bfloat16")
    assert not is_lazy(shard=Shard(0, 2))
    monkeypatch.setattr(machine, "free_cpu_bytes", lambda: -(-weights * 10 // 4))
    assert not is_lazy()


def test_a_place_that_is_unknown_absent_or_contradicted_is_refused(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    for options, message in (
        ({"decoders": "disk"}, "unknown place 'disk' of decoders; known are auto, device, host, files"),
        ({"decoders": "host"}, "only beside a GPU, not beside cpu"),
        ({"decoders": "device", "lazy": True}, "lazy=True means decoders='files', and decoders is 'device'"),
    ):
        with pytest.raises(TranscoderError, match=message):
            load_transcoders(str(tmp_path), **options)  # type: ignore[arg-type]


def test_long_prompts_are_encoded_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plt(tmp_path, WEIGHTS)
    transcoders = load_transcoders(str(tmp_path), dtype="float64")
    x_PD = torch.randn(10, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at_once = transcoders.encode(0, x_PD)
    assert len(at_once[0]) > 10
    monkeypatch.setattr(loaded, "_PRE_ACTIVATIONS", 4 * SIZE)
    in_blocks = transcoders.encode(0, x_PD)
    assert torch.equal(at_once[0], in_blocks[0])
    assert torch.equal(at_once[1], in_blocks[1])
    off = round_off(torch.float64, WIDTH, largest(at_once[2]))  # smaller products may add up in another order
    torch.testing.assert_close(at_once[2], in_blocks[2], rtol=0, atol=off)


def test_encoding_does_not_ask_for_gradients(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    x_PD = torch.ones(2, WIDTH, requires_grad=True)
    assert not load_transcoders(str(tmp_path)).encode(0, x_PD)[2].requires_grad


def test_a_layer_that_is_not_written_to_has_no_decoder(tmp_path: Path) -> None:
    write_clt(tmp_path, WEIGHTS)
    with pytest.raises(AssertionError, match="layer 1 does not write to layer 0"):
        load_transcoders(str(tmp_path)).decoder_rows(1, torch.tensor([0]), 0)


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    write_plt(tmp_path, WEIGHTS)
    with pytest.raises(TranscoderError, match="unknown dtype 'int8'; known are float32, float64, bfloat16, float16"):
        load_transcoders(str(tmp_path), dtype="int8")


def test_a_model_of_the_same_layers_and_width_fits(tmp_path: Path) -> None:
    check_fits(transcoder_shape(str(FORMATS["plt-relu"].save(tmp_path, WEIGHTS))), MODEL)


def test_a_model_of_other_layers_or_width_is_refused_with_both_numbers(tmp_path: Path) -> None:
    shape = transcoder_shape(str(FORMATS["plt-relu"].save(tmp_path, WEIGHTS)))
    with pytest.raises(
        ShapeMismatch, match=r"LlamaForCausalLM model: the number of layers is 3 .* and 26 in the model$"
    ):
        check_fits(shape, replace(MODEL, num_layers=26))
    with pytest.raises(ShapeMismatch, match=r"d_model is 6 in the transcoders and 2304 in the model$"):
        check_fits(shape, replace(MODEL, d_model=2304))
    with pytest.raises(ShapeMismatch, match=r"3 in the transcoders and 2 in the model; d_model is 6"):
        check_fits(shape, replace(MODEL, num_layers=2, d_model=8))


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(tmp_path: Path) -> None:
    source = str(FORMATS["clt-jumprelu-skip"].save(tmp_path, WEIGHTS))
    x_PD = torch.randint(-4, 5, (9, WIDTH), generator=torch.Generator().manual_seed(1)) / 4
    cpu = load_transcoders(source)
    for lazy in (False, True):
        cuda = load_transcoders(source, device="cuda", lazy=lazy)
        for layer in range(NUM_LAYERS):
            ours, theirs = cpu.encode(layer, x_PD), cuda.encode(layer, x_PD.cuda())
            assert all(b.is_cuda and torch.equal(a, b.cpu()) for a, b in zip(ours, theirs, strict=True))
            rows_AD = cuda.decoder_rows(layer, theirs[1], NUM_LAYERS - 1)
            assert rows_AD.is_cuda
            assert torch.equal(rows_AD.cpu(), cpu.decoder_rows(layer, ours[1], NUM_LAYERS - 1))
            assert torch.equal(cuda.encoder_rows(layer, theirs[1])[0].cpu(), cpu.encoder_rows(layer, ours[1])[0])


@pytest.mark.parametrize("kind", ["plt", "clt"])
def test_layers_that_are_read_when_used_are_those_loaded_at_once_and_only_two_are_kept(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(save_transcoders(tmp_path, kind=kind))
    whole, read = load_transcoders(source), list[int]()
    original = load.load_layer

    def counting(files: Any, layer: int, *rest: Any) -> Any:
        read.append(layer)
        return original(files, layer, *rest)

    monkeypatch.setattr(load, "load_layer", counting)
    by_layer = load.transcoders_by_layer(source)
    assert read == []
    features = torch.tensor([3, 0, 39])
    for layer in (0, 1, 0, 2, 0):
        assert torch.equal(by_layer.encoder_rows(layer, features)[0], whole.encoder_rows(layer, features)[0])
        for to in whole.shape.writes_to(layer):
            assert torch.equal(by_layer.decoder_rows(layer, features, to), whole.decoder_rows(layer, features, to))
    assert read == [0, 1, 2]  # the layer used last but one stays
    by_layer.encoder_rows(1, features)
    assert read == [0, 1, 2, 1]
    assert len(by_layer.layers[0:2]) == 2
    with pytest.raises(IndexError, match="layer 3 of 3"):
        by_layer.layers[3]
    with pytest.raises(TranscoderError, match="unknown dtype 'int8'"):
        load.transcoders_by_layer(source, "int8")
