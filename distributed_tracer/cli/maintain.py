"""Commands that maintain a store: compact, copy, merge, split, verify, repair, gc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from ..documents.text import MAX_INDEX_BYTES, read_text
from ..errors import ConfigError
from .app import StorePath, print_answer


def compact(path: StorePath) -> int:
    """Combine small parts and index all prompts and features, so that the store opens and answers faster.

    Nothing is removed, and runs and readers may use the store at the same time.

    Args:
        path: Directory or URL of a store.
    """
    from ..store.maintenance.compact import compact as compact_store

    print(compact_store(path).describe())
    return 0


def verify(path: StorePath, json: bool = False) -> int:
    """Check every object of a store against its recorded size and checksum. The exit code is 1 if anything is damaged.

    Args:
        path: Directory or URL of a store.
        json: Whether to print the answer as JSON.
    """
    from ..report.damage import verified_as_dict, verified_text
    from ..store.backend.open import open_backend
    from ..store.maintenance.verify import verify as verify_store
    from .app import progress_bar

    with progress_bar("verifying") as show:
        found = verify_store(open_backend(path), show)
    print_answer(verified_as_dict(found) if json else verified_text(found))
    return 1 if found.damages else 0


def repair(path: StorePath, dry_run: bool = False) -> int:
    """Remove damaged objects from a store. The `trace` command that made it then traces their prompts again.

    Args:
        path: Directory or URL of a store.
        dry_run: Whether to report what would be removed, and to change nothing.
    """
    from ..report.damage import repaired_text
    from ..store.maintenance.repair import repair as repair_store
    from .app import progress_bar

    with progress_bar("verifying") as show:
        done = repair_store(path, dry_run, show)
    print(repaired_text(done, dry_run))
    return 0


def copy(
    source: Annotated[Positional[str], tyro.conf.arg(metavar="FROM")],
    target: Annotated[Positional[str], tyro.conf.arg(metavar="TO")],
) -> int:
    """Copy a store and check every object, between local disks and S3 in any direction.

    After an interruption, the same command goes on.

    Args:
        source: Directory or URL of the store to copy.
        target: Directory or URL of the copy: nothing is there yet, or a copy of the same store.
    """
    from ..store.maintenance.copy import copy_store
    from .app import progress_bar

    with progress_bar("copying") as show:
        made = copy_store(source, target, show)
    print(f"copied {made.num_parts:,} parts of {made.num_bytes:,} bytes; {made.num_there:,} were there")
    if made.num_beside:
        print(f"{made.num_beside:,} parts there are not in the source; they stay")
    return 0


def merge(
    out: Annotated[Positional[str], tyro.conf.arg(metavar="OUT")],
    stores: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="STORE...")],
) -> int:
    """Copy the parts of several stores of one configuration into one store.

    After an interruption, the same command goes on.

    Args:
        out: Directory or URL of the store to make or to add to. The graphs that it already has take precedence.
        stores: Directories or URLs of stores. If several have a graph of one prompt, the first store's graph counts.
    """
    from ..store.maintenance.merge import merge_stores
    from .app import progress_bar

    if not stores:
        raise ConfigError("name at least one store to merge into OUT")
    with progress_bar("merging") as show:
        made = merge_stores(out, stores, show)
    print(f"copied {made.num_parts:,} parts of {made.num_bytes:,} bytes; {made.num_left_out:,} hold nothing new")
    return 0


def split(
    path: StorePath,
    out: Annotated[Positional[str], tyro.conf.arg(metavar="OUT")],
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    prompts: str | None = None,
) -> int:
    """Copy the graphs of some prompts into a store of their own, the same bit for bit.

    After an interruption, the same command goes on.

    Args:
        path: Directory or URL of a store.
        out: Directory or URL of the store to make, or of one that was split from the same store.
        where: Conditions that the prompts must meet, all of them, in the form that `query` takes: topic=capitals
            hops=2.
        prompts: File with the ids of the prompts, one per line, instead of conditions.
    """
    from ..store.maintenance.split import chosen, split_store
    from ..store.reader import open_store
    from .app import progress_bar

    if bool(where) == bool(prompts):
        raise ConfigError("say which prompts: --where KEY=VALUE, or --prompts FILE with an id per line")
    store = open_store(path)
    wanted = _lines(prompts) if prompts else chosen(store, where)
    if not wanted:
        raise ConfigError(f"{prompts} has no ids" if prompts else f"no prompt of {path} meets {' '.join(where)}")
    with progress_bar("splitting") as show:
        written = split_store(store, out, wanted, show)
    print(f"wrote {written:,} graphs; {len(wanted) - written:,} were there")
    return 0


def gc(path: StorePath, grace_hours: float = 24.0, dry_run: bool = False, json: bool = False) -> int:
    """Remove what crashes left in a store: parts that no commit names, and temporary files.

    Runs that write to the store at the same time are safe.

    Args:
        path: Directory or URL of a store.
        grace_hours: Age in hours below which objects are kept, because a run may be about to commit them.
        dry_run: Whether to report what would be removed, and to remove nothing.
        json: Whether to print the answer as JSON.
    """
    from ..report.garbage import garbage_text
    from ..store.maintenance.gc import collect_garbage

    if not grace_hours >= 0:
        raise ConfigError(f"--grace-hours must not be negative, not {grace_hours}")
    found = collect_garbage(path, grace_hours, dry_run)
    print_answer([vars(one) for one in found] if json else garbage_text(found, dry_run))
    return 0


def _lines(path: str) -> list[str]:
    """Return the lines of a file that are not empty."""
    return [line for line in read_text(Path(path), ConfigError, MAX_INDEX_BYTES).split("\n") if line]
