from __future__ import annotations

import pytest

from distributed_tracer.errors import InterventionError
from distributed_tracer.intervene.parse_settings import parse_settings
from distributed_tracer.intervene.supernode import Feature, Supernode

KNOWN = (Supernode("Texas = 3", (Feature(1, 2, 3),)), Supernode("2:9:117", ()), Supernode("1", ()))


@pytest.mark.parametrize(
    ("what", "feature"),
    [
        ("2:9:118", Feature(2, 9, 118)),
        ("0:-1:7", Feature(0, -1, 7)),
        ("2:5::117", Feature(2, slice(5, None), 117)),
        ("2:::117", Feature(2, slice(None, None), 117)),
        ("2::-1:117", Feature(2, slice(None, -1), 117)),
        ("2:-4:8:2:117", Feature(2, slice(-4, 8, 2), 117)),
    ],
)
def test_a_feature_is_a_supernode_of_its_own(what: str, feature: Feature) -> None:
    found = parse_settings([f"{what}=x-2"], KNOWN)
    assert found.supernodes == (*KNOWN, Supernode(what, (feature,)))
    assert (found.times, found.values) == ({what: -2.0}, {})


def test_supernodes_are_known_by_name_and_by_number() -> None:
    found = parse_settings(["Texas = 3=x0", "2=1.5e1", "1=-1"], KNOWN)
    assert found.supernodes == KNOWN
    assert (found.times, found.values) == ({"Texas = 3": 0.0}, {"2:9:117": 15.0, "1": -1.0})
    assert parse_settings(["2:9:117=x1"], KNOWN).supernodes == KNOWN, "a name goes before a place"


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["2:9=x0"], "'2:9' is neither LAYER:POSITION:FEATURE"),
        (["0=x0"], "nor a supernode; there are 1 'Texas = 3', 2 '2:9:117', 3 '1'"),
        (["2:9:1:2:3:4=x0"], "is neither"),
        (["2:9:٣=x0"], "is neither"),
        (["2:9:118=off"], "'2:9:118=off' sets nothing"),
        (["2:9:118=x"], "sets nothing"),
        (["2:9:118"], "'2:9:118' sets nothing: give WHAT=VALUE"),
        (["2=1", "2:9:117=2"], "'2:9:117' is set twice"),
    ],
)
def test_what_cannot_be_read_is_said(texts: list[str], says: str) -> None:
    with pytest.raises(InterventionError, match=says):
        parse_settings(texts, KNOWN)


def test_the_beginning_of_a_name_is_enough_where_no_other_has_it() -> None:
    known = [Supernode(name, ()) for name in ("role 1: a: b", "role 12: c", "say: x", "say: y")]
    found = parse_settings(["role 1=x0", "role 12: c=2"], known)
    assert (found.times, found.values) == ({"role 1: a: b": 0.0}, {"role 12: c": 2.0})
    for unknown in ("say=x0", "role=x0", "role 1: a=x0"):
        with pytest.raises(InterventionError, match="nor a supernode"):
            parse_settings([unknown], known)
    with pytest.raises(InterventionError, match="is set twice"):
        parse_settings(["role 1=x0", "1=x0"], known)


def test_what_is_not_active_here_is_named() -> None:
    known, absent = [Supernode("role 1: a", ())], ["role 3: \x1b[2J"]
    for what in ("role 3", absent[0]):
        with pytest.raises(InterventionError, match=r"'role 3: \\x1b\[2J' has no active feature in this prompt"):
            parse_settings([f"{what}=x0"], known, absent)
