from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from distributed_tracer.table import Table
from distributed_tracer.text import printable

TABLE = Table({"id": ["a", "b", "c"], "n": np.array([3, 1, 2]), "x": [None, 0.123456, (1, 2)]})


def test_rows_are_plain_python_values() -> None:
    assert next(TABLE.rows()) == {"id": "a", "n": 3, "x": None}
    assert [type(row["n"]) for row in TABLE.rows()] == [int] * 3
    assert list(Table({}).rows()) == []


def test_a_mask_keeps_rows_in_order() -> None:
    assert list(TABLE.where(TABLE["n"] > 1)["id"]) == ["a", "c"]
    assert list(TABLE.where(TABLE["id"] == "b")["n"]) == [1]
    assert list(TABLE.take(np.argsort(TABLE["n"]))["id"]) == ["b", "c", "a"]
    assert len(TABLE.take([])) == len(TABLE.where(TABLE["n"] > 5)) == len(Table({}).where([])) == 0
    with pytest.raises(ValueError, match="a mask of 2 for 3 rows"):
        TABLE.where([True, False])
    with pytest.raises(ValueError, match="a mask is of booleans, not int64: take has rows by number"):
        TABLE.where([2, 0, 1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="by number, not by a mask"):
        TABLE.take([True, False, True])


def test_an_unknown_column_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no column 'y'; there are id, n, x"):
        TABLE["y"]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        Table({"a": [1], "b": [1, 2]})


def test_tuples_of_one_length_stay_tuples() -> None:
    assert Table({"a": [(1, 2), (3, 4)]})["a"].tolist() == [(1, 2), (3, 4)]


def test_arrow_gets_the_columns() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = Table({"id": ["a", None], "n": np.array([1, 2]), "t": [(1.0,), ()]}).to_arrow()
    assert isinstance(table, pyarrow.Table)
    assert table.to_pylist() == [{"id": "a", "n": 1, "t": [1.0]}, {"id": None, "n": 2, "t": []}]


def test_columns_of_several_kinds_reach_other_libraries_as_text() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = Table({"distance": [1, "all", None], "tag": [True, {"é": [1]}, "\udc00"], "n": [1, 2.5, None]})
    for frame in (table.to_arrow(), table.to_polars().to_arrow()):
        assert frame["distance"].to_pylist() == ["1", "all", None]
        assert frame["tag"].to_pylist() == ["true", '{"é": [1]}', "?"]
        assert frame["n"].to_pylist() == [1.0, 2.5, None]
    assert arrow.types.is_string(table.to_arrow()["distance"].type)
    assert table.to_pandas()["tag"].tolist() == [True, {"é": [1]}, "?"]


def test_a_notebook_shows_a_table_in_which_nothing_is_html() -> None:
    shown = Table({"<b>": [f"<script>{i}" for i in range(30)], "x": ["\u202e&"] * 30})._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;19" in shown
    assert "&lt;script&gt;20" not in shown
    assert "\\u202e&amp;" in shown
    assert "30 rows, 2 columns" in shown


def test_text_from_a_store_cannot_steer_the_terminal() -> None:
    shown = Table({"te\x1bxt": ["\x1b[2J\x07 gone\r\n", "\u202eabc", "ok 首都 🧪"]}).format()
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
    assert "\u202e" not in shown
    assert "\\x1b[2J\\x07 gone\\r\\n" in shown
    assert "ok 首都 🧪" in shown
    assert printable("a\ud800\u2028") == "a\\ud800\\u2028"


def test_the_plain_text_is_aligned_cut_and_counts_what_it_leaves_out() -> None:
    lines = Table({"word": ["首都", "a" * 100, "b"], "n": [1.0, 2.5, None]}).format(max_rows=2).split("\n")
    assert lines[0].split() == ["word", "n"]
    assert lines[1].index("1") == 38 + lines[1].count("首") + 1  # wide characters take two columns
    assert lines[2].startswith("a" * 39 + "…  2.5")
    assert lines[3] == "... 1 more"
    assert repr(TABLE).endswith("3 rows")


def test_the_short_text_of_a_wide_table_fits_into_a_line_and_names_the_other_columns() -> None:
    wide = Table({f"column_{i}": ["x" * 30] * 25 for i in range(6)})
    *lines, foot = repr(wide).split("\n")
    assert max(map(len, lines)) == 3 * 30 + 2 * 2
    assert lines[-1] == "... 5 more"
    assert foot == "25 rows; columns not shown: column_3, column_4, column_5"
    assert len(wide.format().split("\n")[0]) > 150
    assert repr(Table({})) == "\n0 rows"


def test_a_table_can_be_written_for_other_programs(tmp_path: Path) -> None:
    given = Table({"id": ["a", "b,\n\udc00"], "n": np.array([1, 2]), "x": np.array([0.1, np.nan]), "m": [None, "é"]})
    given.write_csv(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["id", "n", "x", "m"],
            ["a", "1", "0.1", ""],
            ["b,\n\\udc00", "2", "nan", "é"],
        ]
