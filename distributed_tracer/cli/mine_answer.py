"""What the commands of `mine` print: where the result is, the strongest rows, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from ..redact import redacted
from ..text import printable

if TYPE_CHECKING:
    from ..mine.result import Result

Where = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")]


def print_result(result: Result, out: str, blocks: Sequence[str]) -> None:
    """Print what was found, what the graphs are, the warnings, and where the result is.

    A block may have several lines, as tables do, whose cells are printable already.
    """
    lines = [line for block in blocks for line in block.split("\n")]
    lines.append(f"statistics of {result.info['graphs']}, in {redacted(out)}")
    lines += [f"warning: {text}" for text in result.warnings]
    print("\n".join(map(printable, lines)))
