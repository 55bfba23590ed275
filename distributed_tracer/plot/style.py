"""Common style of all pictures: colours that colour-blind readers can tell apart, and fonts for all characters."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, TypeVar

from ..errors import ConfigError
from ..moved import renamed
from . import fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .picture import Picture

_P = ParamSpec("_P")
_T = TypeVar("_T")

POSITIVE, NEGATIVE, FEATURE, ERROR, TOKEN, TARGET, CONSTANT = (
    "#2b6cb0",
    "#c2410c",
    "#1f4e79",
    "#9a9a9a",
    "#0f766e",
    "#7c2d12",
    "#d9c36b",
)
SERIES = ("#1f4e79", "#c2410c", "#0f766e", "#7c3aed", "#b7791f", "#be185d", "#4b5563", "#65a30d")
ENDINGS = (".png", ".pdf", ".svg")


def new_figure(width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    """Return an empty figure of this size in inches, and its axes. Raises ConfigError without matplotlib.

    The figure does not belong to pyplot. `options` are those of `Figure.subplots`.
    """
    figure = new_picture(width, height, layout="constrained")
    return figure, figure.subplots(**options)


def new_picture(width: float, height: float, layout: str | None = None, dpi: int = 150) -> Picture:
    """Return an empty figure of this size in inches, without axes. `dpi` is for PNG. Raises ConfigError without
    matplotlib."""
    import_matplotlib()
    from .picture import Picture

    _set_style()
    return Picture(width, height, layout, dpi)


def _set_style() -> None:
    from matplotlib import rcParams

    rcParams.update(
        {
            "font.family": fonts.families(),
            "font.size": 9,
            "text.parse_math": False,  # a prompt may hold dollar signs
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


def in_own_style(draw: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return the function such that the settings of matplotlib are as before when it returns.

    The function raises ConfigError without matplotlib.
    """

    @wraps(draw)
    def drawn(*args: _P.args, **options: _P.kwargs) -> _T:
        import_matplotlib()
        from matplotlib import rc_context

        with rc_context():
            _set_style()
            return draw(*args, **options)

    return drawn


def import_matplotlib() -> None:
    """Import matplotlib. Raises ConfigError if it is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError("pictures need matplotlib: pip install 'distributed-tracer[plots]'") from error


def check_picture(path: str) -> None:
    """Raise ConfigError for a file that `save_figure` could not write, before any work is done for it."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise ConfigError(f"a picture's name ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, unlike {path!r}")
    if Path(path).is_dir():
        raise ConfigError(f"{path} is a directory: name the file of the picture")
    folder = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written: {folder} is no directory that this user may write to")
    import_matplotlib()


def save_figure(figure: Figure, path: str) -> None:
    """Write the picture in the format that the ending names. Raises ConfigError unless that is .png, .pdf or .svg."""
    check_picture(path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_figure(figure, path, Path(path).suffix.lower()[1:])


def write_figure(figure: Figure, file: str | BinaryIO, format: str) -> None:
    """Write the picture as `png`, `pdf` or `svg`. The same picture gives the same bytes."""
    from matplotlib import rc_context

    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "distributed_tracer"}):
        figure.savefig(file, format=format, metadata=undated.get(format))


def add_notes(figure: Figure, lines: Iterable[str], texts: Iterable[str]) -> None:
    """Add lines under the picture: what it leaves out, and which fonts are missing for the `texts` in it."""
    found = note_lines(lines, texts)
    if found:
        figure.supxlabel("\n".join(found), x=0.01, ha="left", fontsize=7, color="#555555")
    figure.notes = found  # type: ignore[attr-defined]  # a Picture has it


def note_lines(lines: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Return the lines that are not empty, and one about the characters of `texts` that no font has, if there are
    any."""
    return [line for line in (*lines, fonts.missing(texts)) if line]


def notes(figure: Figure) -> list[str]:
    """Return the lines under the picture, which say what it leaves out."""
    return list(getattr(figure, "notes", ()))


def label(text: str, limit: int = 14) -> str:
    """Return a token as a label: visible white space, no control characters, shortened, characters that have a font."""
    visible = shown(text, limit)
    found = fonts.readable(visible)
    while len(found) > limit and found != visible:  # code points are longer than what they stand for
        visible = visible.removesuffix("…")[:-1] + "…"
        found = fonts.readable(visible)
    return found


def words(text: str, limit: int) -> str:
    """Return a text as a label, with plain spaces."""
    return fonts.readable(shown(text, limit).replace("␣", " ", 1))


def wrapped(text: str, width: int, max_lines: int) -> list[str]:
    """Return a text as lines of a label, each of at most `width` characters; what does not fit ends in an ellipsis."""
    return textwrap.wrap(words(text, width * max_lines), width, max_lines=max_lines, placeholder="…")


def shown(text: str, limit: int = 14) -> str:
    """Return a token with visible white space, without control characters, and shortened to `limit`."""
    visible = "".join(c if c.isprintable() else "·" for c in text.replace(" ", "␣", 1).replace("\n", "⏎"))
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


__getattr__ = renamed(__name__)
