"""Answers to questions about an atlas, as the command line gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..graph.labels import Labels
from ..store.reader import Store
from ..table import Table
from ..text import counted
from .atlas_edges import ENDS, atlas_edges, atlas_edges_into, atlas_edges_out_of, atlas_feature
from .chain_tables import site_name
from .result import Result
from .token_names import token_names


def answer_atlas_query(
    atlas: Result,
    site: tuple[int, int] | None,
    question: str,
    where: Sequence[str] = (),
    top: int | None = 50,
    store: Store | None = None,
) -> tuple[Table, str]:
    """Return a table and a line that summarizes it.

    With a feature and the question `edges-into` or `edges-out` these are its strongest edges on average, and with
    `occurrences` what the atlas says of the feature itself; without a feature, the strongest edges that meet `where`.
    Ends of edges are in one column each, by name; with a `store`, features have labels and tokens texts. `top=None`
    returns all edges. Raises ConfigError for a question that an atlas does not answer.
    """
    labels, names = (Labels(), {}) if store is None else (store.labels, token_names(store))
    of = f"statistics of {atlas.info['graphs']}, {counted(atlas.info['num_prompts'], 'prompt')}"
    if site is None:
        if question != "occurrences":
            raise ConfigError(f"--show {question} is about a feature: it goes with --feature")
        found = atlas_edges(atlas, where, top)
        return _named(found, ("source", "target"), labels, names), f"the strongest edges, by |sum_share|; {of}"
    if where:
        raise ConfigError("conditions are for all edges of an atlas: they do not go with --feature")
    own = f"{site[0]}:{site[1]} {labels.text(*site)}".strip()
    if question == "occurrences":
        found = atlas_feature(atlas, *site)
        return found, f"{own}{'' if len(found) else ' is a node of no graph'}; {of}"
    if question not in ("edges-into", "edges-out"):
        raise ConfigError(f"an atlas does not say which features act {question}: a store does")
    is_into = question == "edges-into"
    found = (atlas_edges_into if is_into else atlas_edges_out_of)(atlas, *site, top)
    said = f"{counted(len(found), 'edge')} {'into' if is_into else 'out of'} {own}, by |sum_share|"
    return _named(found, ("source" if is_into else "target",), labels, names), f"{said}; {of}"


def _named(edges: Table, sides: Sequence[str], labels: Labels, names: Mapping[int, str]) -> Table:
    """Return edges with one column for each of the named ends instead of three for both ends."""
    columns: dict[str, Any] = {}
    for side in sides:
        ends = zip(*(edges[f"{side}_{name}"].tolist() for name in ("kind", "layer", "feature")), strict=True)
        columns[side] = [_name(kind, layer, feature, labels, names) for kind, layer, feature in ends]
    rest = {name: edges[name] for name in edges.columns if name not in ENDS}
    return Table({**columns, **rest})


def _name(kind: str, layer: int, feature: int, labels: Labels, names: Mapping[int, str]) -> str:
    known = labels.text(layer, feature, 24) if kind == "feature" else ""
    return f"{site_name(kind, layer, feature, names)} {known}".strip()
