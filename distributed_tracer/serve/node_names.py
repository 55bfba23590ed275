"""Names of nodes in addresses and bodies, which `GraphData.keyOf` makes in the pages: feature:2:10:46."""

from __future__ import annotations

import re

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..graph.context import NodeKey
from ..plain_values import shown

NODE_NAME = re.compile(rf"({'|'.join(KINDS)}):(-1|\d{{1,14}}):(-1|\d{{1,14}}):(-1|\d{{1,14}})", re.ASCII)


def parse_key(text: object) -> NodeKey:
    """Return the node that `kind:layer:position:feature` names. Raises ConfigError."""
    match = NODE_NAME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(
            f"a node is named by kind:layer:position:feature, as in feature:2:10:46, and not by {shown(text)}"
        )
    return NodeKey(match[1], *(int(number) for number in match.groups()[1:]))


def key_text(key: NodeKey) -> str:
    """Return the name of a node, which `parse_key` reads."""
    return ":".join(map(str, key))
