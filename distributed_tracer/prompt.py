"""What is asked: a `Prompt` and the `TargetSpec`s to explain. Plain data, no torch; travels end to end."""

from __future__ import annotations

import hashlib
import json
import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from .errors import CorpusError


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_token(value: object) -> bool:
    return value != "" if isinstance(value, str) else _is_integer(value) and cast(int, value) >= 0


_TARGET_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "token": (_is_token, "a token id or a string that is not empty"),
    "minus": (_is_token, "a token id or a string that is not empty"),
    "feature": (
        lambda value: isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_integer, value)),
        "three integers (layer, position, index)",
    ),
    "direction": (
        lambda value: isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_number, value)),
        "a list of finite numbers",
    ),
    "position": (_is_integer, "an integer"),
    "weight": (lambda value: _is_number(value) and value >= 0, "a finite number from 0"),
    "label": (lambda value: isinstance(value, str), "a string"),
}


@dataclass(frozen=True)
class TargetSpec:
    """One thing to explain, as the user wrote it. Exactly one of `token`, `feature`, `direction` is set.

    A token is an id or a string; with `minus` the target is the difference of two tokens' logits.
    `feature` is (layer, position, index). `direction` is a vector of the model's width, used as it is at
    the final norm's output. `position` counts from the end if negative. `weight` is the share of the
    target in influence; None means its probability (tokens) or 1 (everything else).
    """

    token: int | str | None = None
    minus: int | str | None = None
    feature: tuple[int, int, int] | None = None
    direction: tuple[float, ...] | None = None
    position: int = -1
    weight: float | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        """Raises CorpusError for a token or label that is no text: see `check_text`."""
        for name in ("token", "minus", "label"):
            check_text(getattr(self, name), f"{name!r} of a target")

    @classmethod
    def parse(cls, value: object) -> TargetSpec:
        """From JSON: an int (token id), a string (token, or `"A - B"` for a difference) or an object.

        Raises CorpusError for anything else.
        """
        if isinstance(value, int) and not isinstance(value, bool):
            return cls._parse_object({"token": value})
        if isinstance(value, str):
            return cls._parse_string(value)
        if isinstance(value, Mapping):
            return cls._parse_object(value)
        raise CorpusError(f"a target must be a token id, a string or an object, not {reprlib.repr(value)}")

    @classmethod
    def _parse_string(cls, value: str) -> TargetSpec:
        if not value:
            raise CorpusError("a target must not be an empty string")
        plus, separator, minus = value.partition(" - ")
        if separator and plus and minus:
            return cls(token=plus, minus=minus, label=value)
        return cls(token=value)

    @classmethod
    def _parse_object(cls, value: Mapping[str, Any]) -> TargetSpec:
        if unknown := sorted(set(value) - set(_TARGET_FIELDS)):
            known = ", ".join(sorted(_TARGET_FIELDS))
            raise CorpusError(f"unknown field {reprlib.repr(unknown[0])} in a target; known: {known}")
        fields = {name: found for name, found in value.items() if found is not None}
        if sum(name in fields for name in ("token", "feature", "direction")) != 1:
            raise CorpusError("a target needs exactly one of token, feature, direction")
        if "minus" in fields and "token" not in fields:
            raise CorpusError("a target with 'minus' needs 'token'")
        for name, found in fields.items():
            accepts, expected = _TARGET_FIELDS[name]
            if not accepts(found):
                raise CorpusError(f"{name!r} of a target must be {expected}, not {reprlib.repr(found)}")
        if "feature" in fields:
            fields["feature"] = tuple(fields["feature"])
        if "direction" in fields:
            fields["direction"] = tuple(map(float, fields["direction"]))
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """The object form, without the fields left at their defaults."""
        defaults = TargetSpec()
        return {k: v for k, v in vars(self).items() if v != getattr(defaults, k)}


@dataclass(frozen=True)
class Prompt:
    """One prompt of a corpus: text or token ids (or both, once tokenized), what to explain, and metadata."""

    id: str
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    targets: tuple[TargetSpec, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)
    """`file:line` it was read from, for messages."""

    def __post_init__(self) -> None:
        """Raises CorpusError for an id, text or metadata with what is no text: see `check_text`."""
        for name in ("id", "text", "metadata"):
            check_text(getattr(self, name), name)

    @property
    def asked(self) -> str:
        """What decides the prompt's graph, as a hash: its token ids and targets, not its id or metadata."""
        return content_id(None, self.tokens, self.targets)


def content_id(text: str | None, tokens: Sequence[int] | None, targets: Sequence[TargetSpec] = ()) -> str:
    """The id of a prompt that has none: 16 hex digits of a SHA-256 over what is asked.

    Raises CorpusError for a text that is none: see `check_text`.
    """
    check_text(text, "text")
    asked: dict[str, Any] = {"text": text, "tokens": None if tokens is None else list(tokens)}
    if targets:
        asked["targets"] = [t.to_json() for t in targets]
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def check_text(value: object, what: str) -> None:
    """Raises CorpusError if a string here, or anywhere inside of lists and mappings, holds half a surrogate pair.

    UTF-8 has no such characters, tokenizers take none, and two halves side by side would come back from a store as one
    character: another id than the one that was stored.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"U+{ord(value[error.start]):04X}"
            raise CorpusError(f"wrong {what}: found half a surrogate pair, {half}, expected text") from error
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key, what)
            check_text(item, what)
    elif isinstance(value, list | tuple):
        for item in value:
            check_text(item, what)
