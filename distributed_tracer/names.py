"""Unknown names: the message about one, which lists the closest known names. Also names of files that must not be
used."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

from .text import and_more, printable, short

_LISTED = 40
"""Longest list of names in a message; for a longer one the message gives the count only."""
_COMPARED = 10_000
"""Largest number of names that are all compared letter by letter, which takes 0.1 s. Of more names, only those with
the same beginning are compared."""
_LONGEST = 200
"""Largest number of letters of a name that is compared: comparing takes time in proportion to the product of both
lengths."""
_PIECE = 3
"""Smallest number of letters that are looked for inside other names."""


_ELSEWHERE = re.compile(r"/|[A-Za-z]:|.*[\\\x00]|(.*/)?\.\.(/|$)", re.DOTALL)


def is_elsewhere(name: object) -> bool:
    """Whether a file name that was read from a file may lead outside the folder that it is meant for.

    That is the case if it is absolute or contains `..`, on this system or another (`C:x`, `a\\b`), and for an empty
    name.
    """
    return not isinstance(name, str) or not name or _ELSEWHERE.match(name) is not None


def unknown(what: str, name: object, known: Collection[str], quoted: bool = False) -> str:
    """Return a message such as `no column 'topc'; there are id, topic. Did you mean 'topic'?`

    Set `quoted` if names may have several words.
    """
    listed = list(known)
    shown = [repr(other) if quoted else printable(str(other))[:_LONGEST] for other in listed[:_LISTED]]
    more = and_more(len(listed) - _LISTED)
    shown_name = short(name, _LONGEST) if isinstance(name, str) else repr(name)
    return f"no {what} {shown_name}; there are {', '.join(shown) or 'none'}{more}{hint(name, listed)}"


def hint(name: object, known: Collection[str]) -> str:
    """Return `. Did you mean 'a' or 'b'?`, or an empty string if no name is close. Case and outer spaces do not
    count."""
    close = closest(name, known)
    return f". Did you mean {' or '.join(map(repr, close))}?" if close else ""


def closest(name: object, known: Collection[str], count: int = 3) -> list[str]:
    """Return at most `count` of the known names: those that begin with `name` or contain it, then the closest."""
    if not isinstance(name, str) or len(name) > _LONGEST:
        return []
    inside = [other for other in known if len(name) >= _PIECE and name.casefold() in other.casefold()]
    inside.sort(key=lambda other: (not other.casefold().startswith(name.casefold()), len(other), other))
    candidates = [other for other in known if len(other) <= _LONGEST]
    if len(candidates) > _COMPARED:
        candidates = [other for other in candidates if other[:2] == name[:2]][:_COMPARED]
    folded: dict[str, list[str]] = {}
    for other in candidates:
        folded.setdefault(other.casefold().strip(), []).append(other)
    close = get_close_matches(name.casefold().strip(), folded, count, 0.7)
    return list(dict.fromkeys([*inside[:count], *(other for key in close for other in folded[key])]))[:count]
