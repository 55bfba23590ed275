"""Hashes by which contexts are sampled: of a seed, a feature, a prompt's id and a position, and of nothing else.

The active tokens of a feature with the smallest hashes are a uniform sample of them, whichever process saw which token
in which order.

Axes: P position, A active feature.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def position_keys(seed: int, prompt_id: str, position_P: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Return a pseudo-random number for each position of a prompt: uint64 [P]."""
    digest = blake2b(f"{seed}\0{prompt_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return _mixed(np.uint64(int.from_bytes(digest, "little")) + position_P.astype(np.uint64) * _STEP)


def hashes(layer: int, feature_A: npt.NDArray[np.integer], key_A: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the hash of each active feature, given the key of its position: uint64 [A]."""
    site_A = (np.uint64(layer) << np.uint64(40)) + feature_A.astype(np.uint64) + np.uint64(1)
    return _mixed(_mixed(site_A * _STEP) ^ key_A)


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the output function of SplitMix64 (Steele, Lea, Flood 2014) of each number, in place."""
    x ^= x >> np.uint64(30)
    x *= _FIRST
    x ^= x >> np.uint64(27)
    x *= _SECOND
    x ^= x >> np.uint64(31)
    return x
