"""Which differences between two weight files are seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from distributed_tracer.artifacts.checkpoint_files import check_safetensors
from distributed_tracer.artifacts.fingerprint import WHOLE_BYTES, digest_of

COUNT = 24
SIZE = WHOLE_BYTES // 4 // COUNT * 2  # floats in each: the file has twice as much as is read whole


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {f"layer{n}": generator.random(SIZE, dtype=np.float32) for n in range(COUNT)}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, np.ndarray]) -> Path:
    path = tmp_path_factory.mktemp("large") / "model.safetensors"
    save_file(weights, path)
    return path


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    digest, sampled = digest_of(path)
    assert (digest[:6], sampled) == ("2:4413", False)
    path.write_text("[]")
    assert digest_of(path)[0] != digest


def test_of_a_large_file_a_change_of_any_one_tensor_is_seen(
    large: Path, weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    digest, sampled = digest_of(large)
    assert sampled
    assert digest.startswith(f"{large.stat().st_size}:sampled:")
    seen = {digest}
    for name in ("layer0", "layer11", "layer23"):
        other = tmp_path / f"{name}.safetensors"
        save_file({**weights, name: weights[name] + np.float32(1e-3)}, other)
        assert other.stat().st_size == large.stat().st_size
        seen.add(digest_of(other)[0])
    assert len(seen) == 4


def test_one_flipped_bit_is_seen_by_reading_all_only(large: Path, tmp_path: Path) -> None:
    data = bytearray(large.read_bytes())
    data[3 * 2**20 + 12345] ^= 1
    flipped = tmp_path / "model.safetensors"
    flipped.write_bytes(data)
    assert digest_of(flipped) == digest_of(large)
    assert digest_of(flipped, full=True)[0] != digest_of(large, full=True)[0]
    assert digest_of(large, full=True)[1] is False


def test_of_another_large_file_samples_are_apart_evenly(tmp_path: Path) -> None:
    path, size = tmp_path / "params.npz", WHOLE_BYTES + 2**20
    path.write_bytes(bytes(size))
    digest = digest_of(path)
    data = bytearray(size)
    data[size // 2 : size // 2 + size // 256] = b"x" * (size // 256)
    path.write_bytes(data)
    assert digest_of(path)[0] != digest[0]


def test_a_file_that_was_cut_or_is_none_is_called_damaged(large: Path, tmp_path: Path) -> None:
    assert check_safetensors(large) == ""
    path = tmp_path / "model.safetensors"
    size = large.stat().st_size
    path.write_bytes(large.read_bytes()[:-7])
    assert check_safetensors(path) == f"model.safetensors has {size - 7:,} bytes; its header says {size:,}"
    for content in (b"", b"version https://git-lfs", b"\x02" + bytes(7) + b"[]", b"\x08" + bytes(7) + b'{"a": 1}'):
        path.write_bytes(content)
        assert "has no safetensors header" in check_safetensors(path)
