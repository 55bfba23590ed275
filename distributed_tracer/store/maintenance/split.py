"""split_store: copies some prompts' graphs into a store of their own.

The graphs stay bitwise equal, the parts do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ...config import StoreConfig
from ...errors import PromptNotFound
from ...names import hint
from ..backend.open import open_backend
from ..evaluations import read_checks, write_check
from ..format.run_file import settle_run
from ..ledger import Ledger
from ..part import Part
from ..read.where import rows_meeting
from ..reader import Store, prompt_list
from ..writer import PartWriter
from .copy_parts import Show
from .split_annotations import copy_annotations_of

_NAMED = 5


def split_store(store: Store, target: str, prompt_ids: str | Sequence[str], show: Show | None = None) -> int:
    """Write the graphs of `prompt_ids` into a store of the same configuration; return the number of graphs written.

    Prompts that the target already has are skipped, so a split that was killed can be continued. Raises PromptNotFound
    before anything is written, StoreMismatch if the target is a store that was not split from this one.
    """
    prompt_ids = prompt_list(prompt_ids)
    if unknown := [prompt_id for prompt_id in prompt_ids if prompt_id not in store]:
        named = ", ".join(map(repr, unknown[:_NAMED])) + (", ..." if len(unknown) > _NAMED else "")
        close = hint(unknown[0], store.catalogue.ids)
        raise PromptNotFound(f"{len(unknown)} of {len(prompt_ids)} prompts are not in {store.url}: {named}{close}")
    run = {**store.info, "split_from": {"store": store.url}}
    settle_run(open_backend(target), json.dumps(run, indent=2).encode(), f"was not split from {store.url}")
    ledger = Ledger(target)
    done = ledger.done()
    wanted = set(prompt_ids) - done
    total, written = sum(store.entry(prompt_id).num_edges for prompt_id in wanted), 0
    # a part holds all active features either for all of its prompts or for none
    writers = {keeps: PartWriter(target, StoreConfig(target, store_active=keeps)) for keeps in (True, False)}
    for commit, rows in _places(store, wanted).items():
        part = Part(store.root, store.manifest(commit))
        writer = writers[part.keeps_active]
        for row, columns in part.columns(rows):
            entry = part.manifest.prompts[row]
            # copied, because views would keep the whole part in memory
            writer.keep(entry, {name: values.copy() for name, values in columns.items()})
            written += entry.num_edges
            if writer.full:
                _commit(ledger, writer)
        if show:
            show(written, total)
    for writer in writers.values():
        _commit(ledger, writer)
    _split_checks(store, target, set(prompt_ids))
    left_out = set(store.catalogue.ids).difference(prompt_ids)
    copy_annotations_of(store.root, open_backend(target), set(prompt_ids), left_out)
    return len(wanted)


def _split_checks(store: Store, target: str, prompt_ids: set[str]) -> None:
    """Copy the evaluation results of these prompts."""
    root = open_backend(target)
    for check in read_checks(store.root):
        if numbers := [number for number, prompt in enumerate(check.prompts) if prompt.id in prompt_ids]:
            write_check(root, check.of(numbers))


def _places(store: Store, wanted: Iterable[str]) -> dict[int, list[int]]:
    """Return the rows of the prompts by commit, both in ascending order."""
    places: dict[int, list[int]] = {}
    for number in sorted(store.catalogue.number_of[prompt_id] for prompt_id in wanted):
        commit, row = store.catalogue.place(number)
        places.setdefault(commit, []).append(row)
    return places


def chosen(store: Store, where: str | Sequence[str]) -> list[str]:
    """Return the ids of the prompts that meet all conditions; `store/read/where.py` describes them.

    Raises ConfigError.
    """
    ids: list[str] = store.prompts.where(rows_meeting(store.prompts, where))["id"].tolist()
    return ids


def _commit(ledger: Ledger, writer: PartWriter) -> None:
    if manifest := writer.flush():
        ledger.commit(manifest)
