"""Conditions as text, against every kind of value that metadata may have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distributed_tracer.errors import ConfigError
from distributed_tracer.store.read.where import rows_meeting
from distributed_tracer.table import Table

VALUES: dict[str, list[Any]] = {
    "flag": [True, False, None, True],
    "flag_csv": ["True", "false", None, "yes"],
    "hops": [2, 2.0, 10, None],
    "hops_csv": ["2", "2.0", "10", "007"],
    "mixed": [True, 1, "1", "true"],
    "day": ["2024-02-29", "2023-12-31", "2024-10-01", None],
    "topic": ["none", None, "None", "a=b"],
    "tags": [["a", 1], {"b": [None]}, ["a"], None],
    "num_tokens": [10, 20, 30, 40],
}
PROMPTS = Table({"id": list("abcd"), "num_tokens": np.array([4, 3, 2, 1]), "score": np.array([0.5, np.nan, 1.0, 2.0])})
OWN = {f"metadata.{name}" if name in PROMPTS else name: values for name, values in VALUES.items()}
TABLE = Table({**{name: PROMPTS[name] for name in PROMPTS.columns}, "part": list("xxxx"), **OWN})


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        *((f"flag={text}", "ad") for text in ("true", "True", "TRUE")),
        ("flag=False", "b"),
        ("flag=null", "c"),
        ("flag_csv=true", "a"),
        ("flag_csv=False", "b"),
        ("flag_csv=yes", "d"),
        ("hops=2", "ab"),
        ("hops=2.0", "ab"),
        ("hops==2e0", "ab"),
        ("hops>=3", "c"),
        ("hops_csv=2", "ab"),
        ("hops_csv>=3", "c"),
        ("hops_csv<=10", "abc"),
        ("hops_csv=007", "d"),
        ("hops_csv=7", ""),
        ("mixed=1", "bc"),
        ("mixed=true", "ad"),
        ("day=2024-10-01", "c"),
        ("day>=2024-01-01", "ac"),
        ("day<=2024-02-29", "ab"),
        ("topic=none", "a"),
        ("topic=None", "bc"),
        ("topic=null", "b"),
        ("topic=a=b", "d"),
        ('tags=["a", 1]', "a"),
        ('tags={"b":[null]}', "b"),
        ("num_tokens=3", "b"),
        ("metadata.num_tokens=30", "c"),
        ("metadata.hops=10", "c"),
        ("score>=0.5", "acd"),
        ("score<=.5", "a"),
        ("score >= 0.5", "acd"),
        ("flag_csv = yes", "d"),
        ("flag_csv= yes", ""),
        ("id=b", "b"),
        ("id>=c", "cd"),
    ],
)
def test_one_rule_of_comparison(where: str, expected: str) -> None:
    assert "".join(TABLE.where(rows_meeting(TABLE, where))["id"]) == expected


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("flag=1", "'flag=1' compares with numbers or text, but 'flag' holds booleans"),
        ("flag=maybe", "'flag=maybe' compares with text, but 'flag' holds booleans"),
        ("flag>=true", "'flag>=true' compares with text, but 'flag' holds booleans"),
        ("hops=two", "'hops=two' compares with text, but 'hops' holds numbers"),
        ("hops>=nan", "'hops>=nan' compares with text, but 'hops' holds numbers"),
        ("num_tokens=1_000", "'num_tokens=1_000' compares with text"),
        ("day>=2024", "'day>=2024' compares with numbers, but 'day' holds text"),
        ("tags=a", "'tags=a' compares with text, but 'tags' holds lists or objects"),
    ],
)
def test_what_nothing_in_the_column_can_equal_is_a_mistake(where: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        rows_meeting(TABLE, [where])


def test_all_conditions_must_hold() -> None:
    assert rows_meeting(TABLE, ["hops=2", "flag=false"]).tolist() == [False, True, False, False]
    assert rows_meeting(TABLE, []).all()
