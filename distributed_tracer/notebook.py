"""Drawings for notebooks: how an object finds who draws it, although drawing belongs to a layer above its own.

The package itself, which is the highest layer, registers who draws what; this module knows nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_DRAWERS: dict[str, Callable[[Any], str]] = {}


def register(kind: str, draw: Callable[[Any], str]) -> None:
    """Let `draw` make the HTML that notebooks display of objects of the class named `kind`."""
    _DRAWERS[kind] = draw


def drawing(thing: object) -> str:
    """Return the drawing of an object as HTML; empty if nobody draws it, or if what is needed is not installed."""
    draw = _DRAWERS.get(type(thing).__name__)
    return draw(thing) if draw else ""
