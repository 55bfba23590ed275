"""RowFilter: which rows of a table of a result are wanted: by conditions on columns, and by a text to be found."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..table import Table
from ..text import short
from .columns import End, ends_of
from .values import Names

Mask = npt.NDArray[np.bool_]
_CONDITION = re.compile(r"\s*(?P<column>\w+)\s*(?P<sign>>=|<=|=)\s*(?P<value>.*?)\s*", re.DOTALL)
_SITE = re.compile(r"\s*(\d{1,6}):(\d{1,12})\s*")
_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {">=": operator.ge, "<=": operator.le, "=": operator.eq}


@dataclass(frozen=True)
class RowFilter:
    """Conditions such as `prompts>=3` or `source_kind=token`, all of which a row meets, and a text that it has.

    The text is looked for in columns of text, in what features and tokens are called, and `2:46` names a feature.
    """

    conditions: tuple[tuple[str, str, Any], ...]
    """Column, sign and value of each."""
    text: str
    ends: Sequence[End]
    texts: Sequence[str]
    """Columns of text that are searched."""
    names: Names

    @classmethod
    def of(cls, where: Sequence[str], find: str, kinds: Mapping[str, str], names: Names) -> RowFilter:
        """Read conditions and a text for a table with columns of some kinds. Raises ConfigError, which says what is
        wrong with a condition."""
        texts = [column for column, kind in kinds.items() if not kind]
        found = tuple(_condition(text, kinds) for text in where)
        return cls(found, find.strip().casefold(), ends_of(list(kinds), texts), texts, names)

    def columns(self) -> list[str]:
        """Return the columns that `mask` reads."""
        if not self.text:
            return [column for column, _, _ in self.conditions]
        of_ends = (column for end in self.ends for column in (end.kind, end.layer, end.feature) if column)
        return list(dict.fromkeys([*(column for column, _, _ in self.conditions), *of_ends, *self.texts]))

    def mask(self, rows: Table) -> Mask:
        """Return which of some rows are wanted."""
        wanted = np.ones(len(rows), dtype=bool)
        for column, sign, value in self.conditions:
            wanted &= _SIGNS[sign](rows[column], value)
        return wanted & self._has_text(rows) if self.text else wanted

    def _has_text(self, rows: Table) -> Mask:
        found = np.zeros(len(rows), dtype=bool)
        for column in self.texts:
            values = rows[column].tolist()
            has = {value: self.text in str(value).casefold() for value in set(values)}
            found |= np.fromiter((has[value] for value in values), dtype=bool, count=len(values))
        for end in self.ends:
            found |= self._is_named(end, rows)
        return found

    def _is_named(self, end: End, rows: Table) -> Mask:
        """Return at which rows an end is the feature that the text names, or has the text as its label or token."""
        layer, feature = rows[end.layer].astype(np.int64), rows[end.feature].astype(np.int64)
        is_feature = rows[end.kind] == "feature" if end.kind else np.ones(len(rows), dtype=bool)
        if site := _SITE.fullmatch(self.text):
            return np.asarray(is_feature & (layer == int(site[1])) & (feature == int(site[2])))
        found, labelled = np.zeros(len(rows), dtype=bool), self._labelled
        if labelled:
            sites = zip(layer.tolist(), feature.tolist(), strict=True)
            found |= is_feature & np.fromiter((site in labelled for site in sites), dtype=bool, count=len(rows))
        if end.kind:
            found |= np.isin(rows[end.kind].astype(str), ["token", "target"]) & np.isin(feature, self._tokens)
        return found

    @cached_property
    def _labelled(self) -> set[tuple[int, int]]:
        """Layer and index of the features of which a label has the text."""
        return {
            site for site, labels in self.names.labels if any(self.text in label.text.casefold() for label in labels)
        }

    @cached_property
    def _tokens(self) -> list[int]:
        """Ids of the tokens that have the text."""
        return [token for token, text in self.names.tokens.items() if self.text in text.casefold()]


def _condition(text: str, kinds: Mapping[str, str]) -> tuple[str, str, Any]:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ConfigError(f"a condition is COLUMN>=VALUE, COLUMN<=VALUE or COLUMN=VALUE, not {short(text)}")
    column, sign, value = found["column"], found["sign"], found["value"]
    if column not in kinds:
        raise ConfigError(unknown("column", column, list(kinds)))
    if not kinds[column]:
        if sign != "=":
            raise ConfigError(f"{column} is text, which has no order here: {column}=VALUE finds a text")
        return column, sign, value
    try:
        return column, sign, float(value)
    except ValueError:
        raise ConfigError(f"{column} is a number, which {short(value)} is not") from None
