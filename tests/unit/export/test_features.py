"""Feature files for circuit-tracer's viewer, read as its code reads them."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profiles import write_profile
from rounding import nearly

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.export.features import export_feature_files, feature_record
from distributed_tracer.graph.viewer_groups import cantor_pair
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, WeightedToken
from distributed_tracer.profile.reader import open_profile

TEXAS = FeatureProfile(
    layer=2,
    feature=46,
    num_active_tokens=300,
    num_active_prompts=20,
    num_tokens=6_000,
    num_prompts=50,
    max_activation=4.0,
    mean_activation=1.5,
    histogram=(100, 0, 200),
    bin_edges=(1.0, 2.0, 3.0, 4.25),
    contexts=(
        Context(0, "p1", 4, 2, (" a", "<0xE5>", "<0x8B>", "<0x87>"), (0.0, 0.5, 4.0, 0.0)),
        Context(1, "p2", 1, 0, ("<bos>", "</script>\u202e"), (0.0, 0.5)),
        Context(2, "p2", 1, 0, ("<bos>", "x"), (float("nan"), 0.25)),
    ),
    promoted=(WeightedToken(7, " Austin", 0.5), WeightedToken(8, " Dallas", 0.25)),
    suppressed=(WeightedToken(9, "\n", -0.5),),
    min_activation=1.0,
)
ONCE = replace(TEXAS, layer=0, feature=3, num_active_tokens=1, histogram=(1,), bin_edges=(2.0, 2.5), max_activation=2.0)
ALL = (replace(ONCE, min_activation=2.0), replace(TEXAS, feature=1), TEXAS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_profile(tmp_path_factory.mktemp("profile") / "p", ALL, {"transcoders": "user/transcoders"})


def unpaired(number: int) -> tuple[int, int]:
    """Layer and index as `util.cantorUnpair` of the viewer computes them, in float64."""
    w = int(np.floor((np.sqrt(8 * np.float64(number) + 1) - 1) / 2))
    index = number - (w * w + w) // 2
    return w - index, index


def packed_feature(folder: Path, number: int) -> Any:
    """Read a feature as `loadFeatureFromBinary` of the viewer and its server do: the end of the range belongs to it."""
    layer, feature = unpaired(number)
    index = json.loads(gzip.decompress((folder / "features" / "index.json.gz").read_bytes()))[str(layer)]
    start, end = index["offsets"][feature], index["offsets"][feature + 1]
    data = (folder / "features" / index["filename"]).read_bytes()[start : end + 1]
    (size,) = struct.unpack("<I", data[:4])
    return json.loads(zlib.decompress(data[4 : 4 + size]))


def test_packed_and_plain_files_say_the_same(written: Path, tmp_path: Path) -> None:
    export_feature_files(open_profile(written), tmp_path / "plain")
    export_feature_files(open_profile(written), tmp_path / "packed", packed=True)
    sites = [(feature.layer, feature.feature) for feature in ALL]
    known = {(layer, number) for layer, last in sites for number in range(last + 1)}
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {f"{cantor_pair(*site)}.json" for site in known}
    for site in sites:
        plain = json.loads((tmp_path / "plain" / f"{cantor_pair(*site)}.json").read_bytes())
        assert packed_feature(tmp_path / "packed", cantor_pair(*site)) == plain
        assert (plain["index"], plain["transcoder_id"]) == (site[1], "user/transcoders")


def test_a_feature_that_is_active_nowhere_has_an_empty_record(written: Path, tmp_path: Path) -> None:
    export_feature_files(open_profile(written), tmp_path / "plain")
    found = json.loads((tmp_path / "plain" / f"{cantor_pair(2, 45)}.json").read_bytes())
    assert (found["index"], found["examples_quantiles"], found["activation_frequency"]) == (45, [], 0)


def test_a_feature_that_is_active_nowhere_has_its_own_promoted_tokens(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = open_profile(written)
    tokens = [(45, (WeightedToken(7, " Austin", 0.5),), (WeightedToken(9, "\n", -0.5),))]
    monkeypatch.setattr(profile, "decoders", lambda layer: iter(tokens if layer == 2 else []))
    export_feature_files(profile, tmp_path / "packed", packed=True)
    found = [packed_feature(tmp_path / "packed", cantor_pair(2, number)) for number in (44, 45, 46)]
    assert [(one["top_logits"], one["bottom_logits"]) for one in found] == [
        ([], []),
        ([" Austin"], ["\n"]),
        ([" Austin", " Dallas"], ["\n"]),
    ]


def test_a_record_has_what_the_viewer_draws(written: Path, tmp_path: Path) -> None:
    notes = export_feature_files(open_profile(written), tmp_path / "plain")
    assert notes[0].startswith("put it beside the viewer's index.html")
    found = json.loads((tmp_path / "plain" / f"{cantor_pair(2, 46)}.json").read_bytes())
    strongest, upper, lower = found["examples_quantiles"]
    names = [quantile["quantile_name"] for quantile in (strongest, upper, lower)]
    assert names == ["Strongest", "Activations from 50% to 100%", "Activations from 0% to 50%"]
    (example,) = strongest["examples"]
    assert example["tokens"] == [" a", "\\xe5", "\\x8b", "\\x87"]  # which the viewer puts together as one character
    assert (example["tokens_acts_list"], example["train_token_ind"]) == ([0.0, 0.5, 4.0, 0.0], 2)
    assert lower["examples"][0]["tokens_acts_list"] == [0.0, 0.25]
    assert (found["top_logits"], found["bottom_logits"]) == ([" Austin", " Dallas"], ["\n"])
    assert (found["act_min"], found["act_max"], found["activation_frequency"]) == (1.0, 4.0, 0.05)
    below_two, above_three = found["histogram"][:13], found["histogram"][27:]  # 40 bins from 1 to 4
    counts = [sum(found["histogram"]), sum(below_two), sum(above_three)]
    assert counts == nearly([300.0, 97.5, 195.0], terms=40)
    assert len(found["quantile_values"]) == 100
    assert found["quantile_values"][-1] == 4.0
    assert 3 <= found["quantile_values"][33] <= 3.02  # two thirds of them are above 3


def test_one_activation_makes_a_whole_record(written: Path, tmp_path: Path) -> None:
    export_feature_files(open_profile(written), tmp_path / "plain")
    found = json.loads((tmp_path / "plain" / f"{cantor_pair(0, 3)}.json").read_bytes())
    assert (found["act_min"], found["act_max"]) == (0, 2)  # the viewer divides by their difference
    assert (found["histogram"][-1], sum(found["histogram"])) == (1, 1)
    assert set(found["quantile_values"]) == {2.0}


def test_one_negative_activation_is_in_the_first_bin() -> None:
    found = feature_record(replace(ONCE, min_activation=-2.0, max_activation=-2.0, bin_edges=(-2.5, -2.0)), "t")
    assert (found["act_min"], found["act_max"]) == (-2, 0)
    assert (found["histogram"][0], sum(found["histogram"])) == (1, 1)


@pytest.mark.parametrize("name", ["features", "data", "graph_data"])
def test_plain_files_are_not_written_where_the_viewer_does_not_look(written: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"at \./{name}.*give the folder another name"):
        export_feature_files(open_profile(written), tmp_path / name)
    assert not (tmp_path / name).exists()
    export_feature_files(open_profile(written), tmp_path / name, packed=True)


def test_the_interval_of_a_quantile_does_not_depend_on_the_contexts_that_a_feature_has(tmp_path: Path) -> None:
    written = write_profile(tmp_path / "p", [TEXAS], {"quantiles": 4})
    export_feature_files(open_profile(written), tmp_path / "plain")
    found = json.loads((tmp_path / "plain" / f"{cantor_pair(2, 46)}.json").read_bytes())
    names = [quantile["quantile_name"] for quantile in found["examples_quantiles"]]
    assert names == ["Strongest", "Activations from 75% to 100%", "Activations from 50% to 75%"]


@pytest.mark.parametrize("site", [(0, 0), (41, 16_383), (79, 1_048_575)])
def test_the_viewer_finds_layer_and_index_in_the_number(site: tuple[int, int]) -> None:
    assert unpaired(cantor_pair(*site)) == site


def test_nothing_is_replaced(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "files")
    assert main(["export-features", str(written), "--out", out, "--packed"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"wrote {out}"
    with pytest.raises(ConfigError, match="exists, and a folder replaces nothing"):
        export_feature_files(open_profile(written), out)
