"""Reads notebooks and runs their cells in this process, as a kernel would, without Jupyter."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_NEAR = 0.02
"""Largest difference of a decimal number, as a share of it, or absolutely below 1: other processors round otherwise."""


@dataclass(frozen=True)
class Cell:
    """One code cell, with what its last expression gave when it was saved; None if nothing was saved."""

    place: str
    source: str
    shown: str | None


def read(path: Path) -> dict[str, Any]:
    """The document of a notebook."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def cells(path: Path) -> Iterator[Cell]:
    """Yield the code cells of a notebook."""
    for number, cell in enumerate(read(path)["cells"]):
        if cell["cell_type"] == "code":
            outputs = cell["outputs"]
            assert len(outputs) <= 1, "a cell shows the value of its last expression and prints nothing"
            text = outputs[0]["data"]["text/plain"] if outputs else None
            yield Cell(f"{path.name}, cell {number}", "".join(cell["source"]), None if text is None else "".join(text))


def run(cell: Cell, names: dict[str, Any]) -> Any:
    """Run a cell among the names of the cells before it, and return the value of its last expression, if it ends in
    one. A cell may print nothing."""
    body = ast.parse(cell.source, cell.place).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(ast.Module(body, []), cell.place, "exec"), names)
        value = eval(compile(ast.Expression(last.value), cell.place, "eval"), names) if last else None
    assert not said.getvalue(), f"{cell.place} prints {said.getvalue()[:100]!r}"
    return value


def same_output(one: str, other: str) -> bool:
    """Whether two outputs are the same but for white space and for the rounding of decimal numbers."""
    if [text.split() for text in _NUMBER.split(one)] != [text.split() for text in _NUMBER.split(other)]:
        return False
    return all(map(_near, _NUMBER.findall(one), _NUMBER.findall(other)))


def _near(one: str, other: str) -> bool:
    if not set(one + other) & set(".e"):
        return one == other
    return abs(float(one) - float(other)) <= _NEAR * max(1.0, abs(float(one)))
