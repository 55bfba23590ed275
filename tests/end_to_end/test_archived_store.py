"""Stores of earlier versions through every command that takes a store, on copies of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from killing import ROOT

from distributed_tracer.cli.main import COMMANDS, main
from distributed_tracer.serve.api.about_store import store_facts
from distributed_tracer.serve.api.graphs import graph_arrays
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.reader import open_store

ARCHIVE = ROOT / "tests/archive"
NO_STORE = {"submit", "intervene", "import", "export-features", "report", "bundle", "verify-bundle", "version"}
"""Commands that take no store, or none of traced graphs."""
SERVED = "serve"
"""The command that goes on until it is stopped; a test of its own asks what its pages ask."""
CASE = "--model tests/cases/llama_relu_plt/model --transcoders tests/cases/llama_relu_plt/transcoders"
RUN = f"{CASE} --prompts F/prompts.jsonl --store S --round-size 16 --sweep-rows 32"

V1 = (
    ("status S --json", '"done": 5'),
    ("info S --json", '"format_version": 1'),
    ("digest S", "DIGEST"),
    ("show S --prompt dallas", "graph    847 edges; 22 features, 8 errors, 20 tokens, 10 targets"),
    ("query S --feature 1:118 --show occurrences", "1 occurrences in 1 prompts"),
    ("query S --feature 1:118 --show edges-into", "26 edges in 1 prompts"),
    ("query S --feature 1:118 --show edges-out", "19 edges in 1 prompts"),
    ("query S --feature 1:118 --show together", "21 other features in the same prompts"),
    ("labels add S F/labels.csv", "added 1 label; 0 were there"),
    ("feature S 1:118", "labels    'a label' ("),
    ("annotations list S", "1 annotation"),
    ("profile --store S --out F/profile --local --no-progress", "390 features"),
    ("feature S 1:118 --profile F/profile", "contexts from the profile's texts"),
    ("query S --where hops=2", "1 of 5 prompts"),
    ("query S --token is", "2 of 5 prompts"),
    ("query S --target x", "1 of 5 prompts"),
    ("query S --layer 1", "5 of 5 prompts"),
    ("export S --prompt tokens --out F/graph.npz", "wrote"),
    ("prepare-upload S --prompt dallas --out F/upload", "wrote 1 graph into"),
    ("draw S --prompt dallas --out F/graph.png", "160 of 847 edges"),
    ("compare S dallas tokens", "positions: "),
    ("draw S --out F/corpus.png --by hops", "corpus.png"),
    ("mine atlas S --out F/atlas", "of 5 prompts in"),
    ("mine similar S --out F/similar", "10 pairs, of which 10 have unlike texts"),
    ("mine roles S --out F/roles --min-clusters 2 --shuffles 2", "roles of 3 features over 5 clusters of 5 prompts"),
    ("mine pathways S --out F/pathways --min-clusters 2 --shuffles 2", "0 of 0 communities are significant"),
    ("mine consensus S --out F/consensus", "in the consensus graph are 0 of 1,371 edges and 6 of 117 nodes"),
    ("mine chains S --atlas F/atlas --out F/chains --min-prompts 1", "whole in"),
    ("mine stability S --out F/stability --prompt dallas", "73 of 847 edges are kept at all settings"),
    ("mine motifs S --out F/motifs --draws 19", "92% of the edges are in every graph with the same degrees"),
    ("mine universality S S --out F/same", "store a: of 390 features 0 are matched, 0 unmatched, 390 unknown"),
    ("verify S", "5 prompts, 239 objects, 135,388 bytes in parts and index: all as written"),
    ("repair S --dry-run", "nothing is damaged"),
    ("verify-edges S --sample 1 --local", "direct effects agree to 0.0001 in all graphs"),
    ("faithfulness S --sample 1 --local --out F/f.png", "1 measured, 0 skipped (done before), 0 failed"),
    ("certify F/chains S --cluster hops --where hops=2 --controls 1 --local --no-progress", "1 measured, 0 skipped"),
    ("discover S --out F/discovered --without roles pathways --controls 1 --local --no-progress", "are held out"),
    ("copy S F/copy", "copied 3 parts"),
    ("split S F/half --where hops=2", "wrote 1 graphs"),
    ("merge F/all F/half S", "copied 4 parts"),
    (f"doctor {CASE} --prompts F/prompts.jsonl --store S", "ready: problems 0"),
    (f"plan {RUN} --max-feature-nodes 40 --local", "prompts      1; tokens min 10"),
    ("compact S", "5 prompts in 1 part instead of 3"),
    ("gc S --grace-hours 0", "removed parts/"),
    ("repair S", "nothing is damaged"),
    ("verify S", "5 prompts, 142 objects"),
    ("status S", "done     5 prompts"),
    (f"trace {RUN} --max-feature-nodes 40 --local --no-progress", "1 done, 0 skipped (done before), 0 failed"),
)
"""Each with what it has to print. The last one adds a prompt."""


ANSWERS = {"v1": V1}


def run(command: str, folder: Path) -> int:
    args = ["F/store" if arg == "S" else arg for arg in command.split()]
    return main([f"{folder}/{arg[2:]}" if arg.startswith("F/") else arg for arg in args])


def copied(version: str, folder: Path) -> Path:
    shutil.copytree(ARCHIVE / version, folder / "store")
    (folder / "labels.csv").write_text("layer,index,text\n1,118,a label\n")
    (folder / "prompts.jsonl").write_text('{"id": "new", "text": "Fact: the capital of"}\n')
    return folder / "store"


def test_no_version_and_no_command_is_missed() -> None:
    assert {path.name for path in ARCHIVE.iterdir() if path.is_dir()} == ANSWERS.keys()
    for commands in ANSWERS.values():
        assert {command.split()[0] for command, _ in commands} == {
            *(one.__name__.strip("_").replace("_", "-") for one in COMMANDS),
            *("annotations", "labels", "mine"),
        } - NO_STORE - {SERVED}


@pytest.mark.parametrize("version", ANSWERS)
def test_the_pages_of_a_server_get_a_store_of_an_earlier_version(version: str, tmp_path: Path) -> None:
    store = copied(version, tmp_path)
    served = ServedStore(ServeSettings(str(store)))
    assert store_facts(served, {}).value["num_prompts"] == 5
    data = graph_arrays(served, {"prompt": "dallas", "edges": None}).content
    header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    assert header["values"]["num_edges"] == served.store.graph("dallas").num_edges
    assert header["arrays"]["weight"]["length"] == header["values"]["num_edges"]


@pytest.mark.parametrize("version", ANSWERS)
def test_every_command_answers_for_a_store_of_an_earlier_version_and_leaves_its_graphs_as_they_are(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)  # its model is named by a relative path
    store = copied(version, tmp_path)
    digest = open_store(str(store)).digest()
    for command, answer in ANSWERS[version]:
        if command.startswith("trace"):
            for name in ("store", "copy", "all"):
                assert open_store(str(tmp_path / name)).digest() == digest, name
            assert list(open_store(str(tmp_path / "half"))) == ["dallas"]
        code = run(command, tmp_path)
        captured = capsys.readouterr()
        assert code == 0, (command, captured.err)
        assert answer.replace("DIGEST", digest) in captured.out, command
    assert len(open_store(str(store))) == 6
    assert "new" in open_store(str(store))


def refusals(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Command -> its words; all of them have to refuse, but for `plan`, which reads no store."""
    found = {}
    for command in (command for command, _ in V1 if not command.startswith("plan")):
        code = run(command.replace("F/all F/half", "F/all"), folder)  # nothing was split off
        captured = capsys.readouterr()
        assert code == 1, command
        assert "Traceback" not in captured.err, command
        found[command] = captured.err + captured.out
    return found


def test_every_command_refuses_a_store_of_a_later_version_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    info = copied("v1", tmp_path) / "run.json"
    whole = json.loads(info.read_text())
    info.write_text(json.dumps({**whole, "format_version": 99}))
    for command, words in refusals(tmp_path, capsys).items():
        assert "99" in words, (command, words)
