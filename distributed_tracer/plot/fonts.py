"""Fonts for the text in pictures: finds a font for each character, or shows its code point if no font has it.

matplotlib draws an empty box for a character that no font of its list has, and it does not know fonts that were
installed after it made that list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

FIRST = "DejaVu Sans"
_PREFERRED = ("Noto Sans CJK SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei", "PingFang SC", "Noto Sans")
_NO_TEXT = re.compile(r"cm[a-z]+\d|STIX(NonUnicode|Size)|Last ?Resort")
"""Fonts that come with matplotlib for formulas, and one that has a box for every character."""
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH")
_NAMED = 5
LINE_HEIGHT = 1.22
"""Height of a line of text, in sizes of its font."""


def readable(text: str) -> str:
    """Return the text, with an escape such as `\\u9996` for each character that no font has.

    Fonts that are needed are added to matplotlib's list.
    """
    found = []
    for character in text:
        font = FIRST if character.isascii() else font_with(character)
        if font:
            _use(font)
        found.append(character if font else character.encode("unicode_escape").decode("ascii"))
    return "".join(found)


def missing(texts: Iterable[str]) -> str:
    """Return a line that says which fonts to install for characters that no font here has; empty if none is missing."""
    lacking = dict.fromkeys(c for text in texts for c in text if c.isprintable() and not (c.isascii() or font_with(c)))
    if not lacking:
        return ""
    named = " ".join(f"U+{ord(c):04X}" for c in list(lacking)[:_NAMED]) + (" ..." if len(lacking) > _NAMED else "")
    fonts = ", ".join(dict.fromkeys(map(_advice, lacking)))
    return f"no font here has {len(lacking)} of the characters ({named}), so their code points stand: install {fonts}"


@cache
def font_with(character: str) -> str | None:
    """Return the name of a font that has the character, or None if there is none."""
    return next((name for name, path in _fonts() if ord(character) in _characters(path)), None)


def families() -> list[str]:
    """Return the value for `font.family`: the first font, and the fonts that earlier texts needed."""
    from matplotlib import rcParams

    known: list[str] = rcParams["font.family"]
    return known if known[0] == FIRST else [FIRST]


def text_size(text: str, size: float) -> tuple[float, float]:
    """Return width and height in inches of a text of some lines, drawn in `size` points."""
    lines, names = text.split("\n"), tuple(families())
    return max(_line_width(line, size, names) for line in lines), len(lines) * size * LINE_HEIGHT / 72


@lru_cache(4096)
def _line_width(line: str, size: float, names: tuple[str, ...]) -> float:
    from matplotlib.font_manager import FontProperties

    if not line:
        return 0.0
    prop = FontProperties(family=list(names), size=size)
    width, _, _ = _renderer().get_text_width_height_descent(line, prop, False)
    return float(width) / 72


@cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, 72)  # type: ignore[no-untyped-call]


def _use(name: str) -> None:
    from matplotlib import rcParams

    if name not in rcParams["font.family"]:
        rcParams["font.family"] = [*rcParams["font.family"], name]


@cache
def _fonts() -> list[tuple[str, str]]:
    """Return names and files of all text fonts, preferred ones first, including fonts that were installed recently."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except Exception:
                continue
    order = {name: place for place, name in enumerate((FIRST, *_PREFERRED))}
    named = {entry.name: entry.fname for entry in manager.ttflist if not _NO_TEXT.match(entry.name)}
    return sorted(named.items(), key=lambda font: (order.get(font[0], len(order)), font[0]))


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib import font_manager

    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()


def _advice(character: str) -> str:
    name = unicodedata.name(character, "")
    if name.startswith(_EAST_ASIAN):
        return "Noto Sans CJK (fonts-noto-cjk)"
    if unicodedata.category(character) == "So":
        return "Symbola (fonts-symbola)"
    return f"Noto Sans {name.partition(' ')[0].title()}" if name else "Unifont"
