"""Columns of the summary of `discover`: types, units and meanings."""

from __future__ import annotations

from ..mine.columns import COUNT, NO_UNIT, Column

_STEP = Column("", "", "name of the step, and of the folder of its result")
_KIND = Column("", "", "kind of the result: the mining command that makes it")
_CHANGE = "unit in the column unit"
_OF_CERTIFICATES = "NaN without certificates"
COLUMNS: dict[str, dict[str, Column]] = {
    "findings": {
        "step": _STEP,
        "kind": _KIND,
        "name": Column("", "", "the finding: a feature as layer:index, an edge, a chain, the name of a community"),
        "verdict": Column("", "", "confirmed, not confirmed or no power: corrected for the findings of its own result"),
        "confirmed_over_all": Column("", "", "yes if q_all is at most alpha; no; untested if it has no p-value"),
        "q_all": Column(
            "f8", NO_UNIT, "smallest false discovery rate over all findings of all steps that were tested (BH)"
        ),
        "q": Column("f8", NO_UNIT, "smallest false discovery rate among the findings of its own result (BH)"),
        "p": Column("f8", NO_UNIT, "p-value of its certificate; NaN if it was not tested"),
        "prediction": Column("", "", "what must happen if its features are turned off"),
        "clusters": Column("i8", COUNT, "held-out clusters in which it was tested"),
        "prompts": Column("i8", COUNT, "prompts of these clusters"),
        "unit": Column("", "", "unit of the following changes: logit or pre-activation"),
        "change": Column("f8", _CHANGE, "change in the predicted direction if its features are turned off"),
        "change_controls": Column("f8", _CHANGE, "the same change with control sets turned off, mean over them"),
        "excess": Column("f8", _CHANGE, "change - change_controls"),
        "excess_from": Column("f8", _CHANGE, "lower end of its 95% interval over clusters"),
        "excess_to": Column("f8", _CHANGE, "upper end of this interval"),
        "why": Column("", "", "why it is not confirmed; empty if it is"),
        "features": Column(
            "", "", "features that it is about, each with its label or with tokens; empty for communities"
        ),
        "table": Column("", "", "table of the result that has the finding"),
        "finding": Column("i8", NO_UNIT, "row of the finding in this table, from 0"),
    },
    "steps": {
        "step": _STEP,
        "kind": _KIND,
        "about": Column("", "", "what the result is of, such as the sets of a contrast"),
        "status": Column("", "", "done or left out"),
        "why": Column("", "", "why the step, or the certificates of its findings, are left out"),
        "found": Column("f8", COUNT, "rows that the step calls findings; NaN if it makes none or is left out"),
        "of": Column("", "", "what these rows are"),
        "certified": Column("f8", COUNT, f"findings with a certificate; {_OF_CERTIFICATES}"),
        "confirmed": Column("f8", COUNT, f"of these, those that are confirmed; {_OF_CERTIFICATES}"),
        "not_confirmed": Column("f8", COUNT, f"of these, those that are not confirmed; {_OF_CERTIFICATES}"),
        "no_power": Column("f8", COUNT, f"of these, those without power; {_OF_CERTIFICATES}"),
        "confirmed_over_all": Column("f8", COUNT, f"of these, those with q_all of at most alpha; {_OF_CERTIFICATES}"),
    },
    "features": {
        "layer": Column("i8", NO_UNIT, "layer of a feature that a tested finding is about; members are left out"),
        "feature": Column("i8", NO_UNIT, "its index"),
        "findings": Column("i8", COUNT, "tested findings that are about it"),
        "label": Column("", "", "its labels in the store when the summary was written"),
        "tokens": Column(
            "", "", "tokens at which it has most influence in the discovery half, with shares of its influence"
        ),
    },
    "contrasts": {
        "contrast": Column("", "", "the sets: a value of metadata against another, or against all others"),
        "status": Column("", "", "chosen or left out"),
        "why": Column("", "", "why it is left out"),
        "clusters_a": Column("i8", COUNT, "clusters of set a in the discovery half"),
        "clusters_b": Column("i8", COUNT, "clusters of set b in the discovery half"),
        "held_out_a": Column("i8", COUNT, "clusters of set a in the held-out half"),
        "held_out_b": Column("i8", COUNT, "clusters of set b in the held-out half"),
    },
}
"""Columns of each table, in order."""
