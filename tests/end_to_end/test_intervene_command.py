"""`distributed-tracer intervene` on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rounding import of_model

from distributed_tracer import ReplacementModel
from distributed_tracer.cli.main import main
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
