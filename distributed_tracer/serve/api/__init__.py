"""The HTTP API of `serve`: one module for each group of endpoints, each with a tuple `ENDPOINTS`.

Addresses begin with `/api/v1`. Whatever is asked by prompt has the id as the parameter `prompt`: ids may have any
characters, and browsers change some of them in paths.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..endpoint import Endpoint
from . import (
    about_store,
    communities,
    compare,
    exports,
    features,
    findings,
    graphs,
    groups,
    interventions,
    labels,
    neighbours,
    notes,
    prompt_map,
    prompts,
    subgraph,
)

ALL: tuple[Sequence[Endpoint], ...] = (
    about_store.ENDPOINTS,
    prompts.ENDPOINTS,
    prompt_map.ENDPOINTS,
    graphs.ENDPOINTS,
    neighbours.ENDPOINTS,
    groups.ENDPOINTS,
    subgraph.ENDPOINTS,
    interventions.ENDPOINTS,
    notes.ENDPOINTS,
    features.ENDPOINTS,
    labels.ENDPOINTS,
    compare.ENDPOINTS,
    findings.ENDPOINTS,
    communities.ENDPOINTS,
    exports.ENDPOINTS,
)
"""The groups of endpoints, in the order of the API's document."""
