"""Prompt: `Prompt` and the `TargetSpec`s to explain, as plain data without torch. All stages of a run use them."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from . import plain_values
from .errors import CorpusError, PromptError, TargetError


class _NotThat(Exception):
    """Signal that a field of a target has a value of the wrong kind."""


def _token(value: Any) -> int | str:
    if isinstance(value, str):
        if value:
            return str(value)
    elif (token := plain_values.integer(value, "", _NotThat)) >= 0:
        return token
    raise _NotThat


def _site(value: Any) -> tuple[int, ...]:
    site = plain_values.integers(value, "", _NotThat)
    if len(site) == 3:
        return site
    raise _NotThat


def _vector(value: Any) -> tuple[float, ...]:
    if vector := plain_values.floats(value, "", _NotThat):
        return vector
    raise _NotThat


def _weight(value: Any) -> float:
    if (weight := plain_values.finite(value, "", _NotThat)) >= 0:
        return weight
    raise _NotThat


def _label(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise _NotThat


_TARGET_FIELDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "token": (_token, "a token id or a string that is not empty"),
    "minus": (_token, "a token id or a string that is not empty"),
    "feature": (_site, "three integers (layer, position, index)"),
    "direction": (_vector, "a list of finite numbers"),
    "position": (lambda value: plain_values.integer(value, "", _NotThat), "an integer"),
    "weight": (_weight, "a finite number from 0"),
    "label": (_label, "a string"),
}


@dataclass(frozen=True)
class TargetSpec:
    """One target to explain, as the user wrote it. Exactly one of `token`, `feature`, `direction` is set.

    `token` is an id or a string; with `minus` the target is the difference of the logits of two tokens. `feature` is
    (layer, position, index). `direction` is a vector of the model's width, used as it is at the final norm's output.
    `position` counts the tokens of the prompt from 0, which is the leading special token; a negative position counts
    from the end. `weight` is the weight of the target in influence; None means the probability of a token, and 1 for
    other targets. Numbers may be of NumPy or torch. Raises TargetError for anything else.
    """

    token: int | str | None = None
    minus: int | str | None = None
    feature: tuple[int, int, int] | None = None
    direction: tuple[float, ...] | None = None
    position: int = -1
    weight: float | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        found = {name: value for name, value in vars(self).items() if value is not None}
        if sum(name in found for name in ("token", "feature", "direction")) != 1:
            raise TargetError("a target needs exactly one of token, feature, direction")
        if "minus" in found and "token" not in found:
            raise TargetError("a target with 'minus' needs 'token'")
        for name, value in found.items():
            convert, expected = _TARGET_FIELDS[name]
            if isinstance(value, str):
                plain_values.check_storable(value, f"{name!r} of a target", TargetError)
            try:
                object.__setattr__(self, name, convert(value))
            except _NotThat:
                raise TargetError(f"{name!r} of a target must be {expected}, not {plain_values.shown(value)}") from None

    @property
    def named_positions(self) -> tuple[int, ...]:
        """Positions that the target names."""
        return (self.position,) if self.feature is None else (self.feature[1],)

    @classmethod
    def parse(cls, value: object) -> TargetSpec:
        """Return the target that a JSON value stands for.

        The value is an int (token id), a string (token, or `"A - B"` for a difference) or an object. Raises CorpusError
        for anything else.
        """
        if isinstance(value, str):
            return cls._parse_string(value)
        if isinstance(value, Mapping):
            return cls._parse_object(value)
        try:
            token = plain_values.integer(value, "a target", CorpusError)
        except CorpusError:
            shown = plain_values.shown(value)
            raise CorpusError(f"a target must be a token id, a string or an object, not {shown}") from None
        return cls._parse_object({"token": token})

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
        try:
            return cls(**{name: found for name, found in value.items() if found is not None})
        except TargetError as error:
            raise CorpusError(str(error)) from error

    def to_json(self) -> dict[str, Any]:
        """Return the target as a JSON object, without the fields that have their default."""
        defaults = {f.name: f.default for f in fields(self)}
        return {k: v for k, v in vars(self).items() if v != defaults[k]}


@dataclass(frozen=True)
class Prompt:
    """One prompt of a corpus: its input, its targets, and its metadata.

    The input is a text, token ids, or the messages of a chat; once tokenized, a prompt has both text and ids. Values
    are converted to the types of the fields: token ids may be an array or tensor [P] or [1, P] or the output of a
    tokenizer, targets anything that `TargetSpec.parse` takes, messages mappings of role and content. Raises PromptError
    or TargetError for values that cannot be converted, and for values that a store cannot hold.
    """

    id: str
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    targets: tuple[TargetSpec, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)
    """Where the prompt was read from, as `file:line`, for messages."""
    messages: tuple[tuple[str, str], ...] = ()
    """Messages of a chat as (role, content), for the tokenizer's chat template."""

    def __post_init__(self) -> None:
        converted = {
            "id": plain_values.prompt_id(self.id, PromptError),
            "text": None if self.text is None else plain_values.text(self.text, PromptError),
            "tokens": None if self.tokens is None else plain_values.token_ids(self.tokens, PromptError),
            "targets": _targets(self.targets),
            "metadata": _metadata(self.metadata),
            "messages": plain_values.messages(self.messages, PromptError) if self.messages else (),
        }
        if converted["messages"] and converted["text"] is not None:
            raise PromptError("a prompt is a text or the messages of a chat, not both")
        for name, value in converted.items():
            object.__setattr__(self, name, value)

    @property
    def content_hash(self) -> str:
        """Hash of what determines the graph of the prompt: its token ids and targets, not its id or metadata."""
        return hash_prompt(None, self.tokens, self.targets)


def hash_prompt(
    text: str | None,
    tokens: Sequence[int] | None,
    targets: Sequence[TargetSpec] = (),
    messages: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the id of a prompt that has none: the first 16 hex digits of the SHA-256 of its input and targets.

    Raises PromptError for a text that UTF-8 cannot encode.
    """
    if text is not None:
        plain_values.check_storable(text, "text", PromptError)
    content: dict[str, Any] = {"text": text, "tokens": None if tokens is None else list(tokens)}
    if targets:
        content["targets"] = [t.to_json() for t in targets]
    if messages:
        content["messages"] = [list(message) for message in messages]
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _targets(value: Any) -> tuple[TargetSpec, ...]:
    if isinstance(value, str | bytes | Mapping | TargetSpec) or not hasattr(value, "__iter__"):
        raise TargetError(f"targets must be a list of targets, not {reprlib.repr(value)}")
    try:
        targets = tuple(item if isinstance(item, TargetSpec) else TargetSpec.parse(item) for item in value)
    except CorpusError as error:
        raise TargetError(str(error)) from error
    plain_values.check_storable([target.to_json() for target in targets], "targets", TargetError)
    return targets


def _metadata(value: Any) -> Mapping[str, Any]:
    """Return the metadata, with numbers and arrays of NumPy or torch converted to Python values.

    Raises PromptError for metadata that is not JSON or is too large.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise PromptError(f"metadata must be an object with text as keys, not {plain_values.shown(value)}")
    plain = {key: item.tolist() if hasattr(item, "tolist") else item for key, item in value.items()}
    num_bytes = 0
    for key, item in plain.items():
        num_bytes += plain_values.check_storable(
            {key: item}, f"metadata {reprlib.repr(key)}", PromptError, allow_nan=True
        )
    if num_bytes > plain_values.MAX_METADATA_BYTES:
        raise PromptError(
            f"metadata take {num_bytes:,} bytes as JSON, expected at most {plain_values.MAX_METADATA_BYTES:,}"
        )
    return plain
