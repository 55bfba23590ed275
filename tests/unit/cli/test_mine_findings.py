"""The commands that compare prompts, find a consensus and prune again: what they print, and what they save."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from planted_graphs import planted_graph, random_edges
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.mine.result import open_result

pytest.importorskip("pyarrow")

HOSTILE = "p\x1b[31m-forged\nerror: the disk has failed"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    core = random_edges(rng, 30, first=100)
    names = [HOSTILE, *(f"p{number}" for number in range(1, 16))]
    graphs = [
        planted_graph(
            name,
            [0, *(1 + 3 * number + rng.choice(3, 2, replace=False)).tolist()],
            (core if number % 2 else {}) | random_edges(rng, 8),
            topic=f"t{number % 2}",
            document=f"d{number // 2}",
        )
        for number, name in enumerate(names)
    ]
    return make_store(str(tmp_path_factory.mktemp("mined") / "store"), graphs).url


COMMANDS = {
    "similar": ["--cluster", "topic"],
    "similar of one prompt": ["--prompt", "p3"],
    "similar by samples": ["--samples", "64"],
    "consensus": ["--cluster", "document", "--where", "topic=t1"],
    "consensus of shares": ["--cluster", "document", "--rule", "share", "--samples", "100"],
    "roles": ["--cluster", "document", "--shuffles", "2", "--bootstraps", "2", "--resolutions", "1,2"],
    "pathways": ["--cluster", "document", "--shuffles", "2", "--bootstraps", "2"],
    "stability": ["--prompt", HOSTILE, "--node-thresholds", "0.5,1", "--edge-thresholds", "0.9,1"],
}
SAYS = {
    "similar": (
        "120 pairs, of which 120 have unlike texts",
        "area under the ROC curve for pairs of one topic",
        "by chance:",
    ),
    "similar of one prompt": ("graphs similar to that of p3:",),
    "similar by samples": ("similarities are estimates from 64 samples",),
    "consensus": ("8 prompts in 8 clusters", "edges stay whichever cluster is removed"),
    "consensus of shares": ("16 prompts in 8 clusters", "nodes are listed by their frequency"),
    "roles": ("features over 8 clusters of 16 prompts", "2 shuffles cannot give a p below 0.333"),
    "pathways": ("features over 8 clusters of 16 prompts", "the most influential communities:"),
    "stability": ("4 settings of 1 graph", "at the largest edge threshold", "edges_shared_with_next"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_answer_is_printed_and_saved_with_units_facts_and_warnings(
    name: str, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what, out = name.split()[0], str(tmp_path / "result")
    command = ["mine", what, path, "--out", out, *COMMANDS[name]]
    assert main([*command, "--dry-run"]) == 0
    assert not Path(out).exists()
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr().out
    for text in SAYS[name]:
        assert text in said
    assert "\x1b" not in said
    assert "\nerror: the disk" not in said
    result = open_result(out)
    assert result.facts
    for warning in result.warnings:
        assert f"warning: {warning}" in said
    for table in result.tables:
        described = result.describe(table)
        assert all(described["meaning"])
        assert result.table(table).columns == described["column"].tolist()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == json.loads(json.dumps(result.facts))


def test_another_setting_is_refused_in_a_finished_folder(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["mine", "consensus", path, "--out", str(tmp_path / "result")]
    assert main(command) == 0
    assert main([*command, "--threshold", "0.7"]) == 1
    assert "threshold" in capsys.readouterr().err
    for wrong in ("a,b", "0.5,,1", "2"):
        assert main(["mine", "stability", path, "--out", str(tmp_path / "s"), "--node-thresholds", wrong]) == 1
    assert "node_threshold must be in (0, 1], not 2.0" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
