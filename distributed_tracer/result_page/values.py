"""Values as text for people: numbers, addresses, names of columns, and the places of a model that a row is about."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from ..graph.labels import Label, Labels

UNKNOWN = "–"
"""What stands for a number that is not known."""
_LABEL = 60
"""Longest text of a label in a table or a picture."""


def number_text(value: Any) -> str:
    """Return a number with at most four digits after the first one that is not zero; UNKNOWN for NaN."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        text = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    else:
        text = re.sub(r"e([+-])0*(\d)", lambda found: f"e{found[1].replace('+', '')}{found[2]}", f"{value:.2e}")
    return text.replace("-", "−")


def value_text(value: Any) -> str:
    """Return any value of a document or a cell as text; addresses without the folders before the last name."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool | int | float):
        return number_text(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {value_text(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    return place_text(str(value))


def place_text(text: str) -> str:
    """Return the last name of a path or an address, and any other text as it is.

    A page is mailed, and the folders of a path say whose machine made it.
    """
    is_place = re.match(r"(~|\.{0,2})/[^/\s]|[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z]:\\", text)
    return re.split(r"[?#]", PurePath(text.replace("\\", "/")).name)[0] or text if is_place else text


def without_folders(sentence: str) -> str:
    """Return a sentence with the last name of each path in it instead of the whole path."""
    return re.sub(r"(?<![\w.:/])~?/(?:[^\s/]+/)+(?=[^\s/])", "", sentence)


def visible(text: str) -> str:
    """Return a text with a mark for the space that it begins or ends with, as tokens do."""
    if text[:1] == " ":
        text = "␣" + text[1:]
    return text[:-1] + "␣" if text[-1:] == " " else text


def label_words(labels: Iterable[Label]) -> str:
    """Return the different texts of labels in one line, as they are: pages and pictures make characters harmless where
    they show them, and quotes would stand beside those that a label has itself."""
    texts = dict.fromkeys(label.text for label in labels)
    return " | ".join(text if len(text) <= _LABEL else text[: _LABEL - 1] + "…" for text in texts)


def words(name: str) -> str:
    """Return the name of a column or a fact as words."""
    return name.removeprefix("num_").replace("_", " ")


@dataclass(frozen=True)
class Names:
    """What features and tokens are called in the store that the results are of."""

    labels: Labels = field(default_factory=Labels)
    tokens: Mapping[int, str] = field(default_factory=dict)
    """Text of the tokens that occur in the prompts of the store, by token id."""

    def site(self, kind: str, layer: int, feature: int) -> tuple[str, str]:
        """Return the name of a node without position, and what is known about it."""
        if kind == "feature":
            return f"{layer}:{feature}", label_words(self.labels.get(layer, feature))
        if kind == "error":
            return f"error of layer {layer}", ""
        if feature < 0:
            return f"{kind} without an id", ""
        token = self.tokens.get(feature)
        return f"{kind} {feature}", "" if token is None else f"“{visible(token)}”"
