"""merge_stores: combines the parts of several stores of one configuration into one store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import StoreMismatch
from ...text import and_more
from ..backend.base import Backend
from ..backend.open import open_backend
from ..catalogue import Catalogue
from ..commits import read_commits
from ..format.part_manifest import PartManifest
from ..format.run_file import differences
from ..object_names import COMMIT_NAME, RUN, commit_name, number_of
from ..reader import Store, open_store
from .copy_parts import PartCopy, Show, copy_parts
from .copy_records import copy_records

_NAMED = 10


@dataclass(frozen=True)
class Merged:
    """Result of a merge: the parts copied and their bytes.

    `num_left_out` counts the sources' parts that were left out because all of their prompts existed already.
    """

    num_parts: int
    num_bytes: int
    num_left_out: int


def merge_stores(target: str, sources: str | Sequence[str], show: Show | None = None) -> Merged:
    """Copy the parts that the target lacks from the sources, byte for byte, under new commit numbers.

    If a prompt is in several stores, the first graph counts: that of the target, then that of the first source given.
    Nothing is written unless all stores fit together. If the merge is killed, another call continues. Raises
    StoreNotFound; StoreMismatch for stores of different configurations, or if a prompt has another content hash in
    another store; StoreCorrupt.
    """
    stores = [open_store(source) for source in ([sources] if isinstance(sources, str) else sources)]
    root = open_backend(target)
    before = [open_store(target)] if root.read(RUN) is not None else []
    _check_identity([*before, *stores])
    _check_content([*before, *stores])
    if not before:
        merged_from = [{"store": store.url, **_origin(store.info)} for store in stores]
        root.put_if_absent(RUN, json.dumps({**stores[0].info, "merged_from": merged_from}, indent=2).encode())
    chosen = _choose(root, before[0].catalogue if before else Catalogue(), stores)
    total, done = sum(part.manifest.num_bytes for parts in chosen for part in parts), 0
    for store, parts in zip(stores, chosen, strict=True):
        copy_parts(store.root, root, parts, _further(show, done, total))
        done += sum(part.manifest.num_bytes for part in parts)
        copy_records(store.root, root)
    num_parts = sum(map(len, chosen))
    return Merged(num_parts, total, sum(len(store.catalogue.commits) for store in stores) - num_parts)


def _check_identity(stores: Sequence[Store]) -> None:
    first = stores[0]
    for other in stores[1:]:
        if lines := differences(first.info["identity"], other.info["identity"], (first.url, other.url)):
            listed = "\n  ".join(lines)
            raise StoreMismatch(f"{other.url} was made with another configuration than {first.url}:\n  {listed}")


def _check_content(stores: Sequence[Store]) -> None:
    """Raise StoreMismatch if stores use one id for different tokens or targets: one of two graphs would be hidden."""
    first: dict[str, tuple[str, str]] = {}
    clashes = {}
    for store in stores:
        for prompt_id, content_hash in zip(store.catalogue.ids, store.catalogue.content_hashes, strict=True):
            was, url = first.setdefault(prompt_id, (content_hash, store.url)) if content_hash else ("", "")
            if was != content_hash:
                clashes[prompt_id] = f"{prompt_id!r} in {url} and {store.url}"
    if clashes:
        more = and_more(len(clashes) - _NAMED, "\n  ")
        listed = "\n  ".join(list(clashes.values())[:_NAMED])
        raise StoreMismatch(
            f"{len(clashes)} prompts ask for other tokens or targets under the same id:\n  {listed}{more}"
            "\n  Nothing was written. `split` can leave them out of one of the stores."
        )


def _choose(target: Backend, there: Catalogue, stores: Sequence[Store]) -> list[list[PartCopy]]:
    """Return for each store the parts with a prompt that no store before it has, and the names of their new commits."""
    number = max((number_of(name) for name in target.list_dir("commits") if COMMIT_NAME.fullmatch(name)), default=0)
    # `gc` may have removed the commit with the highest number
    number = max([number, *(number_of(entry.name) for entry in (*there.commits, *there.superseded))])
    parts = {entry.part for entry in (*there.commits, *there.superseded)}
    ids = set(there.ids)
    chosen = []
    for store in stores:
        own = []
        for name, manifest in _in_order(store):
            new = {entry.id for entry in manifest.prompts} - ids
            if new and manifest.part not in parts:
                number += 1
                ids |= new
                own.append(PartCopy(name, manifest, commit_name(number, manifest.part)))
        chosen.append(own)
    return chosen


def _in_order(store: Store) -> list[tuple[str, PartManifest]]:
    """Return the commits so that the first one that names a prompt holds its graph, even without the store's index.

    Compacted parts hold only prompts whose graph they hold, but their commits have late numbers.
    """
    catalogue = store.catalogue
    superseded = {entry.name for entry in catalogue.superseded}
    rows = {entry.name: len(catalogue.numbers(commit)) for commit, entry in enumerate(catalogue.commits)}
    commits = [(name, manifest) for name, manifest in read_commits(store.root, superseded) if rows.get(name)]
    return sorted(commits, key=lambda commit: (rows[commit[0]] < len(commit[1].prompts), commit[0]))


def _origin(run: Mapping[str, Any]) -> dict[str, Any]:
    return {key: run[key] for key in ("created", "command") if key in run}


def _further(show: Show | None, done: int, total: int) -> Show | None:
    """Return a progress callback for one store's parts that reports the progress of the whole merge."""
    return show and (lambda now, _: show(done + now, total))
