"""Pictures of the page as files of SVG, which a browser shows as images: each has its own style, and nothing runs."""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from importlib.resources import files
from typing import Literal

Theme = Literal["light", "dark"]


def caption_of(picture: str) -> str:
    """Return the caption of a picture that `svg.picture` made, as plain text."""
    found = re.search(r' aria-label="([^"]*)"', picture)
    return unescape(found[1]) if found else ""


def size_of(picture: str) -> tuple[int, int]:
    """Return width and height of a picture that `svg.picture` made, in pixels."""
    found = re.search(r' width="(\d+)" height="(\d+)"', picture)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def standalone(picture: str, theme: Theme) -> bytes:
    """Return a picture that `svg.picture` made as a file of SVG, in the colours of a theme.

    The texts in it are escaped for HTML by characters that XML has, too.
    """
    drawn = picture[picture.index("<svg ") : picture.rindex("</svg>") + len("</svg>")]
    head, _, marks = drawn.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{_style(theme)}</style>{marks}'.encode()


@cache
def _style(theme: Theme) -> str:
    folder = files(__package__).joinpath("html")
    page, of_pictures = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "picture.css"))
    light, dark = re.findall(r":root \{([^}]*)\}", page)[:2]
    return f"svg {{{dark if theme == 'dark' else light}}}\n{of_pictures}"
