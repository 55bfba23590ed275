"""What is asked: a `Prompt` and the `TargetSpec`s to explain. Plain data without torch; travels end to end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import CorpusError


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

    @classmethod
    def parse(cls, value: object) -> TargetSpec:
        """From JSON: an int (token id), a string (token, or `"A - B"` for a difference) or an object.

        Raises CorpusError for anything else.
        """
        if isinstance(value, bool):
            raise CorpusError(f"a target must be a token id, a string or an object, not {value!r}")
        if isinstance(value, int):
            return cls(token=value)
        if isinstance(value, str):
            return cls._parse_string(value)
        if isinstance(value, Mapping):
            return cls._parse_object(value)
        raise CorpusError(f"a target must be a token id, a string or an object, not {value!r}")

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
        known = {"token", "minus", "feature", "direction", "position", "weight", "label"}
        if unknown := sorted(set(value) - known):
            raise CorpusError(f"unknown field {unknown[0]!r} in a target; known: {', '.join(sorted(known))}")
        if sum(name in value for name in ("token", "feature", "direction")) != 1:
            raise CorpusError("a target needs exactly one of token, feature, direction")
        if "minus" in value and "token" not in value:
            raise CorpusError("a target with 'minus' needs 'token'")
        fields = dict(value)
        try:
            if "feature" in fields:
                layer, position, index = (int(n) for n in fields["feature"])
                fields["feature"] = (layer, position, index)
            if "direction" in fields:
                fields["direction"] = tuple(float(x) for x in fields["direction"])
            if fields.get("weight") is not None:
                fields["weight"] = float(fields["weight"])
            fields["position"] = int(fields.get("position", -1))
        except (TypeError, ValueError) as error:
            raise CorpusError(f"malformed target {value!r}: {error}") from error
        for name in ("token", "minus"):
            if name in fields and (isinstance(fields[name], bool) or not isinstance(fields[name], int | str)):
                raise CorpusError(f"{name!r} of a target must be a token id or a string, not {fields[name]!r}")
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


def content_id(text: str | None, tokens: Sequence[int] | None, targets: Sequence[TargetSpec] = ()) -> str:
    """The id of a prompt that has none: 16 hex digits of a SHA-256 over what is asked."""
    asked = {"text": text, "tokens": None if tokens is None else list(tokens)}
    if targets:
        asked["targets"] = [t.to_json() for t in targets]  # type: ignore[assignment]
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
