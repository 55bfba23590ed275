"""Redaction: removes credentials from addresses and command lines in texts.

A URL may hold a password (`https://user:password@host/x`) or a signature in its query (`?X-Amz-Signature=...`,
`?sig=...`, `?token=...`). The names of all such parameters cannot be listed, so the whole user part, query and fragment
are removed. Code that stores, logs or raises a text that may hold an address passes the text through `redacted` first.
"""

from __future__ import annotations

import re

_AROUND = "'\"`)]}>,;:"
"""Characters that may follow an address in a sentence and are not part of it."""
_HOST_END = re.compile(r"[/?#]")
_QUERY = re.compile(r"[?#]")
_TOKENS = re.compile(r"\b(hf_|AKIA|ASIA|ghp_|github_pat_|sk-)\w{8,}")
_SETTINGS = re.compile(r"(?i)((?:token|secret|password|key)\w*[= ])\S+")


def redacted(text: str) -> str:
    """Return the text with dots in place of user parts, queries and fragments of addresses, and of tokens of known
    forms.

    The time is proportional to the length of the text, whatever the text contains.
    """
    if "://" in text:
        text = re.sub(r"\S+", lambda word: _word(word[0]), text)
    return _TOKENS.sub(r"\1...", text)


def redacted_url(url: str) -> str:
    """Return one address, which may hold spaces, redacted as a whole. A path that is not an address stays as it is."""
    if "://" not in url:
        return url
    return redacted(re.sub(r"\s", "_", url))  # the text after a space may be half of a password


def redacted_argument(text: str) -> str:
    """Return one argument of a command line, redacted; it may be a flag with an address as its value.

    Redact an argument before you cut it or break it into lines: a password in half an address is not recognised.
    """
    return redacted(redacted_url(text))


def without_secrets(text: str) -> str:
    """Return a command line, redacted, and without the values of flags and variables whose names suggest a secret."""
    return _SETTINGS.sub(r"\1...", redacted(text))


def cause_to_show(error: BaseException) -> BaseException | None:
    """Return the cause to use in `raise ... from`: the error, or None if a message in its chain holds a secret."""
    chain: BaseException | None = error
    while chain is not None:
        if redacted(str(chain)) != str(chain):
            return None
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return error


def _word(word: str) -> str:
    """Return a word without spaces, redacted; it may hold any number of addresses."""
    begin, *rest = word.split("://")
    done = [begin]
    for piece in rest:
        shown = _without_user(piece)
        if query := _QUERY.search(shown):  # a query may hold further addresses and extends to the end of the word
            after = word[len(word.rstrip(_AROUND)) :]
            return "://".join([*done, f"{shown[: query.end()]}...{after}"])
        done.append(shown)
    return "://".join(done)


def _without_user(piece: str) -> str:
    """Return the text after `://` without its user part.

    A password may hold a slash. It is recognised by the colon before it, unless that colon begins a port number.
    """
    end = _HOST_END.search(piece)
    host = piece[: end.start()] if end else piece
    at = host.rfind("@")
    if at < 0 and (colon := host.find(":")) >= 0 and not re.fullmatch(r"\d*", host[colon + 1 :]):
        at = piece.rfind("@")
    return piece if at < 0 else f"...@{piece[at + 1 :]}"
