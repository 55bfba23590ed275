"""Commands about what features mean: labels (add, make, list, export, remove) and feature."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated

import tyro
from tyro.conf import Positional

from ..errors import ConfigError
from ..text import and_more, counted, printable, short
from .app import SHOWN_REJECTED, StorePath, bound, check_count, parse_feature, print_answer

labels_app = tyro.extras.SubcommandApp()

LabelFormat = Annotated[str | None, tyro.conf.arg(metavar="jsonl|csv|tsv|parquet")]


def add(
    path: StorePath,
    files: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE...")],
    source: str | None = None,
    format: LabelFormat = None,
    author: str | None = None,
) -> int:
    """Add labels of features to a store. Labels that it has already are not added again.

    A file has a row per label, with the columns layer, index and text, and perhaps source. The explanations that
    Neuronpedia exports are read as they are. Rows that are no labels are reported, and the others are added; the exit
    code is then 3.

    Args:
        path: Directory or URL of a store.
        files: Files that end in .jsonl, .csv, .tsv or .parquet, perhaps compressed (.gz, .bz2, .xz, .zst).
        source: Who says what all of these labels say (default: the rows' own column, or the name of the file).
        format: Format of the files, if their endings do not say it.
        author: Your name (default: the name of your account).
    """
    from ..labels.in_store import add_labels, bounds_check
    from ..labels.label_file import read_label_file
    from ..store.reader import open_store

    if not files:
        raise ConfigError("no file: name at least one file of labels")
    store = open_store(path)
    check, num_bad = bounds_check(store), 0
    found = [read_label_file(file, source, format, check) for file in files]
    for file in found:
        sets = dict.fromkeys(file.source_sets[layer] for layer in sorted(file.source_sets))
        for what, names in (("model", file.models), ("source sets", sets)):
            if names:
                listed = ", ".join(short(name) for name in list(names)[:3]) + and_more(len(names) - 3, ", ")
                print(printable(f"{file.name}: labels of {what} {listed}"))
        for row in file.bad[: max(0, SHOWN_REJECTED - num_bad)]:
            print(printable(f"{file.name}:{row.line}: {row.reason}"), file=sys.stderr)
        num_bad += len(file.bad)
    if num_bad > SHOWN_REJECTED:
        print(f"{num_bad - SHOWN_REJECTED:,} more rows that are no labels", file=sys.stderr)
    done = add_labels(store, (row for file in found for row in file.rows), account_name(author))
    refused = f"; {counted(num_bad, 'row')} refused" if num_bad else ""
    print(f"added {counted(done.num_added, 'label')}; {done.num_there:,} were there{refused}")
    return 3 if num_bad else 0


def make(path: StorePath, profile: str, author: str | None = None) -> int:
    """Make labels from a profile by rules: which token a feature promotes, and what its strongest contexts share.

    The labels have the source "rule" and take the place of those that an earlier call has made. docs/labels.md has the
    rules. Where a profile has no clear pattern, a feature gets no label.

    Args:
        path: Directory or URL of a store.
        profile: Profile of the features of this store's transcoders, which the command `profile` has written.
        author: Your name (default: the name of your account).
    """
    from ..labels.in_store import replace_labels
    from ..labels.rules import RULE, rule_labels
    from ..profile.reader import open_profile
    from ..profile.same_features import check_profile
    from ..store.reader import open_store

    store, known = open_store(path), open_profile(profile)
    check_profile(store, known)
    done = replace_labels(store, RULE, rule_labels(known.features()), account_name(author))
    print(
        f"labels by rule: {done.num_added:,} new, {done.num_there:,} as before, {done.num_removed:,} removed; the "
        f"profile has {counted(len(known), 'feature')}"
    )
    return 0


def list_(
    path: StorePath,
    feature: str | None = None,
    source: str | None = None,
    limit: int = 50,
    json: bool = False,
) -> int:
    """Print the labels of a store, by layer and index, and how many each source has.

    Args:
        path: Directory or URL of a store.
        feature: Feature whose labels to print, by layer and index, as in 12:3045.
        source: Source whose labels to print.
        limit: Number of labels to print; JSON has them all.
        json: Whether to print the answer as JSON.
    """
    from ..labels.in_store import COLUMNS, label_rows, label_sources
    from ..names import unknown
    from ..store.reader import open_store
    from ..table import Table

    check_count("--limit", limit)
    site = None if feature is None else parse_feature(feature)
    found = open_store(path).labels
    sources = label_sources(found)
    if source is not None and source not in sources:
        raise ConfigError(unknown("source of labels", source, sources, quoted=True))
    rows = [row for row in label_rows(found) if site in (None, row[:2]) and source in (None, row[3])]
    table = Table({name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)})
    if json:
        print_answer(list(table.rows()))
        return 0
    print(f"{table.format(limit)}\n{counted(len(rows), 'label')}")
    if site is None:
        print("\n".join(f"{count:,} of {short(name)}" for name, count in sources.items()))
    return 0


def export(path: StorePath, out: Annotated[Positional[str], tyro.conf.arg(metavar="FILE")]) -> int:
    """Write all labels of a store to a file, from which `labels add` reads them.

    Args:
        path: Directory or URL of a store.
        out: File to write, which ends in .jsonl or .csv. An existing file is replaced.
    """
    from ..labels.in_store import check_label_file, write_label_file
    from ..store.reader import open_store

    check_label_file(out)
    count = write_label_file(open_store(path).labels, out)
    print(printable(f"wrote {counted(count, 'label')} to {out}"))
    return 0


def remove(path: StorePath, source: str, author: str | None = None) -> int:
    """Remove all labels of one source. Nothing is deleted: the store keeps what was said, and no longer shows it.

    Args:
        path: Directory or URL of a store.
        source: Source whose labels to remove, as `labels list` prints it.
        author: Your name (default: the name of your account).
    """
    from ..labels.in_store import remove_labels
    from ..store.reader import open_store

    count = remove_labels(open_store(path), source, account_name(author))
    print(f"removed {counted(count, 'label')} of {short(source)}")
    return 0


def feature(
    path: StorePath,
    feature: Annotated[Positional[str], tyro.conf.arg(metavar="LAYER:INDEX")],
    profile: str | None = None,
    top: int = 10,
    json: bool = False,
) -> int:
    """Print what is known about one feature: labels, contexts, promoted tokens, where it acts, what drives it.

    Args:
        path: Directory or URL of a store.
        feature: Feature, by layer and index, as in 12:3045.
        profile: Profile that the command `profile` has written; without it, contexts come from the store's graphs.
        top: Number of entries in each list.
        json: Whether to print the answer as JSON.
    """
    from ..profile.reader import open_profile
    from ..profile.same_features import check_profile
    from ..query.feature_summary import feature_summary
    from ..report.feature import feature_text
    from ..store.reader import open_store

    check_count("--top", top)
    layer, index = parse_feature(feature, "a feature")
    store = open_store(path)
    known = None
    if profile is not None:
        opened = open_profile(profile)
        check_profile(store, opened)
        if (known := opened.feature(layer, index)) is None:
            print(f"feature {layer}:{index} is active nowhere in the profile", file=sys.stderr)
    found = feature_summary(store, layer, index, known, top)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print_answer(found if json else feature_text(found, colour))
    return 0


def account_name(given: str | None) -> str:
    """Return the author that is given, or else the name of the account."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in some containers
        return ""


OF_LABELS = {function.__name__.rstrip("_"): function for function in (add, make, list_, export, remove)}
"""The commands of `labels`, by name."""

for _name, _function in OF_LABELS.items():
    labels_app.command(name=_name)(bound(_function))
labels_app.__doc__ = "Labels of features: add, make, list, export and remove them."
