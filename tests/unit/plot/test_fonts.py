"""Characters that fonts lack: another font, or their code points and a line that says what to install."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matplotlib import font_manager, pyplot

from distributed_tracer.plot import fonts, style


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What is known of fonts is forgotten, before and after."""
    caches = (fonts.font_with, fonts._fonts, fonts._characters)
    for cache in caches:
        cache.cache_clear()
    with pyplot.rc_context({"font.family": [fonts.FIRST]}):
        yield
    for cache in caches:
        cache.cache_clear()


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Fonts with these names are all that there are; they come with matplotlib."""
    known = [(name, font_manager.findfont(name)) for name in names]
    monkeypatch.setattr(fonts, "_fonts", lambda: known)


def test_a_character_without_a_font_is_its_code_point(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "DejaVu Sans")
    assert fonts.readable("the 首都 é") == "the \\u9996\\u90fd é"
    assert style.label("首都首都首都首都") == "\\u9996\\u90fd…"
    said = fonts.missing(["首都", "é", "ไทย", "\x1b"])
    assert said.startswith("no font here has 5 of the characters (U+9996 U+90FD U+0E44 U+0E17 U+0E22), so their ")
    assert said.endswith("install Noto Sans CJK (fonts-noto-cjk), Noto Sans Thai")
    assert fonts.missing(["é"]) == ""


def test_a_font_that_has_it_joins_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "DejaVu Sans", "STIXGeneral")
    first, other = (set(font_manager.get_font(path).get_charmap()) for _, path in fonts._fonts())
    character = chr(min(code for code in other - first if chr(code).isprintable()))
    assert fonts.readable(character) == character
    assert pyplot.rcParams["font.family"] == ["DejaVu Sans", "STIXGeneral"]
    figure, _ = style.new_figure(2, 2)
    assert pyplot.rcParams["font.family"] == ["DejaVu Sans", "STIXGeneral"]
    pyplot.close(figure)


def test_fonts_of_boxes_and_of_formulas_are_none() -> None:
    names = [name for name, _ in fonts._fonts()]
    assert names[0] == "DejaVu Sans"
    assert not [name for name in names if name.startswith(("Last", "cmr"))]


def test_a_font_installed_after_matplotlib_made_its_list_is_found(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = font_manager.findfont("STIXGeneral")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: ["/no/such/font.ttf", path])
    assert fonts._fonts() == [("STIXGeneral", path)]
