"""run.json: what it says about a store, and the part of it that is copied into every part as provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...errors import StoreCorrupt, StoreMismatch, StoreNotFound, StoreVersionError
from ...text import printable
from ..backend.base import Backend
from ..object_names import RUN
from .checksummed_json import MALFORMED, check_depth
from .schema import FORMAT_VERSION

_COPIED = ("identity", "content", "revisions", "versions", "created")


def provenance_of(run: bytes | None) -> dict[str, Any]:
    """Return the attributes of a part, taken from run.json.

    They are model, transcoders, options, dtypes, content hashes, revisions and versions. Returns an empty dict if
    run.json does not exist yet or cannot be parsed: checking it is the task of `parse_run`.
    """
    try:
        info = json.loads(run or b"{}")
    except (ValueError, RecursionError):
        return {}
    return {name: info[name] for name in _COPIED if name in info} if isinstance(info, dict) else {}


def is_imported(info: Mapping[str, Any]) -> bool:
    """Whether a store holds graphs that were imported from files, and none that this program traced."""
    return bool(info.get("identity", {}).get("imported"))


def check_traced(info: Mapping[str, Any], what: str) -> None:
    """Raise StoreMismatch for a store of imported graphs, about `what`, which only traced ones have."""
    if is_imported(info):
        raise StoreMismatch(
            f"{what} needs the model, the transcoders and the settings with which a store's graphs were traced, and "
            "nothing says them of imported graphs"
        )


def parse_run(data: bytes, url: str) -> dict[str, Any]:
    """Return the content of run.json.

    Raises StoreVersionError for another format version, StoreCorrupt for anything else.
    """
    try:
        info = json.loads(data)
        version = info["format_version"]
        known = info["format"] == "distributed_tracer" and isinstance(info["identity"], dict)
        check_depth(info)
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{RUN} does not describe a store: {type(error).__name__}: {error}") from error
    if version != FORMAT_VERSION:
        raise StoreVersionError(
            f"{url} has format version {version!r}; this program reads version {FORMAT_VERSION}. "
            "Use a newer version of distributed_tracer."
        )
    if not known:
        raise StoreCorrupt(f"{url}/{RUN} does not describe a store")
    return dict(info)


def differences(
    there: Mapping[str, Any],
    here: Mapping[str, Any],
    names: tuple[str, str] = ("the store", "this run"),
    within: str = "",
) -> list[str]:
    """Return one line for every key whose values differ; nested keys are written with dots.

    `names` says in the lines to whom the two values belong.
    """
    lines = []
    for name in sorted(there.keys() | here.keys()):
        old, new = there.get(name, _ABSENT), here.get(name, _ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, names, f"{within}{name}.")
        elif old != new:
            lines.append(f"{printable(within + name)}: {names[0]} has {_shown(old)}, {names[1]} {_shown(new)}")
    return lines


def changed_keys(there: object, here: Mapping[str, str]) -> list[str]:
    """Return one line for every entry whose files have another hash than the store has recorded.

    Early stores recorded no hashes; entries without a recorded hash agree with everything.
    """
    known = there if isinstance(there, dict) else {}
    return [
        f"{name}: the store has {_shown(known[name])}, this run {_shown(value)}"
        for name, value in here.items()
        if known.get(name, value) != value
    ]


_ABSENT = object()


def _shown(value: object) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value)


def read_run(root: Backend) -> bytes:
    """Return the bytes of a store's run.json.

    Raises StoreNotFound if there is none, StoreVersionError or StoreCorrupt if it is not of this format.
    """
    data = root.read(RUN)
    if data is None:
        raise StoreNotFound(f"there is no store at {root.url}: it has no {RUN}")
    parse_run(data, root.url)
    return data


def settle_run(root: Backend, data: bytes, refusal: str) -> None:
    """Create a store with this run.json, or check that the existing run.json is equal, provenance included.

    Comparing the provenance, too, prevents two stores from being mixed. Raises StoreMismatch, whose message says
    `refusal` about the store and lists every difference.
    """
    there = root.read(RUN)
    found = parse_run(root.put_if_absent(RUN, data) if there is None else there, root.url)
    if lines := differences(found, json.loads(data), (root.url, "the source")):
        listed = "\n  ".join(lines)
        raise StoreMismatch(f"{root.url} {refusal}:\n  {listed}\n  Choose another place, or `merge` the two.")
