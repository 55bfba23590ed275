"""Reading tensors from files, and only as much of them as is asked for."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from distributed_tracer.errors import TranscoderError
from distributed_tracer.transcoder.load import load_transcoders
from distributed_tracer.transcoder.shard import Shard
from distributed_tracer.transcoder.tensor_files import TensorInfo, TensorRef, map_rows, read, read_headers

W_SD = torch.arange(60.0).view(10, 6)
B_S = torch.arange(7.0)  # odd lengths move what follows


@pytest.fixture(params=["safetensors", "npz", "compressed", "fortran"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / ("w.safetensors" if request.param == "safetensors" else "w.npz")
    if request.param == "safetensors":
        save_file({"b": B_S, "W": W_SD}, path)
    elif request.param == "fortran":
        np.savez(path, b=B_S.numpy(), W=np.asfortranarray(W_SD.numpy()))
    else:
        (np.savez_compressed if request.param == "compressed" else np.savez)(path, b=B_S.numpy(), W=W_SD.numpy())
    return path


def test_headers_say_what_is_there(file: Path) -> None:
    assert read_headers(file) == {"b": TensorInfo((7,), "F32"), "W": TensorInfo((10, 6), "F32")}


def test_whole_ranges_and_mapped_rows_agree(file: Path) -> None:
    place = TensorRef(file, "W")
    assert torch.equal(read(place), W_SD)
    assert torch.equal(read(place, range(3, 8)), W_SD[3:8])
    assert torch.equal(read(place, range(4, 4)), W_SD[4:4])
    assert torch.equal(map_rows(place), W_SD)
    assert torch.equal(map_rows(place)[torch.tensor([9, 0, 9])], W_SD[[9, 0, 9]])


def test_a_transposed_tensor_is_turned_round(file: Path) -> None:
    place = TensorRef(file, "W", transposed=True)
    assert torch.equal(read(place), W_SD.T)
    assert torch.equal(read(place, range(2, 5)), W_SD.T[2:5])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_float_type_can_be_mapped(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"b": B_S.to(torch.float16), "W": W_SD.to(dtype)}, tmp_path / "w.safetensors")
    mapped_SD = map_rows(TensorRef(tmp_path / "w.safetensors", "W"))
    assert mapped_SD.dtype == dtype
    assert torch.equal(mapped_SD, W_SD.to(dtype))


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_a_file_that_is_not_there_broken_or_cut_off_is_named(name: str, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "other" / name
    path.parent.mkdir()
    with pytest.raises(TranscoderError, match=f"{name}: no such file"):
        read_headers(path)
    whole = file.read_bytes()
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(TranscoderError, match=f"{name}: cannot be read .*is the download complete"):
            read_headers(path)


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "w.npz", W=np.array([Trap()], dtype=object))
    assert read_headers(tmp_path / "w.npz") == {"W": TensorInfo((1,), "|O")}
    with pytest.raises(TranscoderError, match="allow_pickle=False"):
        read(TensorRef(tmp_path / "w.npz", "W"))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(TranscoderError, match=r"p\.npz: cannot be read"):
        read_headers(tmp_path / "p.npz")
    assert not (tmp_path / "sprung").exists()


def hollow(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file of float32 zeros that takes no room on the disk."""
    header, end = {}, 0
    for key, shape in shapes.items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def test_only_the_rows_asked_for_come_into_memory(tmp_path: Path) -> None:
    hollow(tmp_path / "w.safetensors", {"W": [2**20, 2, 1024]})  # 8 GiB
    before = resident_mib()
    mapped_SLD = map_rows(TensorRef(tmp_path / "w.safetensors", "W"))
    rows_FD = mapped_SLD[torch.arange(0, 2**20, 2**10), 1]
    assert rows_FD.shape == (1024, 1024)  # 4 MiB, in 4 MiB of pages
    assert resident_mib() - before < 32


