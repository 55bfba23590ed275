"""What is seen of damaged weights without reading them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from distributed_tracer.artifacts.checkpoint_files import INDEX, check_safetensors, damaged, integer_tensors

NAMES = ["a.safetensors", "b.safetensors", INDEX]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards with two tensors each, and their index."""
    shard_of = {}
    for shard in ("a", "b"):
        tensors = {f"{shard}{n}": np.ones((2, 3), dtype=np.float32) for n in range(2)}
        save_file(tensors, tmp_path / f"{shard}.safetensors")
        shard_of |= dict.fromkeys(tensors, f"{shard}.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": shard_of}))
    return tmp_path


def test_nothing_is_said_of_shards_that_are_whole(folder: Path) -> None:
    assert damaged(folder, NAMES) == []


def test_a_shard_that_is_cut_is_named_with_both_sizes(folder: Path) -> None:
    path = folder / "a.safetensors"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    assert damaged(folder, NAMES) == [f"a.safetensors has {size - 5} bytes; its header says {size}"]


def test_tensors_that_are_not_in_their_shard_are_named(folder: Path) -> None:
    save_file({"a0": np.ones((2, 3), dtype=np.float32)}, folder / "a.safetensors")
    (sentence,) = damaged(folder, NAMES)
    assert sentence == f"1 of 4 tensors are not in the shard that {INDEX} names: a1"


def test_a_pointer_of_git_lfs_is_known_for_one_whatever_file_it_stands_for(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    (folder / "b.safetensors").write_text(pointer)
    (folder / "tokenizer.json").write_text(pointer)
    (sentence,) = damaged(folder, [*NAMES, "tokenizer.json"])
    assert sentence.startswith("b.safetensors, tokenizer.json are not there: git-lfs has left only a pointer")
    assert "git lfs pull" in sentence


def test_a_header_whose_tensor_has_other_bytes_than_its_shape_needs_is_damage(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 20]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(20))
    assert check_safetensors(path) == "x.safetensors: w has 20 bytes; F32 [2, 3] needs 24"


def test_tensors_of_whole_numbers_are_named(folder: Path) -> None:
    save_file({"w": np.ones(3, dtype=np.uint8), "x": np.ones(3, dtype=np.float16)}, folder / "a.safetensors")
    assert integer_tensors(folder) == ["w"]
