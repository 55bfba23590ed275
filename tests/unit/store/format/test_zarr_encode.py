"""encode: what a part's arrays take."""

from __future__ import annotations

import json

import numpy as np

from distributed_tracer.store.format.schema import COLUMNS
from distributed_tracer.store.format.zarr_encode import encode_group, round_weights

WEIGHT = COLUMNS["edges/weight"]


def bytes_a_value(bits: int) -> float:
    """Of a chunk of weights with mantissas that nobody can foresee."""
    rng = np.random.default_rng(0)
    weight_E = (rng.standard_normal(WEIGHT.chunk_rows) * rng.lognormal(0, 1, WEIGHT.chunk_rows)).astype(np.float32)
    (chunk,) = (
        data
        for key, data in encode_group("part", [(WEIGHT, round_weights(weight_E, bits))]).items()
        if not key.endswith("zarr.json")
    )
    return len(chunk) / len(weight_E)


def test_weights_take_little_more_than_they_tell() -> None:
    """23 random bits, a sign and 3.1 bits of exponent are 27.1 bits; zstd alone takes 30.0."""
    assert 27.0 < 8 * bytes_a_value(23) < 27.5


def test_weights_of_10_bits_take_half() -> None:
    assert 14.0 < 8 * bytes_a_value(10) < 14.5


def test_all_but_bytes_are_shuffled() -> None:
    document = json.loads(
        encode_group(
            "part", [(c, np.zeros((9, 2) if c.by_layer else 9, c.dtype)) for c in COLUMNS.values() if not c.names]
        )["zarr.json"]
    )
    for name, array in document["consolidated_metadata"]["metadata"].items():
        if array["node_type"] == "array":
            compressor = array["codecs"][-1]
            is_bytes = array["data_type"] == "uint8"
            assert compressor["name"] == ("zstd" if is_bytes else "blosc"), name
            assert is_bytes or compressor["configuration"]["shuffle"] == "shuffle", name
