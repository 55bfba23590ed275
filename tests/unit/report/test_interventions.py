from __future__ import annotations

from typing import Any

from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.report.interventions import interventions_text, with_labels

EVIL = "\x1b]0;x\x07\u202eTexas"


def supernode(name: str, **changed: Any) -> dict[str, Any]:
    found = {"name": name, "features": [[1, 9, 5], [3, "4:", 6]], "children": [], "set": None, "replaces": None}
    return {**found, "before": 1.0, "after": -0.5, **changed}


def summary(**changed: Any) -> dict[str, Any]:
    return {
        "prompt": f"capital of {EVIL}",
        "supernodes": [
            supernode(EVIL, set="×-0.5"),
            supernode("ahead", features=[], before=None, after=None),
            supernode("California", features=[[2, 9, 1]], set="×1", replaces=EVIL, before=0.104),
        ],
        "next_tokens": [{"token": " Aus\ntin", "before": 0.99721, "after": 0.00004}],
        **changed,
    }


def test_supernodes_and_next_tokens_are_tables() -> None:
    head, supernodes, tokens = interventions_text(summary()).split("\n\n")
    escaped = EVIL.encode("unicode_escape").decode()
    assert head == f"prompt  capital of {escaped}"
    names, *rows = (line.split() for line in supernodes.splitlines())
    assert names == ["supernode", "features", "layers", "set", "before", "after"]
    assert rows == [
        ["1", escaped, "2", "1-3", "×-0.5", "100%", "-50%"],
        ["2", "ahead", "0", "-", "-", "-", "-"],
        ["3", "California", "1", "2", "×1", "for", escaped, "10%", "-50%"],
    ]
    assert tokens.splitlines()[1].split("  ") == [r"' Aus\ntin'", "0.9972", "0.0000"]


def test_nothing_can_steer_the_terminal() -> None:
    text = interventions_text(summary(generated={"before": EVIL, "after": EVIL}))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.splitlines()[-1] == f"after  {EVIL!r}"


def test_without_supernodes_the_tokens_are_left() -> None:
    assert "supernode" not in interventions_text(summary(supernodes=[]))


def test_of_many_supernodes_those_that_were_set_and_the_first_are_listed() -> None:
    many = [supernode(f"s{i}", set="×0" if i == 300 else None) for i in range(352)]
    lines = interventions_text(summary(supernodes=many), limit=3).split("\n\n")[1].splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [["1", "s0"], ["2", "s1"], ["301", "s300"]]
    assert lines[-1] == "... 349 more supernodes, not set"


def test_a_multiple_of_a_feature_that_does_not_fire_is_said_to_do_nothing() -> None:
    silent = {"before": None, "after": None}
    rows = [supernode("a", set="×0", **silent), supernode("b", set="=2", **silent), supernode("c", set="×0")]
    (line,) = (line for line in interventions_text(summary(supernodes=rows)).splitlines() if "not active" in line)
    assert line.endswith(": a")


def test_supernodes_have_the_labels_of_their_features() -> None:
    labels = Labels.of([(3, 6, Label(EVIL, "me")), (1, 5, Label("state", "me")), (1, 5, Label("state", "gpt"))])
    labelled = with_labels(summary(), labels)
    assert labelled["supernodes"][0]["labels"] == [
        {"layer": 1, "feature": 5, "text": "state", "source": "me"},
        {"layer": 1, "feature": 5, "text": "state", "source": "gpt"},
        {"layer": 3, "feature": 6, "text": EVIL, "source": "me"},
    ]
    assert labelled["supernodes"][2]["labels"] == []
    text = interventions_text(labelled)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "'state' | '" in text.splitlines()[3]
    assert "labels" not in interventions_text(with_labels(summary(), Labels()))
