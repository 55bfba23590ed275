"""Plain text: reads one prompt per line, without any change of the text; blank lines are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .row import Row, decode


def plain_rows(lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """Yield one row for each line that is not blank."""
    for number, raw in lines:
        if not raw.strip():
            continue
        try:
            yield Row(number, {"text": decode(raw).removesuffix("\n").removesuffix("\r")})
        except ValueError as error:
            yield Row(number, problem=str(error))
