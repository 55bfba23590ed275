"""newer_store: a store as it is now, from what is known of it: only commits that are new are read."""

from __future__ import annotations

from ..errors import StoreCorrupt
from ..store.backend.base import key_batches
from ..store.commits import commit_names, parse_commit
from ..store.index import index_names
from ..store.reader import Store, open_store


def newer_store(store: Store, path: str) -> Store:
    """Return the store at `path`, which is `store` itself if no part was added, removed or rearranged.

    While a run only adds parts, this lists two folders and reads the new commits. Raises what `open_store` raises.
    """
    catalogue = store.catalogue
    known = {commit.name for commit in (*catalogue.commits, *catalogue.superseded)}
    names = commit_names(store.root)
    new = [name for name in names if name not in known]
    are_all_there = {commit.name for commit in catalogue.commits} <= set(names)
    indexes = index_names(store.root)
    has_same_index = (indexes[-1] if indexes else None) == (store.index.name if store.index else None)
    if not (has_same_index and are_all_there and (not new or new[0] > max(known, default=""))):
        return open_store(path)
    if not new:
        return store
    later = []
    for batch in key_batches(new):
        found = store.root.read_many([f"commits/{name}" for name in batch])
        if len(found) < len(batch):
            raise StoreCorrupt(f"a commit of {store.url} is listed but cannot be read; it may have been removed since")
        later += [(name, parse_commit(store.root, name, found[f"commits/{name}"])) for name in batch]
    return Store(store.root, store.info, catalogue.with_commits(later), store.index, dict(later))
