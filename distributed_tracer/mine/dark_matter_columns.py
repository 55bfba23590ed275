"""Columns of the tables of dark matter: names, types, units and meanings."""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column

_SHARE = "share of all influence, mean over clusters of the means of their prompts"
_MEANS = {
    "share": Column("f8", NO_UNIT, _SHARE),
    "low": Column("f8", NO_UNIT, "lower end of the 95% interval of `share` over clusters; NaN for one cluster"),
    "high": Column("f8", NO_UNIT, "upper end of that interval"),
}
_PRESENT = {
    "prompts": Column("i8", COUNT, "prompts that have such an error node in their graph"),
    "nodes": Column("i8", COUNT, "error nodes"),
    "share_present": Column("f8", NO_UNIT, "mean of these prompts' shares, each prompt with the same weight"),
}
_LAYER_COLUMN = {"layer": Column("i2", NO_UNIT, "layer of the errors")}
_PLACES = {
    "position": Column("i4", "tokens", "position of the errors, from 0"),
    "from_end": Column("i4", "tokens", "number of tokens after the position of the errors: 0 at the last token"),
    "token": Column("", "", "token at the position of the errors"),
}
LAYERS: dict[str, Column] = {
    **_LAYER_COLUMN,
    **_MEANS,
    "share_placed": Column("f8", NO_UNIT, "of `share`, that of the error nodes that are in the graphs"),
    "share_pruned": Column("f8", NO_UNIT, "share - share_placed: of errors that pruning removed, at unknown positions"),
    "largest": Column("f8", NO_UNIT, "largest share of a prompt"),
    "largest_prompt": Column("", "", "id of that prompt, the first one of equal ones"),
}
PROMPTS: dict[str, Column] = {
    "prompt": Column("", "", "id"),
    "cluster": Column("", "", "name of its cluster; its id if no clusters are named"),
    "tokens": Column("i8", COUNT, "tokens"),
    "share": Column("f8", NO_UNIT, "share of its influence that ends in errors, before pruning"),
    "share_placed": Column("f8", NO_UNIT, "of `share`, that of the error nodes that are in the graph"),
    "layer": Column("i2", NO_UNIT, "layer whose errors have the largest share"),
    "share_layer": Column("f8", NO_UNIT, "their share"),
}
CLASSES: dict[str, Column] = {
    "field": Column("", "", "metadata field, or the field of the clusters"),
    "value": Column("", "", "its value, as JSON unless it is text"),
    "prompts": Column("i8", COUNT, "prompts with this value whose share is known"),
    "clusters": Column("i8", COUNT, "clusters of these prompts"),
    **{name: column._replace(meaning=f"of these prompts: {column.meaning}") for name, column in _MEANS.items()},
}
STRONGEST: dict[str, Column] = {
    "prompt": Column("", "", "id"),
    **_LAYER_COLUMN,
    **_PLACES,
    "share": Column("f8", NO_UNIT, "share of the prompt's influence that ends in this error node"),
}


def means_table(*places: str) -> dict[str, Column]:
    return {**{name: (_LAYER_COLUMN | _PLACES)[name] for name in places}, **_MEANS, **_PRESENT}


PARTITIONS = {
    "positions": ("position",),
    "positions_from_end": ("from_end",),
    "tokens": ("token",),
    "layers_from_end": ("layer", "from_end"),
    "layers_tokens": ("layer", "token"),
}
"""Tables that divide the influence of all error nodes, and by what."""
