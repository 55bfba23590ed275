"""Splits by a hash of a value: every cluster is in one half, whatever other prompts there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.store.read.split import is_split, split_share, without_splits
from distributed_tracer.store.read.where import rows_meeting
from distributed_tracer.table import Table

TOWNS = [f"town {number % 40}" for number in range(200)]
PROMPTS = Table({"id": [f"p{number:03}" for number in range(200)], "part": ["a"] * 200, "town": TOWNS})


def test_both_halves_together_are_all_prompts_and_equal_values_are_in_one() -> None:
    first, second = rows_meeting(PROMPTS, "split(town)<=0.5"), rows_meeting(PROMPTS, "split(town) >= .5")
    assert (first ^ second).all()
    towns = np.array(TOWNS)
    assert not {*towns[first]} & {*towns[second]}
    assert 10 <= len({*towns[first]}) <= 30, "half of 40, give or take three standard deviations"
    assert rows_meeting(PROMPTS, ["split(town)<=0.5", "town=town 3"]).sum() in (0, 5)
    assert rows_meeting(PROMPTS, "split(town)<=1").all()


def test_a_value_keeps_its_share_in_another_table_and_its_share_is_what_the_format_says() -> None:
    fewer = PROMPTS.where(np.arange(200) % 3 == 0)
    own = rows_meeting(PROMPTS, "split(town)<=0.3")
    assert (rows_meeting(fewer, "split(town)<=0.3") == own[::3]).all()
    # sha256 of '"Texas"' begins with these bytes, as sha256sum says
    assert split_share("Texas") == pytest.approx(0x7F98747107125AF8 / 2**64, abs=2.0**-53)
    assert np.isnan(split_share(None))


def test_what_is_malformed_or_unknown_is_refused() -> None:
    for wrong in ("split(town)<=1.5", "split(town)=0.5", "split(town)<=half", "split()<=0.5"):
        with pytest.raises(ConfigError, match="a split is split"):
            rows_meeting(PROMPTS, wrong)
    with pytest.raises(ConfigError, match="twon"):
        rows_meeting(PROMPTS, "split(twon)<=0.5")
    assert is_split("split(town)<=0.5")
    assert without_splits(["town=a", "split(town)<=0.5"]) == ["town=a"]


def test_a_prompt_without_the_value_is_in_neither_half(tmp_path: Path) -> None:
    graphs = [random_graph(f"p{number}", seed=number) for number in range(2)]
    store = make_store(str(tmp_path / "store"), graphs)
    with pytest.raises(ConfigError, match="town"):
        choose_prompts(store, "split(town)<=0.5", None)
    lacking = Table({"id": ["a", "b"], "part": ["a", "a"], "town": ["Reno", None]})
    assert rows_meeting(lacking, "split(town)<=1").tolist() == [True, False]
