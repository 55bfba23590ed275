"""Columns of the result of `certify`: types, units and meanings."""

from __future__ import annotations

from ..mine.columns import COUNT, NO_UNIT, Column

_CHANGE = "unit of the quantity: logit or pre-activation"
_FINDING = Column("i8", NO_UNIT, "row of the finding in its table, from 0")
_NAME = Column("", "", "the finding: a feature as layer:index, an edge, the path of a chain, the name of a community")
_PREDICTION = Column("", "", "what must happen if its features are turned off, more than with control sets")
_EVIDENCE: dict[str, Column] = {
    "prompts": Column(
        "i8", COUNT, "prompts in which it was tested: something of it is active, and the quantity exists"
    ),
    "clusters": Column("i8", COUNT, "distinct clusters of these prompts: the units of the tests"),
    "features": Column("f8", COUNT, "features turned off in a prompt, mean over prompts"),
    "effect": Column("f8", _CHANGE, "change in the predicted direction: mean over prompts, then over clusters"),
    "effect_low": Column("f8", _CHANGE, "lower end of its 95% interval over clusters (Student); NaN for one cluster"),
    "effect_high": Column("f8", _CHANGE, "upper end of this interval"),
    "controls": Column("f8", _CHANGE, "the same change with control sets turned off, mean over them"),
    "controls_high": Column("f8", _CHANGE, "change that 95% of the control sets remain below"),
    "difference": Column("f8", _CHANGE, "effect - controls"),
    "low": Column("f8", _CHANGE, "lower end of its 95% interval over clusters (Student); NaN for one cluster"),
    "high": Column("f8", _CHANGE, "upper end of this interval"),
    "p_direction": Column("f8", NO_UNIT, "signed ranks over clusters: the effect is not above 0"),
    "p_difference": Column("f8", NO_UNIT, "signed ranks over clusters: the effect is not above that of the controls"),
    "p_controls": Column("f8", NO_UNIT, "rank of the effect among control sets: it is one of these sets"),
    "p": Column(
        "f8", NO_UNIT, "the largest of the three p-values: all three must be refuted; NaN if it was not tested"
    ),
    "attainable": Column("f8", NO_UNIT, "smallest p that any outcome could have had with these clusters and controls"),
}
COLUMNS: dict[str, dict[str, Column]] = {
    "certificates": {
        "finding": _FINDING,
        "name": _NAME,
        "verdict": Column("", "", "confirmed, not confirmed or no power; on the discovery set it says so"),
        "q": Column("f8", NO_UNIT, "smallest false discovery rate at which it is confirmed (Benjamini and Hochberg)"),
        "why": Column("", "", "why it is not confirmed; empty if it is"),
        "prediction": _PREDICTION._replace(meaning=f"{_PREDICTION.meaning}; of several, the least certain one"),
        **_EVIDENCE,
    },
    "predictions": {"finding": _FINDING, "name": _NAME, "prediction": _PREDICTION, **_EVIDENCE},
}
"""Columns of each table, in order."""
EVIDENCE = tuple(_EVIDENCE)
