"""What commands say about the communities of `mine roles` and `mine pathways` that they use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..text import printable, short

if TYPE_CHECKING:
    from ..graph.context import Group
    from ..graph.graph import Graph
    from ..mine.result import Result
    from ..store.reader import Store


def check_choice(flag: str, is_given: bool, level: int | None, every_community: bool) -> None:
    """Raise ConfigError for flags that choose communities where there are none. `flag` names the result."""
    if not is_given and (level is not None or every_community):
        raise ConfigError(f"--level and --every-community choose communities of a result: name it with {flag}")


def open_communities(path: str, identity: Any) -> Result:
    """Return the result of communities in a folder, and print a warning if it is of other transcoders or another model.

    `identity` has the fields `model` and `transcoders` of what the communities are used for. Raises ResultError if
    there is no result, or a damaged one.
    """
    from ..mine.result import open_result

    result = open_result(path)
    own = result.info.get("identity")
    own = own if isinstance(own, dict) else {}
    for name in ("model", "transcoders"):
        here, there = (Path(str(one.get(name) or "")).name for one in (identity, own))
        if here and there and here != there:
            text = f"warning: {path} is of the {name} {short(there)}, not {short(here)}: its features may be others"
            print(printable(text), file=sys.stderr)
    return result


def groups_of(path: str | None, store: Store, graph: Graph, level: int | None, every: bool) -> list[Group] | None:
    """Return the communities of a result as groups of the nodes of a store's graph; None without a result.

    Raises ConfigError if the result has no communities of this level, or none that are significant.
    """
    from ..mine.community_labels import community_groups, features_by_community

    if path is None:
        return None
    result = open_communities(path, store.info["identity"])
    features_by_community(result, level, every)
    return community_groups(result, graph, level, every)
