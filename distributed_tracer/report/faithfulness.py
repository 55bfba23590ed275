"""Report of the faithfulness of many graphs: how much of the model's answer the kept features restore, by share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..table import Table

WAYS = ("keep", "drop", "lot")
Floats = npt.NDArray[np.float64]


def faithfulness(table: Table) -> Table:
    """Return a row for each share of influence, with medians over prompts.

    `restored` is (logit - logit without any feature) / (the model's logit - logit without any feature): 1 means that
    all that features do for the targets is restored, 0 nothing. It leaves out prompts whose features do not raise the
    targets. `kl` is in nats. `features` is the share of active features that are kept.
    """
    rows = []
    for share in sorted(set(table["share"].tolist())) if "share" in table else []:
        here = table.where(table["share"] == share)
        row: dict[str, Any] = {"share": share, "prompts": len(here), "features": _median(here["kept"] / here["active"])}
        row |= {f"{way}_restored": _median(restored(table, here, way)) for way in WAYS}
        row |= {f"{way}_kl": _median(here[f"{way}_kl"]) for way in WAYS}
        rows.append(row)
    return Table({name: [row[name] for row in rows] for name in (rows[0] if rows else {})})


def restored(table: Table, here: Table, way: str) -> Floats:
    """Return the restored share of the logit for each row in `here`; NaN where features do not raise the targets.

    The share is defined in `faithfulness`.
    """
    nothing = table.where(table["kept"] == 0)
    floor_of = dict(zip(nothing["prompt"].tolist(), nothing["keep_logit"].tolist(), strict=True))
    floor = np.array([floor_of.get(prompt, np.nan) for prompt in here["prompt"].tolist()], dtype=np.float64)
    range_ = np.asarray(here["model_logit"], dtype=np.float64) - floor
    gained: Floats = np.asarray(here[f"{way}_logit"], dtype=np.float64) - floor
    shares: Floats = np.divide(gained, range_, out=np.full(len(floor), np.nan), where=range_ > 0)
    return shares


def faithfulness_text(found: Table) -> str:
    """Return the result of `faithfulness` as text."""
    if not len(found):
        return "no graph has been measured"
    return "\n".join(
        [
            "by share of its features' influence that is taken, medians over prompts:",
            "  keep: all other active features are 0; drop: these are 0; lot: as keep, as many random features",
            "  restored: logit of the targets, from 0 (no feature) to 1 (the model); kl: from the model, in nats",
            found.format(len(found)),
        ]
    )


def _median(values: Any) -> float:
    numbers = np.asarray(values, dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    return float(np.median(known)) if len(known) else float("nan")
