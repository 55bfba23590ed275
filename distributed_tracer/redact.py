"""Redaction: text without the credentials that addresses and command lines hold.

A URL may hold a password (`https://user:password@host/x`) or a signature in its query (`?X-Amz-Signature=...`,
`?sig=...`, `?token=...`). Nobody can list the names of all such parameters, so the whole user part, query and fragment
go. Whatever stores, logs or raises a text that may hold an address passes it through `redacted` first.
"""

from __future__ import annotations

import re

_AROUND = "'\"`)]}>,;:"
"""What a sentence writes after an address: it is no part of one."""
_HOST_END = re.compile(r"[/?#]")
_QUERY = re.compile(r"[?#]")
_TOKENS = re.compile(r"\b(hf_|AKIA|ASIA|ghp_|github_pat_|sk-)\w{8,}")
_SETTINGS = re.compile(r"(?i)((?:token|secret|password|key)\w*[= ])\S+")


def redacted(text: str) -> str:
    """The text with dots for user parts, queries and fragments of addresses, and for tokens of known forms.

    Takes time in proportion to the length of the text, whatever it holds.
    """
    if "://" in text:
        text = re.sub(r"\S+", lambda word: _word(word[0]), text)
    return _TOKENS.sub(r"\1...", text)


def redacted_url(url: str) -> str:
    """The same of what is one address, which may hold spaces; a path that is no address stays as it is."""
    if "://" not in url:
        return url
    return redacted(re.sub(r"\s", "_", url))  # what follows a space could be half a password


def redacted_argument(text: str) -> str:
    """The same of one argument of a command line, which may be a flag with an address for its value.

    To be used before it is cut or broken into lines: half an address hides what is a password.
    """
    return redacted(redacted_url(text))


def without_secrets(text: str) -> str:
    """`redacted`, and without the values of flags and variables whose names sound secret: for command lines."""
    return _SETTINGS.sub(r"\1...", redacted(text))


def cause_to_show(error: BaseException) -> BaseException | None:
    """For `raise ... from`: the error itself, or None where a message of its chain holds what must not be shown."""
    chain: BaseException | None = error
    while chain is not None:
        if redacted(str(chain)) != str(chain):
            return None
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return error


def _word(word: str) -> str:
    """A word without spaces, in which any number of addresses may stand."""
    begin, *rest = word.split("://")
    done = [begin]
    for piece in rest:
        shown = _without_user(piece)
        if query := _QUERY.search(shown):  # which may hold further addresses: it ends with the word
            after = word[len(word.rstrip(_AROUND)) :]
            return "://".join([*done, f"{shown[: query.end()]}...{after}"])
        done.append(shown)
    return "://".join(done)


def _without_user(piece: str) -> str:
    """What follows `://`. A password that holds a slash is known by the colon before it, unless that begins a port."""
    end = _HOST_END.search(piece)
    host = piece[: end.start()] if end else piece
    at = host.rfind("@")
    if at < 0 and (colon := host.find(":")) >= 0 and not re.fullmatch(r"\d*", host[colon + 1 :]):
        at = piece.rfind("@")
    return piece if at < 0 else f"...@{piece[at + 1 :]}"
