"""A contrast as a command: conditions become sets, the answer is a result, and nonsense is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_sets import edge_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine.contrast import contrast_features
from distributed_tracer.mine.contrast_columns import EDGE_COLUMNS, FEATURE_COLUMNS
from distributed_tracer.mine.contrast_edges import contrast_edges
from distributed_tracer.mine.mine_contrast import mine_contrast, plan_contrast
from distributed_tracer.mine.result import open_result
from distributed_tracer.store.reader import Store
from distributed_tracer.table import Table

pytest.importorskip("pyarrow")
MORE = {((1, int(NodeKind.FEATURE), 1), (0, int(NodeKind.FEATURE), 0)): 5.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rng = np.random.default_rng(0)
    graphs = [
        edge_graph(
            f"{name}{number}", rng, MORE if name == "a" else {}, set=name, topic=f"{name}{number // 2}", half=number % 2
        )
        for number in range(24)
        for name in "ab"
    ]
    return make_store(str(tmp_path_factory.mktemp("mine") / "store"), graphs)


def ids(store: Store, name: str) -> list[str]:
    return [prompt for prompt in store if prompt[0] == name]


@pytest.mark.parametrize("of", ["features", "edges"])
def test_a_result_holds_what_the_function_returns(store: Store, tmp_path: Path, of: Any) -> None:
    result = mine_contrast(store, tmp_path / "out", "set=a", ["set=b"], of=of, cluster="topic", permutations=999)
    function = contrast_features if of == "features" else contrast_edges
    expected = function(store, ids(store, "a"), ids(store, "b"), cluster="topic", permutations=999)  # type: ignore[operator]
    assert result.tables == sorted([of, "tokens"])
    for name, table in ((of, expected.rows), ("tokens", expected.tokens)):
        found: Table = result.table(name)
        assert found.columns == table.columns
        for column in table.columns:
            assert found[column].tolist() == table[column].tolist() or np.array_equal(
                found[column], table[column], equal_nan=True
            )
    assert result.warnings == expected.warnings
    assert result.facts["found"] == expected.facts["found"] == len(expected.found)
    assert result.facts.keys() == expected.facts.keys()
    assert result.describe(of)["column"].tolist() == list(FEATURE_COLUMNS if of == "features" else EDGE_COLUMNS)
    assert "set=a" in result.info["settings"]["a"]
    assert not (tmp_path / "out" / "work").exists()
    with pytest.raises(ConfigError, match="seed"):
        mine_contrast(store, tmp_path / "out", "set=a", "set=b", of=of, cluster="topic", permutations=999, seed=1)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (["set=a"], ["half=0"], {}, r"in both sets are 'a0', 'a10', 'a12' and 9 more \(24 prompts in a, 24 in b\)"),
        (["set=a"], ["set=c"], {}, "set b has no prompts: none of 48 of .* meets set=c"),
        (["set=a"], ["set=b"], {"where": ["half=7"]}, "set a has no prompts: none of 48 of .* meets half=7 set=a"),
        ([], ["set=b"], {}, "set a has no conditions"),
        (["set=a"], [], {"where": ["set=a"]}, "set b has no prompts: none of 48 of .* meets set=a"),
        (["sett=a"], ["set=b"], {}, "'sett'"),
        (["set=a"], ["set=b"], {"measure": "share"}, r"measure 'share'.*influence.*\(of features\)"),
        (["set=a"], ["set=b"], {"of": "edges", "measure": "influence"}, r"measure 'influence'.*\(of edges\)"),
        (["set=a"], ["set=b"], {"of": "nodes"}, "kind of rows 'nodes'"),
        (["set=a"], ["set=b"], {"cluster": "subject"}, "names a cluster 'subject'"),
        (["set=a"], ["set=b"], {"memory_gb": 0.01}, "memory must be at least"),
        (["set=a"], ["set=b"], {"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    store: Store, tmp_path: Path, a: list[str], b: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        mine_contrast(store, tmp_path / "out", a, b, **options)
    assert not (tmp_path / "out").exists()


def test_where_limits_both_sets(store: Store) -> None:
    sets = plan_contrast(store, "set=a", "set=b", where="half=0").sets
    assert (len(sets.ids), int(sets.is_a.sum())) == (24, 12)
    assert all(int(prompt[1:]) % 2 == 0 for prompt in sets.ids)


def test_without_conditions_set_b_is_all_other_prompts(store: Store) -> None:
    sets = plan_contrast(store, "topic=a0", where="half=0").sets
    assert [prompt for prompt, is_a in zip(sets.ids, sets.is_a, strict=True) if is_a] == ["a0"]
    assert len(sets.ids) == 24


@pytest.mark.parametrize("of", ["features", "edges"])
def test_the_command_shows_warnings_first_and_the_strongest_rows(
    store: Store, tmp_path: Path, of: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    command = ["mine", "contrast", store.url, "--a", "set=a", "--b", "set=b", "--out", out, "--of", of]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "warning: no clusters are named" in said
    assert "set a: 24 prompts in 24 clusters" in said
    assert "GB of temporary files" in said
    assert not Path(out).exists()
    command += ["--a", "half=0", "--permutations", "999", "--cluster", "topic"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("warning: ")
    at = next(number for number, line in enumerate(lines) if line.startswith("a: 12 prompts in 12 clusters; b: 24"))
    assert not any(line.startswith("warning") for line in lines[at:])
    if of == "edges":
        assert any(re_row.split()[:2] == ["0:0", "1:1"] for re_row in lines[at:])
        assert any("token 'alpha'" in line for line in lines[at:])
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == open_result(out).facts


def test_a_disk_that_is_full_is_said_with_what_is_needed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed_tracer.errors import ResultError
    from distributed_tracer.mine import edge_records

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(edge_records, "write_array", full)
    with pytest.raises(ResultError, match=r"bytes of temporary files .* bytes are free"):
        mine_contrast(store, tmp_path / "out", "set=a", "set=b", of="edges")
    monkeypatch.undo()
    assert mine_contrast(store, tmp_path / "out", "set=a", "set=b", of="edges", permutations=99).facts["tested"]
