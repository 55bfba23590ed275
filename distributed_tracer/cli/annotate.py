"""Commands about what people have said about a store: annotations (list, note, undo, export, import)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

from ..errors import ConfigError
from ..text import counted, printable
from .app import SHOWN_REJECTED, StorePath, bound, check_count, parse_feature, print_answer
from .labels import account_name

if TYPE_CHECKING:
    from ..annotations.selection import Selection

annotations_app = tyro.extras.SubcommandApp()

KindName = Annotated[str | None, tyro.conf.arg(metavar="labels|groups|notes|views|results|verdicts")]
JsonlFile = Annotated[Positional[str], tyro.conf.arg(metavar="FILE")]


def list_(
    path: StorePath,
    kind: KindName = None,
    prompt: str | None = None,
    feature: str | None = None,
    author: str | None = None,
    history: bool = False,
    limit: int = 50,
    json: bool = False,
) -> int:
    """Print what people and programs have said about a store, its prompts and its features, the oldest first.

    Args:
        path: Directory or URL of a store.
        kind: Kind of annotations to print (default: all).
        prompt: Prompt: prints what is said about it, and about nodes and edges of its graph.
        feature: Feature, by layer and index, as in 12:3045: prints what is said about it, and about nodes that are it.
        author: Author whose annotations to print.
        history: Whether to print also what was removed or replaced, with the names by which edits refer to it.
        limit: Number of annotations to print; JSON has them all.
        json: Whether to print the answer as JSON.
    """
    from ..annotations.selection import check_conditions, prompt_misfit, records_table, selected
    from ..store.annotation_log import AnnotationCache
    from ..store.reader import open_store

    check_count("--limit", limit)
    chosen, store = _selection(kind, prompt, feature, author), open_store(path)
    cache = AnnotationCache(store.root)
    cache.refresh(chosen.kinds)
    cache.check(chosen.kinds)
    found = list(selected(cache, chosen, history))
    if not found:
        check_conditions(store, chosen)
    misfits = [bool(prompt_misfit(store, record.subject)) for record in found]
    if json:
        print_answer([{**one.to_json(), "fits": not misfit} for one, misfit in zip(found, misfits, strict=True)])
        return 0
    more = f"\n... {len(found) - limit:,} more" if len(found) > limit else ""
    print(f"{records_table(found[:limit], history).format(limit)}{more}\n{counted(len(found), 'annotation')}")
    if number := sum(misfits):
        print(f"{number:,} of prompts that are not in this store, or ask for something else here: they do not count")
    return 0


def note(
    path: StorePath,
    text: Annotated[Positional[str], tyro.conf.arg(metavar="TEXT")],
    prompt: str | None = None,
    feature: str | None = None,
    author: str | None = None,
) -> int:
    """Write a note about a store, or about one of its prompts or features.

    Args:
        path: Directory or URL of a store.
        text: The note.
        prompt: Prompt that the note is about.
        feature: Feature that the note is about, by layer and index, as in 12:3045.
        author: Your name (default: the name of your account).
    """
    from ..labels.in_store import bounds_check
    from ..store.annotation_edits import write_note
    from ..store.format.annotation_subject import Subject
    from ..store.reader import open_store

    if prompt is not None and feature is not None:
        raise ConfigError("--prompt and --feature exclude each other: a note is about one thing")
    store, subject = open_store(path), Subject.of_store()
    if prompt is not None:
        subject = Subject.of_prompt(prompt, store.entry(prompt).asked)
    elif feature is not None:
        site = parse_feature(feature)
        bounds_check(store)(*site)
        subject = Subject.of_feature(*site)
    name = write_note(store.root, subject, text, account_name(author))
    print(f"wrote note {name} about {subject}")
    return 0


def undo(
    path: StorePath,
    name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME")],
    author: str | None = None,
) -> int:
    """Bring back what was said before an annotation, which must count now. Nothing is deleted.

    Args:
        path: Directory or URL of a store.
        name: Name of the annotation, as `annotations list --history` prints it.
        author: Your name (default: the name of your account).
    """
    from ..store.annotation_log import AnnotationCache
    from ..store.annotation_undo import undo as undo_edit
    from ..store.reader import open_store

    cache = AnnotationCache(open_store(path).root)
    cache.refresh()
    record = cache.find(name)
    written = undo_edit(cache, record.kind, record.subject, account_name(author), record.ref)
    print(f"took back what {printable(name)} says about {record.subject}, by {', '.join(written)}")
    return 0


def export(
    path: StorePath,
    out: JsonlFile,
    kind: KindName = None,
    prompt: str | None = None,
    feature: str | None = None,
    author: str | None = None,
) -> int:
    """Write annotations of a store to a file, from which `annotations import` adds them to another store.

    Args:
        path: Directory or URL of a store.
        out: File to write, which ends in .jsonl. An existing file is replaced.
        kind: Kind of annotations to write (default: all).
        prompt: Prompt: writes what is said about it, and about nodes and edges of its graph.
        feature: Feature, by layer and index, as in 12:3045: writes what is said about it, and about nodes that are it.
        author: Author whose annotations to write, of these what counts now.
    """
    from ..annotations.annotation_file import write_annotation_file
    from ..store.reader import open_store

    chosen = _selection(kind, prompt, feature, author)
    count = write_annotation_file(open_store(path), out, chosen)
    print(printable(f"wrote {counted(count, 'annotation')} to {out}"))
    return 0


def import_(path: StorePath, files: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE...")]) -> int:
    """Add the annotations of files to a store of the same prompts. Those that it has already are not added again.

    Lines that are no annotations, and annotations of prompts that the store does not have, or that ask something else
    there, are reported; the exit code is then 3.

    Args:
        path: Directory or URL of a store.
        files: Files that `annotations export` has written, perhaps compressed (.gz, .bz2, .xz, .zst).
    """
    from ..annotations.annotation_file import read_annotation_file
    from ..store.reader import open_store

    if not files:
        raise ConfigError("no file: name at least one file of annotations")
    store, num_added, num_there, problems = open_store(path), 0, 0, list[str]()
    num_refused = 0
    for file in files:
        done = read_annotation_file(store, file)
        num_added, num_there = num_added + done.num_added, num_there + done.num_there
        num_refused += len(done.refused)
        problems += [f"{done.name}:{line}: {reason}" for line, reason in done.refused]
        problems += [f"{done.name}:{line}: imported, but {reason}" for line, reason in done.not_counting]
    for problem in problems[:SHOWN_REJECTED]:
        print(printable(problem), file=sys.stderr)
    if len(problems) > SHOWN_REJECTED:
        print(f"{len(problems) - SHOWN_REJECTED:,} more such lines", file=sys.stderr)
    refused = f"; {counted(num_refused, 'line')} refused" if num_refused else ""
    print(f"added {counted(num_added, 'annotation')}; {num_there:,} were there{refused}")
    return 3 if problems else 0


def _selection(kind: str | None, prompt: str | None, feature: str | None, author: str | None) -> Selection:
    from ..annotations.selection import Selection

    return Selection(kind, prompt, None if feature is None else parse_feature(feature), author)


OF_ANNOTATIONS = {function.__name__.rstrip("_"): function for function in (list_, note, undo, export, import_)}
"""The commands of `annotations`, by name."""

for _name, _function in OF_ANNOTATIONS.items():
    annotations_app.command(name=_name)(bound(_function))
annotations_app.__doc__ = "Annotations of a store: list, write, undo, export and import them."
