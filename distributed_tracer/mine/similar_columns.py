"""Columns of the result of `mine similar`: types, units and meanings."""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column

_COMPARED: dict[str, Column] = {
    "ruzicka": Column("f8", NO_UNIT, "similarity of the graphs: sum of the smaller shares / sum of the larger shares"),
    "low": Column("f8", NO_UNIT, "lower end of its 95% interval (Clopper and Pearson) if it is estimated by samples"),
    "high": Column("f8", NO_UNIT, "upper end of this interval; both ends are `ruzicka` if it is exact"),
    "cosine": Column("f8", NO_UNIT, "cosine of the vectors of shares; NaN if similarities are estimated by samples"),
    "text": Column("f8", NO_UNIT, "overlap of the texts: sum of the smaller counts of tokens / sum of the larger ones"),
    "same_cluster": Column("", "", "yes or no; empty without --cluster and for prompts without one"),
}
TABLES: dict[str, dict[str, Column]] = {
    "neighbours": {
        "prompt": Column("", "", "id of a prompt"),
        "place": Column("i8", COUNT, "1 for the most similar graph"),
        "neighbour": Column("", "", "id of the prompt that has this graph"),
        **_COMPARED,
    },
    "unlike_texts": {
        "a": Column("", "", "id of a prompt"),
        "b": Column("", "", "id of another prompt"),
        **_COMPARED,
        "expected": Column("f8", NO_UNIT, "median similarity of the graphs of pairs whose texts are as alike"),
        "common_1": Column("f8", NO_UNIT, "sum of the smaller shares over the edges of one half of the targets"),
        "common_2": Column("f8", NO_UNIT, "sum of the smaller shares over the edges of the other half of the targets"),
        "shared_tokens": Column("", "", "tokens that both prompts have, those of the fewest prompts first"),
    },
}
"""Columns of each table, in order."""
