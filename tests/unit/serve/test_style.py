"""The style sheet of the pages: one section for each page, so that no rule of a page stands twice."""

from __future__ import annotations

import re
from pathlib import Path

import distributed_tracer.serve

STYLE = (Path(distributed_tracer.serve.__file__).parent / "static" / "style.css").read_text(encoding="utf-8")


def test_every_section_is_there_once_and_no_rule_is_open() -> None:
    sections = re.findall(r"^/\* ([a-z ]+) \*/$", STYLE, re.MULTILINE)
    assert {"findings", "feature", "compare", "graph", "subgraph", "corpus"} <= set(sections)
    assert len(sections) == len(set(sections))
    assert STYLE.count("{") == STYLE.count("}")
