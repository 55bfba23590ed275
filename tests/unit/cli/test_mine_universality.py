"""The command that compares two stores: what it prints, and what it saves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from paired_stores import graphs, permuted, random_world
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.mine.result import open_result

pytest.importorskip("pyarrow")

HOSTILE = "p\x1b[31m-forged\nerror: the disk has failed"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two stores of one world with other numbers of features; each has a prompt of a hostile id of its own."""
    folder, world = tmp_path_factory.mktemp("compared"), random_world(1)
    fields = {"subject": [f"s{prompt % 10}" for prompt in range(60)]}
    found = []
    for name, own, score in (("a", world, 0.9), ("b", permuted(world, 2)[0], 0.8)):
        first, *others = (
            replace(graph, scores=replace(graph.scores, replacement=score)) for graph in graphs(own, **fields)
        )
        made = make_store(str(folder / name), [replace(first, prompt_id=f"{HOSTILE}{name}"), *others])
        found.append(made.url)
    return found[0], found[1]


def test_two_stores_are_compared_and_the_result_is_saved_with_units_facts_and_warnings(
    paths: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "result")
    command = ["mine", "universality", *paths, "--out", out, "--cluster", "subject", "--shuffles", "59"]
    assert main([*command, "--dry-run"]) == 0
    assert not Path(out).exists()
    said = capsys.readouterr().out
    assert "59 prompts with 354 common positions" in said
    assert "features that are active in enough clusters: 36 of 36 of store a, 36 of 36 of store b" in said
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "59 prompts in 10 clusters and 10 templates, compared with" in said
    assert "store a: of 36 features 36 are matched, 0 unmatched, 0 unknown" in said
    assert "layers with most matches:" in said
    assert "\x1b" not in said
    assert "\nerror: the disk" not in said
    result = open_result(out)
    assert result.tables == ["edges", "features", "layers", "matches", "summary"]
    assert len(result.warnings) >= 2
    for warning in result.warnings:
        assert "left out" not in warning or "p\\x1b[31m-forged\\nerror" in warning
    for table in result.tables:
        described = result.describe(table)
        assert all(described["meaning"])
        assert result.table(table).columns == described["column"].tolist()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == json.loads(json.dumps(result.facts))


def test_the_other_way_round_and_other_settings_are_other_results(
    paths: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "result"), "--shuffles", "19"]
    assert main(["mine", "universality", *paths, *out]) == 0
    assert main(["mine", "universality", *paths, *out, "--q", "0.1"]) == 1
    assert "q" in capsys.readouterr().err
    assert main(["mine", "universality", *reversed(paths), *out]) == 1
    assert "stores" in capsys.readouterr().err
