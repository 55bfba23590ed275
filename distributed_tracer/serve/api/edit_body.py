"""What the bodies of all edits of annotations have: known keys, texts, an author, and the edits that are replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigError
from ...plain_values import shown
from ..served_store import ServedStore

AUTHOR = {"type": "string", "description": "Who says so; default: the server's --author."}
PARENTS = {"type": "array", "items": {"type": "string"}, "description": "Refs of what is replaced."}
"""JSON schemas of two of them."""


def fields_of(body: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return the body of an edit. Raises ConfigError if it is no JSON object or has other keys than the known ones."""
    if not isinstance(body, dict):
        raise ConfigError(f"the body is a JSON object with some of {', '.join(known)}, not {shown(body)}")
    if strange := sorted(set(body) - set(known)):
        raise ConfigError(f"the body has the unknown key {shown(strange[0])}; known are {', '.join(known)}")
    return body


def text_of(body: Mapping[str, Any], name: str) -> str | None:
    """Return a text of a body, None if the body does not have it. Raises ConfigError for what is no text."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} is text, or left out")
    return value


def author_of(served: ServedStore, body: Mapping[str, Any]) -> str:
    """Return the author of an edit: the server's, if the body has none. Raises ConfigError."""
    author = text_of(body, "author")
    return served.settings.author if author is None else author


def parents_of(body: Mapping[str, Any]) -> list[str]:
    """Return the refs of what an edit replaces. Raises ConfigError."""
    parents = body.get("parents") or []
    if not (isinstance(parents, list) and all(isinstance(parent, str) for parent in parents)):
        raise ConfigError("parents is a list of the refs of what is replaced")
    return parents
