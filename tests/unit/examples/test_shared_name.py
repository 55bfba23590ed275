"""Controls of the features of states named New: they differ from what was found, and do not do what those do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[3] / "examples" / "interventions"))

from shared_name import Question, alike, first_token, inactive, tried

from distributed_tracer import ReplacementModel

DEMO = Path(__file__).parents[3] / "demo"
FOUND = {(0, -1, 1): 4.0, (0, -1, 2): 5.0, (1, -1, 3): 6.0}
ACTIVE = {(0, 1): 4.1, (0, 2): 1.0, (0, 5): 1.1, (0, 6): 4.0, (0, 7): 9.0, (1, 3): 2.0, (1, 8): 2.5}
STRONGEST = {
    **{
        (0, feature): value
        for feature, value in ((73, 4.0), (209, 4.0), (239, 4.8), (307, 4.5), (450, 4.9), (509, 7.2))
    },
    **{(1, feature): value for feature, value in ((218, 8.1), (317, 5.0), (407, 3.1), (474, 7.3))},
    **{(2, feature): value for feature, value in ((214, 5.7), (298, 4.2), (362, 4.1), (379, 4.5), (448, 3.3))},
    **{(3, feature): value for feature, value in ((164, 4.5), (172, 5.3))},
}
"""Of the features that the contrast finds, some, with their mean activations."""


def test_controls_are_other_features_of_the_same_layers_and_each_is_used_once() -> None:
    assert alike(FOUND, FOUND, ACTIVE) == {(0, -1, 6): 4.0, (0, -1, 5): 1.1, (1, -1, 8): 2.5}
    chosen = inactive(FOUND, FOUND, ACTIVE, (10, 10), np.random.default_rng(0))
    assert [(layer, value) for (layer, _, _), value in chosen.items()] == [(0, 4.0), (0, 5.0), (1, 6.0)]
    assert {feature for layer, _, feature in chosen if layer == 0} < {0, 3, 4, 8, 9}
    assert not {(1, -1, 3), (1, -1, 8)} & chosen.keys()


def test_found_features_are_turned_off_and_controls_leave_the_answer() -> None:
    model = ReplacementModel.load(str(DEMO / "model"), str(DEMO / "transcoders" / "plt"))
    new = first_token(model, " New")
    texts = ["Fact: the state containing Buffalo is", "Fact: the state containing Hoboken is"]
    question = Question("off", texts, lambda _: {new}, True)
    found = {(layer, -1, feature): value for (layer, feature), value in STRONGEST.items()}
    own, others = tried(model, question, found)
    assert (own["features"], others["features"]) == ("found", "others")
    assert own["before"] == others["before"] == "100%"
    assert str(own["strength 2"]).startswith("0%")
    assert str(others["strength 2"]).startswith("100%")
