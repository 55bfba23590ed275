from __future__ import annotations

import pytest

from distributed_tracer.names import closest, hint, is_elsewhere, unknown


def test_an_unknown_name_is_answered_with_those_there_are_and_the_closest() -> None:
    assert unknown("column", "topc", ["id", "topic"]) == "no column 'topc'; there are id, topic. Did you mean 'topic'?"
    assert unknown("column", "x", []) == "no column 'x'; there are none"
    assert unknown("column", "x", [f"c{i:03}" for i in range(43)]).endswith("c039 and 3 more")


def test_case_does_not_matter_and_what_is_far_is_not_named() -> None:
    assert closest("TWO-HOP-DALLAS", ["two-hop-dallas", "opposite"]) == ["two-hop-dallas"]
    assert closest("faith", ["edges", "faithfulness"]) == ["faithfulness"]
    assert closest("dallas", ["dallas-2-hops", "two-hop-dallas", "x"]) == ["dallas-2-hops", "two-hop-dallas"]
    assert hint("zebra", ["two-hop-dallas"]) == ""
    assert closest("Austim", [" Austin"]) == [" Austin"]
    assert closest(3, ["3"]) == []
    assert closest("a" * 1_000, ["a" * 1_001]) == []


def test_among_very_many_those_that_begin_alike_are_compared() -> None:
    ids = [f"{i % 97:02}-prompt-{i:06}" for i in range(30_000)]
    assert closest("05-prompt-00005", ids)[0].startswith("05-prompt-00")


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "..", "../x", "a/../../x", "a/..", "C:x", "c:/x", "C:\\x", "..\\x", "a\\b", "\\\\server\\x",
     "a\x00b", "", None, 3, ["a"], "//x", "a\n/../x"],
)  # fmt: skip
def test_names_that_may_lead_out_of_a_folder_are_known_on_every_system(name: object) -> None:
    assert is_elsewhere(name)


@pytest.mark.parametrize(
    "name", ["a", "a/b.c", "...", "..a/b..", "a b/é", ".hidden", "layer_0.safetensors", "1:2", "ab:c"]
)
def test_names_within_a_folder_may_be_used(name: str) -> None:
    assert not is_elsewhere(name)
