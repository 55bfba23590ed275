"""How well colours can be told apart, by people who see all of them and by people who do not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_SEEN_BY = {
    "everyone": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopes": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What linear RGB looks like to people without one kind of cones (Machado, Oliveira and Fernandes 2009, severity 1)."""


def contrast(colour: str, background: str) -> float:
    """Return the contrast of two colours such as `#1f4e79`, from 1 to 21, as WCAG defines it."""
    dark, light = sorted(float(_linear(one) @ _XYZ[1]) + 0.05 for one in (colour, background))
    return light / dark


def least_difference(colours: Sequence[str]) -> tuple[float, str]:
    """Return the smallest distance in CIELAB of two of the colours over all kinds of colour vision, and which."""
    found = []
    for people, matrix in _SEEN_BY.items():
        for one, other in itertools.combinations(colours, 2):
            distance = float(np.linalg.norm(_lab(_linear(one) @ matrix.T) - _lab(_linear(other) @ matrix.T)))
            found.append((distance, f"{one} and {other} for {people}"))
    return min(found)


def _linear(colour: str) -> Any:
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: Any) -> Any:
    x, y, z = np.cbrt(np.clip(linear, 0, 1) @ _XYZ.T / [0.95047, 1.0, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
