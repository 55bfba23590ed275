"""Entries: what annotations of the kinds `notes`, `views`, `results` and `verdicts` say, one entry about one
subject."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .annotation_subject import parse_subject

NOTES, VIEWS, RESULTS, VERDICTS = "notes", "views", "results", "verdicts"
LONGEST_NOTE = 20_000
"""Largest number of characters of a note."""
LONGEST_NAME = 200
"""Largest number of characters of the name of a view or of a result, and of an author."""
LONGEST_ADDRESS = 16_384
"""Largest number of characters of the address of a view: it may name hundreds of pinned nodes."""
MOST_ENTRY_BYTES = 1 << 22
"""Maximum size in bytes of an annotation of these kinds."""
_QUERY = r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*"
_ADDRESS = re.compile(rf"(?:[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*)?(?:\?{_QUERY})?(?:#{_QUERY})?")


def check_address(address: str) -> None:
    """Raise ValueError unless an address is relative: a path without `..`, a query and a fragment, in ASCII.

    Such an address can name no scheme and no host, so a link to it stays on the page's own server.
    """
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"an address of {len(address):,} characters; at most {LONGEST_ADDRESS:,} are kept")
    if not address or not _ADDRESS.fullmatch(address):
        raise ValueError(
            f"an address {address[:100]!r}: expected a relative one such as graph?prompt=a, without scheme and host, "
            "other characters than those of addresses as %XX"
        )


def check_entry(kind: str, content: Mapping[str, Any]) -> None:
    """Raise one of MALFORMED unless the content is that of an annotation of one of these kinds."""
    parse_subject(content["subject"])
    entry = content["entry"]
    if entry is not None:
        if type(entry) is not dict:
            raise ValueError("an entry that is no object")
        _CHECKS[kind](entry)


def _check_note(entry: Mapping[str, Any]) -> None:
    _check_text(entry["text"], LONGEST_NOTE)


def _check_view(entry: Mapping[str, Any]) -> None:
    _check_text(entry["name"], LONGEST_NAME)
    check_address(entry["address"])


def _check_result(entry: Mapping[str, Any]) -> None:
    _check_text(entry["name"], LONGEST_NAME)
    if type(entry["result"]) is not dict:
        raise ValueError("a result that is no object")


def _check_verdict(entry: Mapping[str, Any]) -> None:
    _check_text(entry["verdict"], LONGEST_NAME)
    _check_text(entry["text"], LONGEST_NOTE)


def _check_text(text: object, most: int) -> None:
    if type(text) is not str:
        raise ValueError("a text that is not text")
    if len(text) > most:
        raise ValueError(f"a text of {len(text):,} characters; at most {most:,} are kept")


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    NOTES: _check_note,
    VIEWS: _check_view,
    RESULTS: _check_result,
    VERDICTS: _check_verdict,
}
ENTRY_KINDS = tuple(_CHECKS)
