"""Fields of a row to a `Prompt`, each checked. This is the one place that says what a prompt may be."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import CorpusError
from ..prompt import Prompt, TargetSpec, content_id
from .row import show

MAX_ID_CHARS = 512


def prompt_of(fields: Mapping[str, object]) -> Prompt:
    """The prompt that `fields` describe; null means absent. Raises CorpusError saying what is wrong."""
    text, tokens = _text_of(fields), _tokens_of(fields)
    if (text is None) == (tokens is None):
        found = "neither" if text is None else "both"
        raise CorpusError(f"text or tokens: found {found}, expected exactly one")
    targets = _targets_of(fields)
    metadata = {k: v for k, v in fields.items() if k not in ("id", "text", "tokens", "targets")}
    for name, value in metadata.items():
        _check_storable({name: value}, f"metadata {show(name)}")
    _check_storable([target.to_json() for target in targets], "targets")
    return Prompt(id_of(fields) or content_id(text, tokens, targets), text, tokens, targets, metadata)


def id_of(fields: Mapping[str, object]) -> str | None:
    """The id as given, numbers as their digits; None if absent. Raises CorpusError if it cannot be one."""
    value = fields.get("id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise CorpusError(f"wrong id: found {show(value)}, expected a string or a number")
    id_ = str(value)
    if not id_.strip():
        raise CorpusError(f"empty id: found {show(value)}, expected at least one visible character")
    if len(id_) > MAX_ID_CHARS:
        raise CorpusError(f"id too long: found {len(id_)} characters, expected at most {MAX_ID_CHARS}")
    _check_storable(value, "id")
    return id_


def _text_of(fields: Mapping[str, object]) -> str | None:
    value = fields.get("text")
    if value is None:
        return None
    if not isinstance(value, str):
        raise CorpusError(f"wrong text: found {show(value)}, expected a string")
    if not value:
        raise CorpusError("empty text: found '', expected at least one character")
    _check_storable(value, "text")
    return value


def _tokens_of(fields: Mapping[str, object]) -> tuple[int, ...] | None:
    value = fields.get("tokens")
    if value is None:
        return None
    if not isinstance(value, list):
        raise CorpusError(f"wrong tokens: found {show(value)}, expected a list of token ids")
    if not value:
        raise CorpusError("empty tokens: found [], expected at least one token id")
    for position, token in enumerate(value):
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise CorpusError(f"wrong token id at position {position}: found {show(token)}, expected an integer from 0")
    return tuple(value)


def _targets_of(fields: Mapping[str, object]) -> tuple[TargetSpec, ...]:
    value = fields.get("targets")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise CorpusError(f"wrong targets: found {show(value)}, expected a list of targets")
    targets = []
    for number, target in enumerate(value, start=1):
        try:
            targets.append(TargetSpec.parse(target))
        except CorpusError as error:
            raise CorpusError(f"target {number}: {error}") from error
    return tuple(targets)


def _check_storable(value: object, what: str) -> None:
    """Refuse what cannot be written as JSON in UTF-8: NaN, dates, bytes, halves of surrogate pairs."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(error.object[error.start]):04X}"
        raise CorpusError(f"wrong {what}: found half a surrogate pair, {half}, expected text") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise CorpusError(f"wrong {what}: found {show(value)} ({error}), expected JSON values") from error
