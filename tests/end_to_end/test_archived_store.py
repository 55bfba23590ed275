"""The store of an earlier version through every command that takes a store, on copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from killing import ROOT

from distributed_tracer.cli import main
from distributed_tracer.store.reader import open_store

ARCHIVE = ROOT / "tests/archive/v1"
DIGEST = open_store(str(ARCHIVE)).digest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archived")
    shutil.copytree(ARCHIVE, folder / "store")
    return folder


COMMANDS = (
    "status S --json",
    "info S --json",
    "show S --prompt dallas",
    "query S --feature 1:2 --show occurrences",
    "query S --feature 1:2 --show edges-into",
    "query S --where hops=2",
    "query S --token Dallas",
    "export S --prompt tokens --out F/graph.npz",
    "draw S --prompt dallas --out F/graph.png",
    "draw S --out F/corpus.png",
    "verify S",
    "repair S --dry-run",
    "verify-edges S --sample 5 --local",
    "faithfulness S --local --out F/f.png",
    "copy S F/copy",
    "split S F/half --where hops=2",
    "merge F/all F/half S",
    "compact S",
    "gc S --grace-hours 0",
    "repair S",
    "verify S",
    "status S",
)


def test_every_command_takes_a_store_of_an_earlier_version_and_leaves_its_graphs_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)  # its model is named by a relative path
    for command in COMMANDS:
        args = [arg.replace("F/", f"{folder}/") if "F/" in arg else arg for arg in command.split()]
        assert main([str(folder / "store") if arg == "S" else arg for arg in args]) == 0, command
    capsys.readouterr()
    for name in ("store", "copy", "all"):
        assert open_store(str(folder / name)).digest() == DIGEST, name
    assert list(open_store(str(folder / "half"))) == ["dallas"]