def test_a_slice_and_lazy_decoders_bring_only_their_part_into_memory(tmp_path: Path) -> None:
    size, width = 2**20, 1024
    shapes = {"W_enc": [size, width], "W_dec": [size, width], "b_enc": [size], "b_dec": [width]}
    hollow(tmp_path / "layer_0.safetensors", shapes)  # 8 GiB
    config = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    (tmp_path / "config.yaml").write_text(config)
    before = resident_mib()
    part = load_transcoders(str(tmp_path), shard=Shard(500, 1000))  # 4 MiB each of encoder and decoder
    assert len(part.layers[0].features) in (1048, 1049)
    assert resident_mib() - before < 64
    lazy = load_transcoders(str(tmp_path), shard=Shard(3, 10**6), lazy=True)
    rows_FD: Tensor = lazy.decoder_rows(0, torch.tensor(list(lazy.layers[0].features)), 0)
    assert rows_FD.shape == (1, width)
    assert resident_mib() - before < 64


def header_file(path: Path, header: object, data: int = 0, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + bytes(data))
    return path


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b'{"W":' * 900, "nested too deeply|bad JSON"),
        ([1], "its header is no object"),
        ({"W": 1}, "no dtype, shape and data_offsets"),
        ({"W": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}, "no dtype, shape and data_offsets"),
        ({"W": {"dtype": "F32", "shape": [1] * 10_000, "data_offsets": [0, 4]}}, "no dtype, shape and data_offsets"),
        ({"W": {"dtype": "F32", "shape": [2**64], "data_offsets": [0, 4]}}, "no dtype, shape and data_offsets"),
        (b'{"W": {"dtype": "F32", "shape": [%s], "data_offsets": [0, 4]}}' % (b"9" * 5000), "5,000 digits"),
        ({"W": {"dtype": "F32", "shape": [2**40, 2**22], "data_offsets": [0, 4]}}, "cannot be read"),
    ],
)
def test_a_hostile_header_is_refused_by_name(header: object, says: str, tmp_path: Path) -> None:
    path = header_file(tmp_path / "w.safetensors", header, data=4)
    with pytest.raises(TranscoderError, match=says) as caught:
        read_headers(path)
    assert "w.safetensors: cannot be read" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_header_is_not_as_long_as_its_length_says(tmp_path: Path) -> None:
    for length, says in ((2**40, "at most 33,554,432 are read"), (1000, "1,000 bytes; the file holds 2")):
        with pytest.raises(TranscoderError, match=says):
            read_headers(header_file(tmp_path / "w.safetensors", {}, length=length))


def test_an_archive_that_would_unpack_to_more_than_its_arrays_is_refused(tmp_path: Path) -> None:
    def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
        with zipfile.ZipFile(tmp_path / "w.npz", "w", method) as file, warnings.catch_warnings(action="ignore"):
            for name, data in members:
                file.writestr(name, data)
        return tmp_path / "w.npz"

    def array(shape: tuple[int, ...], num_bytes: int, descr: str = "<f4") -> bytes:
        text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(num_bytes)

    assert torch.equal(read(TensorRef(archive(("W.npy", array((2, 3), 24))), "W")), torch.zeros(2, 3))
    for members, says in (
        ((("W.npy", array((2**30, 2**10), 24)),), "W has 24 bytes; its shape .* needs 4,398,046,511,104"),
        ((("W.npy", array((2, 3), 2**24)),), "W has 16,777,216 bytes; its shape .* needs 24"),
        ((("W.npy", array((-1, -6), 24)),), "its shape"),
        (("LZMA", ("W.npy", array((2, 3), 24))), "packed by method 14"),
        ((("readme.txt", b"x"),), "'readme.txt' is no array"),
        (
            (
                ("W.npy", array((1,), 4)),
                ("W.npy", array((1,), 4)),
            ),
            "an array is there twice",
        ),
        ((("W.npy", b"\x93NUMPY\x01\x00\x08\x00{((((((("),), "cannot be read"),
        ((("W.npy", b"\x93NUMPY\x03\x00\x08\x00\x00\x00{}      "),), "format version"),
    ):
        lzma = members[0] == "LZMA"
        path = archive(*members[lzma:], method=zipfile.ZIP_LZMA if lzma else zipfile.ZIP_DEFLATED)
        with pytest.raises(TranscoderError, match=says) as caught:
            read_headers(path)
        assert "w.npz: cannot be read" in str(caught.value)
        with pytest.raises(TranscoderError, match=r"w\.npz: cannot be read"):
            read(TensorRef(path, "W"))
