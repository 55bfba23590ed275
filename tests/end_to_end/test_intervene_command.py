"""`distributed-tracer intervene` on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from community_results import HOSTILE, Chosen, write_communities
from rounding import of_model
from serving import make_store

from distributed_tracer import ReplacementModel, open_store
from distributed_tracer.cli.main import main
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.model.load import model_shape

DEMO = Path(__file__).parents[2] / "demo"
DALLAS = "Fact: the capital of the state containing Dallas is"
ASKED = ["intervene", "--model", str(DEMO / "model"), "--transcoders", str(DEMO / "transcoders/plt"), "--text", DALLAS]


def test_suggested_supernodes_are_set_by_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "picture.svg"
    asked = [*ASKED, "--suggest", "--set", "1=x-1", "2:5::7=2", "--generate", "2", "--json", "--out", str(picture)]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    first, *others = found["supernodes"]
    # A sum of activations by their sum in another pass: any may be almost all of it.
    off = of_model(model_shape(str(DEMO / "model")), magnitude=len(first["features"]))
    assert (first["set"], first["after"]) == ("×-1", pytest.approx(-1.0, abs=off))
    assert len(others) > 2
    assert (others[-1]["name"], others[-1]["set"], others[-1]["features"]) == ("2:5::7", "=2", [[2, "5:", 7]])
    (austin,) = (row for row in found["next_tokens"] if row["token"] == " Austin")
    assert austin["before"] > 0.9
    assert austin["after"] < 0.5
    assert found["generated"]["before"].startswith(" Austin")
    assert found["generated"]["after"] != found["generated"]["before"]
    assert picture.read_text(encoding="utf-8").count("<path") > 20


def firing(layer: int, position: int) -> int:
    """A feature that fires there."""
    model = ReplacementModel.load(str(DEMO / "model"), str(DEMO / "transcoders/plt"))
    active = model.intervene(DALLAS, [], with_active=True).before.active
    assert active is not None
    return int(active.feature_A[(active.layer_A == layer) & (active.position_A == position)][0])


def test_saved_groups_are_set_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "graph.json"
    ids = {layer: f"{layer}_{firing(layer, 10)}_10" for layer in (0, 3)}
    groups = {"supernodes": [["say \x1b[2J", ids[3]], ["early", ids[0]]], "pinnedIds": "E_5_1"}
    path.write_text(json.dumps({"qParams": groups}))
    assert main([*ASKED, "--groups", str(path), "--set", "early=x0"]) == 0
    out, errors = capsys.readouterr()
    assert errors == "no features, left out: E_5_1\n"
    assert "\x1b" not in out
    (row,) = (line.split() for line in out.splitlines() if " early " in line)
    assert row == ["2", "early", "1", "0", "×0", "100%", "0%"]


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Communities of the features of five prompts, one of which has no active feature in the prompt that is asked."""
    pytest.importorskip("pyarrow")
    store = open_store(str(make_store(tmp_path_factory.mktemp("store"))))
    nodes, elsewhere = store.graph("dallas").nodes, store.graph("miami").active
    of_graph = nodes.where(NodeKind.FEATURE)[:3]
    here = sorted({(int(nodes.layer_N[node]), int(nodes.feature_N[node])) for node in of_graph})
    active = store.graph("dallas").active
    assert elsewhere is not None
    assert active is not None
    known = set(zip(active.layer_A.tolist(), active.feature_A.tolist(), strict=True))
    there = [
        site for site in zip(elsewhere.layer_A.tolist(), elsewhere.feature_A.tolist(), strict=True) if site not in known
    ]
    out = tmp_path_factory.mktemp("mined") / "roles"
    write_communities(
        store, out, [Chosen(0, "weak", here, "unstable"), Chosen(1, HOSTILE, here), Chosen(1, "far", there)]
    )
    return out


def test_communities_are_supernodes(mined: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--groups", str(mined), "--set", "role 1=x0"]) == 0
    out, errors = capsys.readouterr()
    assert errors == "1 of 2 communities have no active feature in this prompt, left out\n"
    assert "\x1b" not in out
    (row,) = (line for line in out.splitlines() if "role 1: \\x1b[2J<img" in line)
    assert row.split()[-3:] == ["×0", "100%", "0%"]
    assert main([*ASKED, "--groups", str(mined), "--level", "0", "--every-community", "--set", "1=x0", "--json"]) == 0
    (weak,) = json.loads(capsys.readouterr().out)["supernodes"]
    assert (weak["name"], weak["set"], weak["after"]) == ("role 0: weak", "×0", 0.0)


def test_communities_that_cannot_be_set_are_named(
    mined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, says in (
        (["--groups", str(mined), "--set", "role 2=x0"], "'role 2: far' has no active feature in this prompt"),
        (["--groups", str(mined), "--set", "role 7=x0"], "nor a supernode; there are 1 'role 1: "),
        (["--groups", str(mined), "--level", "5"], "has the levels [0, 1], not 5"),
        (["--groups", str(mined), "--level", "0"], "no communities to use: none of them is significant"),
        (["--groups", str(tmp_path)], f"there is no result of mining at {tmp_path}"),
        (["--groups", str(tmp_path / "none"), "--level", "0"], f"there is no result of mining at {tmp_path / 'none'}"),
        (["--suggest", "--level", "0"], "name it with --groups"),
    ):
        assert main([*ASKED, *flags]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--set", "9:1:1=x0"], "no layer 9"),
        (["--set", "Texas=x0"], "neither LAYER:POSITION:FEATURE"),
        (["--suggest", "--groups", "none.json"], "exclude each other"),
        (["--groups", "none.json"], "cannot read 'none.json'"),
    ],
)
def test_mistakes_end_with_1(flags: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, *flags]) == 1
    assert says in capsys.readouterr().err
