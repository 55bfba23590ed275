"""run.json of a store that is made from another one: the same, or the target is refused."""

from __future__ import annotations

import json

from ..errors import StoreMismatch, StoreNotFound
from ..store.ledger import differences, parse_run
from ..store.places.root import Root
from ..store.schema import RUN


def read_run(root: Root) -> bytes:
    """A store's run.json. Raises StoreNotFound; StoreVersionError, StoreCorrupt for what is not of this format."""
    data = root.read(RUN)
    if data is None:
        raise StoreNotFound(f"there is no store at {root.url}: it has no {RUN}")
    parse_run(data, root.url)
    return data


def settle_run(root: Root, data: bytes, refusal: str) -> None:
    """Make a store with this run.json, or check that it is one: provenance included, so that no two stores mix.

    Raises StoreMismatch that says `refusal` of the store, and every difference.
    """
    there = root.read(RUN)
    found = parse_run(root.create(RUN, data) if there is None else there, root.url)
    if lines := differences(found, json.loads(data), (root.url, "the source")):
        listed = "\n  ".join(lines)
        raise StoreMismatch(f"{root.url} {refusal}:\n  {listed}\n  Choose another place, or `merge` the two.")
