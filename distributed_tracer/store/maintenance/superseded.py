"""Superseded: parts and indexes that an index has made unnecessary.

They may be removed once no reader can be left that opened the store before that index was written, that is, when the
index is old enough (settled). Then the commits that it superseded go, and all earlier indexes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import StoreCorrupt
from ..backend.base import Backend, ObjectInfo
from ..catalogue import Catalogue
from ..checked_objects import CheckedObjects, CheckedPartObjects
from ..format.part_manifest import PartManifest
from ..index import Index
from ..object_names import INDEX_NAME, file_of
from .unreferenced import Kind, UnreferencedObjects, garbage


def read_indexes(root: Backend, there: Mapping[str, ObjectInfo]) -> list[Index]:
    """Return all indexes in a listing, in the order of their numbers."""
    keys = sorted(key for key in there if key.startswith("index/") and INDEX_NAME.fullmatch(file_of(key)))
    found = root.read_many(keys)
    return [Index(root, file_of(key), found[key]) for key in keys if key in found]


def superseded(
    root: Backend,
    indexes: Sequence[Index],
    commits: Mapping[str, PartManifest],
    there: Mapping[str, ObjectInfo],
    before: float,
) -> list[UnreferencedObjects]:
    """Return superseded parts and earlier indexes that may be removed.

    Raises StoreCorrupt if the parts into which they were compacted are incomplete.
    """
    settled = [index for index in indexes if there[f"index/{index.name}"].written <= before]
    if not settled:
        return []
    newest, last = indexes[-1].catalogue, settled[-1]
    names = {entry.name for entry in last.catalogue.superseded} & {entry.name for entry in newest.superseded}
    if names & commits.keys():
        _check(newest, indexes[-1], commits, there)
    later = [index.catalogue for index in indexes if index.number >= last.number]
    gone = sorted(removable_commits(names, later, commits))
    older = [index for index in indexes if index.number < last.number]
    return [
        *(_garbage("superseded", CheckedPartObjects(root, commits[name]), f"commits/{name}", there) for name in gone),
        *(_garbage("index", index.objects, f"index/{index.name}", there) for index in older),
    ]


def _garbage(
    kind: Kind, objects: CheckedObjects, named_by: str, there: Mapping[str, ObjectInfo]
) -> UnreferencedObjects:
    keys = (f"{objects.folder}/{key}" for key in objects.expected)
    return garbage(kind, objects.folder, {key: there[key] for key in keys if key in there}, named_by)


def removable_commits(
    names: set[str], catalogues: Sequence[Catalogue], commits: Mapping[str, PartManifest]
) -> set[str]:
    """Return those superseded commits whose removal changes no prompt's graph, with or without an index.

    Compacted parts are committed late. If another commit before them names the same prompt with a graph of its own, a
    reader that knows no index would use that graph: the superseded commit then has to stay. `catalogues` are those of
    the indexes from the one that superseded the commits to the newest.
    """
    known = catalogues[-1].number_of
    gone = {name for name in names & commits.keys() if all(entry.id in known for entry in commits[name].prompts)}
    before = _first(commits)
    while True:
        after = _first({name: manifest for name, manifest in commits.items() if name not in gone})
        others = ((id_, after.get(id_)) for id_, name in before.items() if after.get(id_) != name)
        moved = {id_ for id_, name in others if name not in _commits_with(catalogues, id_)}
        kept = {name for name in gone if any(entry.id in moved for entry in commits[name].prompts)}
        if not kept:
            return gone
        gone -= kept


def _first(commits: Mapping[str, PartManifest]) -> dict[str, str]:
    """Return the first commit that names each prompt."""
    first: dict[str, str] = {}
    for name in sorted(commits):
        for entry in commits[name].prompts:
            first.setdefault(entry.id, name)
    return first


def _commits_with(catalogues: Sequence[Catalogue], prompt_id: str) -> set[str]:
    """Return the commits that have held a prompt's graph according to the catalogues; all hold the same graph."""
    having = (catalogue for catalogue in catalogues if prompt_id in catalogue.number_of)
    return {each.commits[each.place(each.number_of[prompt_id])[0]].name for each in having}


def _check(
    catalogue: Catalogue, index: Index, commits: Mapping[str, PartManifest], there: Mapping[str, ObjectInfo]
) -> None:
    """Raise StoreCorrupt unless every commit that the index relies on exists, with all of its part's objects.

    The objects are compared by their sizes.
    """
    for entry in catalogue.commits:
        manifest = commits.get(entry.name)
        sizes = {key: size for key, (size, _) in manifest.objects.items()} if manifest else {}
        keys = {key: f"parts/{entry.part}/{key}" for key in sizes}
        wrong = [path for key, path in keys.items() if path not in there or there[path].num_bytes != sizes[key]]
        if manifest is None or wrong:
            what = wrong[0] if wrong else f"commits/{entry.name}"
            raise StoreCorrupt(
                f"{index.objects.where} counts on {what}, which is missing or of another size; nothing was removed, "
                "for the parts from before the store was compacted may be the last that hold its prompts"
            )
