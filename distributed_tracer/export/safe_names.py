"""Names of files, slugs and scans: made of characters that every file system, web server and viewer accepts."""

from __future__ import annotations

import re
from collections.abc import Container
from hashlib import sha256

SAFE = "A-Za-z0-9_.-"
"""The characters that Neuronpedia allows in slugs and scans, which is the narrowest rule of all readers."""
_LONGEST = 100
_OTHERS = re.compile(f"[^{SAFE}]+")
_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any ending."""
_HASHES = (8, 16, 64)
"""Numbers of hexadecimal digits that are tried, the fewest first."""


def is_safe(name: str) -> bool:
    """Whether a name has safe characters only, is no hidden file and no device, and is not too long."""
    whole = re.fullmatch(f"[{SAFE}]{{1,{_LONGEST}}}", name)
    return bool(whole) and not name.startswith((".", "-")) and not name.endswith(".") and not _WINDOWS.fullmatch(name)


def safe_name(text: str, taken: Container[str] = ()) -> str:
    """Return a safe name for a text: the text itself if it is safe, else what remains of it with a part of its hash.

    `taken` has names in lower case. None of them is returned, since file systems may ignore case.
    """
    if is_safe(text) and text.lower() not in taken:
        return text
    kept = _OTHERS.sub("-", text)[: _LONGEST - 1 - _HASHES[-1]].strip(".-")
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    names = [f"{kept}-{digest[:length]}" if kept else f"graph-{digest[:length]}" for length in _HASHES]
    return next((name for name in names if is_safe(name) and name.lower() not in taken), f"graph-{digest}")
