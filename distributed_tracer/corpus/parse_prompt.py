"""Parse prompt: turns the fields of a row into a `Prompt` and checks them. It alone defines what a valid prompt is."""

from __future__ import annotations

from collections.abc import Mapping

from .. import plain_values
from ..errors import CorpusError, InputError
from ..prompt import Prompt, TargetSpec, hash_prompt
from .row import prompt_columns, show

MAX_TARGETS = 10_000
"""Largest number of targets of a prompt; each target becomes a row of the graph."""


def parse_prompt(fields: Mapping[str, object], text_field: str = "text") -> Prompt:
    """Return the prompt that `fields` describe; a null value means that a field is absent.

    The text is in the field `text_field`. If `text_field` is not `text`, fields named `text` and `messages` are
    ordinary metadata, unless `text_field` names one of them. Raises CorpusError that says what is wrong.
    """
    names = prompt_columns(text_field)
    present = [name for name in names if fields.get(name) is not None]
    if not present:
        raise CorpusError(
            f"{_either(names)}: found none, expected exactly one; --text-field names another for the text"
        )
    if len(present) > 1:
        raise CorpusError(f"{_either(names)}: found {' and '.join(present)}, expected exactly one")
    text = _text_of(fields, text_field) if text_field in present and text_field != "messages" else None
    tokens = _tokens_of(fields)
    messages = plain_values.messages(fields["messages"], CorpusError) if "messages" in present else ()
    targets = _targets_of(fields)
    metadata = {k: v for k, v in fields.items() if k not in ("id", "targets", *names)}
    for name, value in metadata.items():
        plain_values.check_storable({name: value}, f"metadata {show(name)}", CorpusError)
    id_ = id_of(fields) or hash_prompt(text, tokens, targets, messages)
    try:
        return Prompt(id_, text, tokens, targets, metadata, messages=messages)
    except InputError as error:
        raise CorpusError(str(error)) from error


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def id_of(fields: Mapping[str, object]) -> str | None:
    """Return the id in `fields`, a number as its digits; None if there is none. Raises CorpusError if it is invalid."""
    value = fields.get("id")
    return None if value is None else plain_values.prompt_id(value, CorpusError)


def _text_of(fields: Mapping[str, object], name: str) -> str:
    text = plain_values.text(fields[name], CorpusError)
    if not text:
        raise CorpusError(f"empty {name}: found '', expected at least one character")
    return text


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
    if len(value) > MAX_TARGETS:
        raise CorpusError(f"too many targets: found {len(value):,}, expected at most {MAX_TARGETS:,}")
    targets = []
    for number, target in enumerate(value, start=1):
        try:
            targets.append(TargetSpec.parse(target))
        except InputError as error:
            raise CorpusError(f"target {number}: {error}") from error
    plain_values.check_storable([target.to_json() for target in targets], "targets", CorpusError)
    return tuple(targets)
