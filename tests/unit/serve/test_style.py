"""The style sheet of the pages: one section for each page, so that no rule of a page stands twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from colours import contrast, least_difference

import distributed_tracer.serve
from distributed_tracer.plot.groups import COLOURS, NONE

MAIL = (Path(distributed_tracer.__file__).parent / "export" / "html" / "style.css").read_text(encoding="utf-8")
STYLE = (Path(distributed_tracer.serve.__file__).parent / "static" / "style.css").read_text(encoding="utf-8")


def test_every_section_is_there_once_and_no_rule_is_open() -> None:
    sections = re.findall(r"^/\* ([a-z ]+) \*/$", STYLE, re.MULTILINE)
    assert {"findings", "feature", "compare", "graph", "subgraph", "corpus"} <= set(sections)
    assert len(sections) == len(set(sections))
    assert STYLE.count("{") == STYLE.count("}")


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "dark as the system asks"])
def test_communities_are_seen_on_the_background_and_by_colour_blind_readers(theme: int) -> None:
    values = [re.findall(rf"--{name}: (#[0-9a-f]{{6}})", STYLE) for name in ("back", "no-community")]
    values += [re.findall(rf"--community-{number}: (#[0-9a-f]{{6}})", STYLE) for number in range(6)]
    assert {len(found) for found in values} == {3}
    background, none, *colours = (found[theme] for found in values)
    assert min(contrast(colour, background) for colour in (none, *colours)) >= 3
    distance, which = least_difference((none, *colours))
    assert distance > 15, which
    if theme == 0:
        assert ((*colours,), none) == (COLOURS, NONE), "pictures and pages have the same colours"


def test_pages_to_mail_have_the_colours_of_communities_that_the_server_has() -> None:
    names = ["no-community", *(f"community-{number}" for number in range(6))]
    of_server, of_mail = (
        [re.findall(rf"--{name}: (#[0-9a-f]{{6}})", text) for name in names] for text in (STYLE, MAIL)
    )
    assert [found[:2] for found in of_server] == of_mail
