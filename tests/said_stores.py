"""Stores of prompts that ask for something known, with edits of every kind, as the viewer writes them."""

from __future__ import annotations

from random_graphs import random_graph
from random_stores import RUN_INFO

from distributed_tracer.config import StoreConfig
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.store.annotation_edits import (
    write_groups_edit,
    write_label_edit,
    write_note,
    write_result,
    write_verdict,
    write_view,
)
from distributed_tracer.store.annotation_log import AnnotationCache, open_log
from distributed_tracer.store.annotation_record import ANNOTATION_KINDS
from distributed_tracer.store.annotation_undo import undo
from distributed_tracer.store.annotations import write_groups, write_labels
from distributed_tracer.store.backend.base import Backend
from distributed_tracer.store.format.annotation import PromptGroups
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.store.writer import PartWriter

NODE, OTHER = NodeKey("feature", 0, 1, 7), NodeKey("target", 3, 2, 0)
FEATURE = Subject.of_feature(0, 5)


def asking(prompt: str) -> str:
    """A hash of what a prompt asks."""
    return (prompt * 64)[:64]


def trace(url: str, *prompts: str, seed: int = 0, asked: str | None = None) -> Store:
    """Make a store, or add to one, a part with graphs of these prompts."""
    ledger = Ledger(url)
    ledger.create_or_check(RUN_INFO)
    writer = PartWriter(url, StoreConfig(url, retry_seconds=0.0))
    for prompt in prompts:
        writer.add(random_graph(prompt, seed=seed), asking(prompt) if asked is None else asked)
    manifest = writer.flush()
    assert manifest is not None
    ledger.commit(manifest)
    return open_store(url)


def annotate(store: Store, *prompts: str) -> None:
    """Say something of every kind about these prompts and about a feature, and change and undo some of it."""
    root = store.root
    write_labels(root, [(0, 5, Label("from a file", "file")), (0, 6, Label("another", "file"))], "ada")
    (label,) = open_log(root).heads("labels", FEATURE)
    label_edit = write_label_edit(root, 0, 5, "by ann", "ann", parents=[label.ref])
    write_label_edit(root, 0, 5, "by bob", "bob", parents=[label_edit])
    write_groups(root, [PromptGroups(name, asking(name), (Group(f"old of {name}", (NODE,)),)) for name in prompts])
    for name in prompts:
        subject = Subject.of_prompt(name, asking(name))
        (old,) = open_log(root).heads("groups", subject)
        write_groups_edit(root, name, asking(name), [Group(f"new of {name}", (NODE,))], [OTHER], "ann", [old.ref])
        first = write_note(root, subject, f"first of {name}", "ann")
        write_note(root, subject, f"second of {name}", "bob", [first])
        write_note(root, Subject.of_edge(name, asking(name), NODE, OTHER), f"edge of {name}", "ann")
        write_view(root, f"view of {name}", f"graph?prompt={name}", "ann", (name, asking(name)))
        write_result(root, name, asking(name), f"result of {name}", {"prompt": name, "effect": 0.5}, "bob")
        write_verdict(root, name, asking(name), [NODE, OTHER], "refused", f"of {name}", "bob")
        undo(root, "notes", subject, "bob")
    write_note(root, FEATURE, "of the feature", "ann")
    write_note(root, Subject.of_store(), "of the store", "ann")
    write_view(root, "corpus", "?sort=id", "ann")


def said(root: Backend) -> dict[str, list[tuple[str, str]]]:
    """What counts, by kind, as subject and content, sorted."""
    cache = AnnotationCache(root)
    cache.refresh()
    assert cache.problems == []
    return {
        kind: sorted((str(one.subject), str(one.content)) for one in cache.heads(kind)) for kind in ANNOTATION_KINDS
    }
