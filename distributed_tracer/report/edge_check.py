"""Report of an edge verification: agreement by number of layers between source and target, and the worst graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..table import Table
from ..text import printable

_WORST = 5
_MEANS = ("spearman", "cosine", "sign")


def disagreeing(table: Table, tolerance: float) -> list[str]:
    """Return ids of prompts with direct effects that differ by more than `tolerance` of the graph's largest edge."""
    whole = _whole(table)
    return whole["prompt"][_differs(whole, tolerance)].tolist() if len(whole) else []


def edge_check(table: Table, tolerance: float) -> dict[str, Any]:
    """Return the results of an edge verification as plain data, by distance and for all edges, and the worst prompts.

    The distance is the number of layers from source to target. Each row has the number of prompts and edges, the
    largest difference of a direct effect, and means over prompts of the agreement where everything but attention
    reacts.
    """
    whole = _whole(table)
    found = [_summary(name, table.where(table["distance"] == name)) for name in _distances(table)]
    worst = np.argsort(-whole["difference"], kind="stable")[:_WORST] if len(whole) else np.zeros(0, np.int64)
    return {
        "tolerance": tolerance,
        "distances": found,
        "worst": [{"prompt": row["prompt"], "difference": row["difference"]} for row in whole.take(worst).rows()],
        "disagreeing": disagreeing(table, tolerance),
    }


def edge_check_text(found: dict[str, Any]) -> str:
    """Return the result of `edge_check` as text."""
    if not found["distances"]:
        return "no graph has been measured"
    names = list(found["distances"][0])
    table = Table({name: [row[name] for row in found["distances"]] for name in names})
    lines = [
        "edges and what turning their sources off did, by layers from source to target:",
        "  difference: of direct effects, the largest, as a share of the graph's largest edge",
        "  spearman, cosine, sign: with everything but attention reacting, means over prompts",
        table.format(len(table)),
        "largest differences: " + ", ".join(f"{row['prompt']!r} {row['difference']:.2g}" for row in found["worst"]),
    ]
    wrong, tolerance = found["disagreeing"], found["tolerance"]
    if wrong:
        named = ", ".join(map(repr, wrong[:_WORST])) + (" ..." if len(wrong) > _WORST else "")
        lines.append(f"DISAGREE: direct effects of {len(wrong):,} graphs differ by more than {tolerance:.2g}: {named}")
    else:
        lines.append(f"direct effects agree to {tolerance:.2g} in all graphs")
    return "\n".join(printable(line) if "\n" not in line else line for line in lines)


def _whole(table: Table) -> Table:
    """Return each prompt's row about all of its edges."""
    return table.where(table["distance"] == "all") if "distance" in table else Table({"prompt": [], "difference": []})


def _differs(whole: Table, tolerance: float) -> Any:
    return ~(whole["difference"].astype(np.float64) <= tolerance)  # NaN counts as a difference


def _distances(table: Table) -> list[Any]:
    if "distance" not in table:
        return []
    return [*sorted({name for name in table["distance"].tolist() if name != "all"}), "all"]


def _summary(name: Any, rows: Table) -> dict[str, Any]:
    found = {"distance": name, "prompts": len(rows), "edges": int(rows["edges"].sum())}
    found["difference"] = float(rows["difference"].astype(np.float64).max())
    return found | {mean: _mean(rows[mean].astype(np.float64)) for mean in _MEANS}


def _mean(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
