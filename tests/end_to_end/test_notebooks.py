"""The notebooks of examples/notebooks, run one after the other against the demo: every cell, and what it shows."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from notebooks import FOLDER, NOTEBOOKS, Cell, cells, read, run, same_output

ROOT = FOLDER.parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for notebooks that stands to the demo as examples/notebooks does."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "demo").symlink_to(ROOT / "demo")
    made = root / "examples" / "notebooks"
    made.mkdir(parents=True)
    return made


@pytest.fixture(scope="module")
def values(folder: Path) -> dict[str, list[tuple[Cell, Any]]]:
    """Every cell of every notebook with its value. Later notebooks read what earlier ones wrote."""
    found = {}
    with contextlib.chdir(folder):
        for path in NOTEBOOKS:
            names: dict[str, Any] = {}
            found[path.name] = [(cell, run(cell, names)) for cell in cells(path)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_and_shows_what_was_saved(path: Path, values: dict[str, list[tuple[Cell, Any]]]) -> None:
    for cell, value in values[path.name]:
        if value is None or isinstance(value, Figure):
            assert cell.shown is None, f"{cell.place}: clear the output, so that the file stays small"
        else:
            assert cell.shown is not None, f"{cell.place} was saved without its output"
            assert same_output(repr(value), cell.shown), f"{cell.place} shows {cell.shown}\nand gives {value!r}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_small_and_in_the_format_of_jupyter(path: Path) -> None:
    document = read(path)
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert path.stat().st_size < 20_000
    ids = [cell["id"] for cell in document["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in document["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert len(cell["source"]) <= 25, "a cell fits on a screen"
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert not re.search(r"^\s*[%!]", text, flags=re.MULTILINE), "plain Python: no magic commands"
        else:
            links = re.findall(r"\]\(([^)#]+)", text)
            assert [link for link in links if not (FOLDER / link).exists()] == []


def test_outputs_are_compared_to_the_digits_that_rounding_leaves() -> None:
    assert same_output("share  n\n0.05096  3", "share n\n0.05099    3")
    assert same_output("[(' Austin', 0.99938)]", "[(' Austin', 0.99941)]")
    for other in ("share  n\n0.05096  4", "share  n\n0.15  3", "shares n\n0.05096 3", "share  n\n0.05096"):
        assert not same_output("share  n\n0.05096  3", other)


def test_a_cell_that_prints_and_a_name_from_another_notebook_are_noticed() -> None:
    with pytest.raises(AssertionError, match="a cell prints 'x"):
        run(Cell("a cell", "print('x')", None), {})
    with pytest.raises(NameError):
        run(Cell("a cell", "store", None), {})
    assert run(Cell("a cell", "a = 2\na + 1", None), {}) == 3
