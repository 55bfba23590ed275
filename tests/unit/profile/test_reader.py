"""Reading of profiles: features one by one and in order, a table of all, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from profiles import write_profile

from distributed_tracer.errors import ProfileError
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, Neighbour, WeightedToken
from distributed_tracer.profile.reader import open_profile

NAN = float("nan")
AUSTIN = FeatureProfile(
    layer=2,
    feature=46,
    num_active_tokens=3,
    num_active_prompts=2,
    num_tokens=60,
    num_prompts=5,
    max_activation=2.5,
    mean_activation=1.5,
    quantiles=(0.5, 1.5, 2.5),
    quantile_shares=(0.0, 0.5, 1.0),
    histogram=(1, 2),
    bin_edges=(0.5, 1.0, 4.0),
    contexts=(
        Context(0, "p1", 4, 2, (" capital", " of", " Texas"), (0.0, 0.5, 2.5)),
        Context(1, "<script>", 1, 0, ("<bos>", "\x1b[31m\u202e"), (0.0, 0.5)),
    ),
    promoted=(WeightedToken(7, " Austin", 0.5), WeightedToken(8, " Dallas", 0.25)),
    suppressed=(WeightedToken(9, "\n", -0.5),),
    neighbours=(Neighbour(1, 5, 0.75),),
    positions=((1, 2), (4, 1)),
    min_activation=0.5,
)
OTHERS = tuple(
    replace(AUSTIN, layer=layer, feature=feature, contexts=AUSTIN.contexts[:1], positions=())
    for layer, feature in ((0, 3), (0, 1_000_000), (2, 0), (2, 5), (2, 47))
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_profile(tmp_path_factory.mktemp("profile") / "p", [AUSTIN, *OTHERS], {"model": "m", "seed": 0})


def test_a_feature_is_read_as_it_was_written(written: Path) -> None:
    profile = open_profile(written)
    assert profile.feature(2, 46) == AUSTIN
    assert profile.feature(2, 45) is None
    assert profile.feature(1, 0) is None
    assert (2, 47) in profile
    assert (2, 48) not in profile
    assert profile.info["settings"] == {"model": "m", "seed": 0}


def test_all_features_come_in_the_order_of_layer_and_index(written: Path) -> None:
    expected = sorted([AUSTIN, *OTHERS], key=lambda p: (p.layer, p.feature))
    assert list(open_profile(written)) == expected
    assert list(open_profile(written).features([0])) == expected[:2]


def test_the_table_has_a_row_for_each_feature(written: Path) -> None:
    table = open_profile(written).table()
    assert list(zip(table["layer"].tolist(), table["feature"].tolist(), strict=True))[:2] == [(0, 3), (0, 1_000_000)]
    assert table["density"].tolist() == [3 / 60] * 6
    assert table["max_activation"].tolist() == [2.5] * 6
    assert len(table) == len(open_profile(written))


def test_activations_between_known_ones_may_be_unknown(tmp_path: Path) -> None:
    sparse = replace(AUSTIN, contexts=(Context(0, "p", 1, 0, ("a", "b", "c"), (NAN, 2.5, NAN)),))
    (context,) = open_profile(write_profile(tmp_path, [sparse])).feature(2, 46).contexts  # type: ignore[union-attr]
    assert str(context.activations) == "(nan, 2.5, nan)"


def test_half_surrogates_become_question_marks(tmp_path: Path) -> None:
    odd = replace(AUSTIN, contexts=(Context(0, "p", 0, 0, ("\ud800x",), (2.5,)),))
    (context,) = open_profile(write_profile(tmp_path, [odd])).feature(2, 46).contexts  # type: ignore[union-attr]
    assert context.tokens == ("?x",)


def test_a_folder_that_is_no_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="there is no profile at"):
        open_profile(tmp_path / "absent")
    (tmp_path / "work").mkdir()
    with pytest.raises(ProfileError, match="not finished: run the same `profile` command again"):
        open_profile(tmp_path)


@pytest.mark.parametrize("name", ["profile.json", "features/layer_0002.parquet", "contexts/layer_0002.parquet"])
def test_a_file_that_was_altered_is_named(written: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(written, tmp_path / "p")
    file = tmp_path / "p" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ProfileError, match=name):
        open_profile(tmp_path / "p").feature(2, 46)


def test_a_format_of_the_future_is_refused(written: Path, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"format":"distributed_tracer profile","format_version":2}')
    with pytest.raises(ProfileError, match="has format version '2'; this program reads 1"):
        open_profile(tmp_path)


def test_a_profile_describes_itself_in_a_line(written: Path) -> None:
    assert repr(open_profile(written)).endswith("6 features, of 60 tokens in 5 prompts>")
    assert "<script>" not in open_profile(written)._repr_html_()
