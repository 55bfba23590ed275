"""Findings in memory become a result folder, once, with all that a reader must know to judge them."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine.columns import Column
from distributed_tracer.mine.findings import KIND_COLUMN, Findings, FindingTable, mine_findings
from distributed_tracer.mine.prompts import ChosenPrompts, choose_prompts
from distributed_tracer.mine.result import open_result
from distributed_tracer.table import Table

pytest.importorskip("pyarrow")

COLUMNS = {"token": Column("", "", "a token"), "kind": KIND_COLUMN, "p": Column("f8", "1", "a p-value")}
ROWS = {"token": ["<b>", "\udc80", "北京"], "kind": [int(NodeKind.FEATURE), 0, 0], "p": [0.5, float("nan"), 0.25]}


@pytest.fixture
def prompts(tmp_path: Path) -> ChosenPrompts:
    return choose_prompts(make_store(str(tmp_path / "store"), [random_graph("a", seed=0)]), (), None)


def test_findings_are_read_back_with_facts_and_warnings_and_found_once(tmp_path: Path, prompts: ChosenPrompts) -> None:
    findings = Findings({"pairs": FindingTable(COLUMNS, ROWS)}, {"num_tests": 3}, ("few clusters",))
    result = mine_findings(tmp_path / "out", "pairs", prompts, {"seed": 0}, lambda: findings)
    table = result.table("pairs")
    assert table["token"].tolist() == ["<b>", "\ufffd\ufffd\ufffd", "北京"]
    assert table["kind"].tolist()[0] == "feature"
    assert table["p"].tolist()[2] == 0.25
    assert result.describe("pairs")["unit"].tolist() == ["", "", "1"]
    assert result.facts == {"num_tests": 3}
    assert result.warnings == ("few clusters",)

    def never() -> Findings:
        raise AssertionError("a finished result is not made again")

    again = mine_findings(tmp_path / "out", "pairs", prompts, {"seed": 0}, never)
    assert again.table("pairs")["token"].tolist() == table["token"].tolist()
    with pytest.raises(ConfigError, match="seed"):
        mine_findings(tmp_path / "out", "pairs", prompts, {"seed": 1}, never)


def test_a_fact_that_is_not_known_is_null_and_tables_have_the_columns_that_are_described(
    tmp_path: Path, prompts: ChosenPrompts
) -> None:
    table = Table({"token": ["a"], "kind": [0], "p": [1]})
    findings = Findings.of({"pairs": COLUMNS}, {"pairs": table}, {"share": float("nan")}, ())
    result = mine_findings(tmp_path / "out", "pairs", prompts, {}, lambda: findings)
    assert result.facts == {"share": None}
    assert result.table("pairs")["p"].dtype == "float64"
    with pytest.raises(ConfigError, match=r"the table pairs has the columns \['token'\], not \['token', 'kind', 'p'\]"):
        Findings.of({"pairs": COLUMNS}, {"pairs": Table({"token": ["a"]})}, {}, ())


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, prompts: ChosenPrompts) -> None:
    findings = Findings({"pairs": FindingTable(COLUMNS, {name: [] for name in COLUMNS})})
    result = mine_findings(tmp_path / "out", "pairs", prompts, {}, lambda: findings)
    assert len(result.table("pairs")) == 0
    assert open_result(tmp_path / "out").describe("pairs")["column"].tolist() == list(COLUMNS)
