"""search_features: features by part of a label, by a token that they promote, or by number."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ConfigError
from ..graph.labels import Label, Labels
from ..labels.in_store import bounds_check
from ..profile.layout import WEIGHTS, layer_file
from ..profile.reader import Profile
from .served_store import ServedStore

MOST_WEIGHT_BYTES = 64 << 20
"""Largest size of a profile's files of weights whose promoted tokens are searched: they are held in memory."""
PROMOTED_RANKS = 5
"""Only tokens among this many most promoted ones of a feature are searched."""
_SITE = re.compile(r"\s*(\d{1,9}):(\d{1,15})\s*")


class PromotedTokens:
    """The features that promote each token; read from the profile when something is first searched."""

    def __init__(self, profile: Profile | None) -> None:
        """Remember the profile; nothing is read."""
        self._profile, self._lock = profile, threading.Lock()
        self._found: Mapping[str, list[tuple[float, int, int, str]]] | None = None

    @property
    def is_there(self) -> bool:
        """Whether promoted tokens can be searched: there is a profile, and it is not too large."""
        if self._profile is None:
            return False
        files = self._profile.info["files"]
        sizes = [files[name][0] for layer in self._profile.layers if (name := layer_file(WEIGHTS, layer)) in files]
        return bool(sizes) and sum(sizes) <= MOST_WEIGHT_BYTES

    def features(self, text: str) -> list[tuple[int, int, str]]:
        """Return layer, index and token of the features that promote a token, those that promote it most first.

        Case and spaces around the token do not matter.
        """
        if not self.is_there:
            return []
        with self._lock:
            if self._found is None:
                self._found = self._read()
        return [found[1:] for found in sorted(self._found.get(_plain(text), ()), reverse=True)]

    def _read(self) -> Mapping[str, list[tuple[float, int, int, str]]]:
        found: dict[str, list[tuple[float, int, int, str]]] = {}
        assert self._profile is not None
        for layer in self._profile.layers:
            for feature, promoted, _ in self._profile.decoders(layer):
                for token in promoted[:PROMOTED_RANKS]:
                    row = (token.weight, layer, feature, token.token)
                    found.setdefault(_plain(token.token), []).append(row)
        return found


def search_features(served: ServedStore, text: str, limit: int) -> dict[str, Any]:
    """Return the features that match a text, each once, the best matches first.

    `12:3045` is that feature; then come those with a label that is the text, begins with it, or has it; then those that
    promote it as a token. Each has `by` (`number`, `label`, `token`) and `match`, the label or token. Raises
    ConfigError for a text without characters, and for a number that no feature of the store has.
    """
    if not text.strip():
        raise ConfigError("the parameter text is empty: give part of a label, a token, or a feature such as 12:3045")
    promoted = served.once("promoted tokens", lambda: PromotedTokens(served.profile))
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for layer, feature, by, match in _matches(served, text, promoted):
        found.setdefault((layer, feature), {"layer": layer, "feature": feature, "by": by, "match": match})
    return {
        "num_found": len(found),
        "features": list(found.values())[:limit],
        "num_labelled": len(served.store.labels),
        "searches_tokens": promoted.is_there,
    }


def _matches(served: ServedStore, text: str, promoted: PromotedTokens) -> Iterator[tuple[int, int, str, str]]:
    if site := _SITE.fullmatch(text):
        layer, feature = int(site[1]), int(site[2])
        bounds_check(served.store)(layer, feature)
        yield layer, feature, "number", f"{layer}:{feature}"
    yield from ((layer, feature, "label", label.text) for layer, feature, label in _labelled(served.store.labels, text))
    yield from ((layer, feature, "token", token) for layer, feature, token in promoted.features(text))


def _labelled(labels: Labels, text: str) -> list[tuple[int, int, Label]]:
    """Return the labels that have a text, in any case: equal ones first, then those that begin with it."""
    wanted = _plain(text)
    found = []
    for (layer, feature), of_feature in labels:
        for label in of_feature:
            plain = _plain(label.text)
            if wanted in plain:
                found.append((plain != wanted, not plain.startswith(wanted), layer, feature, label))
    return [row[2:] for row in sorted(found)]


def _plain(text: str) -> str:
    return text.strip().casefold()
