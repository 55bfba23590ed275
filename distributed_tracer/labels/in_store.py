"""Labels in a store: adding, replacing and removing them, and writing them to a file."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..corpus.open_input import format_of
from ..errors import ConfigError, CorpusError
from ..export.atomic import check_file, new_file
from ..graph.labels import Label, Labels
from ..names import unknown
from ..store.annotations import current_labels, write_labels
from ..store.read.feature_bounds import check_feature
from ..store.reader import Store, open_store
from ..text import and_more
from .label_file import Check, read_label_file

Row = tuple[int, int, Label]
COLUMNS = ("layer", "index", "text", "source")


@dataclass(frozen=True)
class Added:
    """Number of labels that were added, that the store had already, and that it has no longer."""

    num_added: int
    num_there: int
    num_removed: int = 0


def bounds_check(store: Store) -> Check:
    """Return a function that raises ConfigError for a layer or an index that the graphs of a store cannot have.

    Stores of early versions do not record how many features a layer has.
    """
    sizes = store.info.get("num_features")
    sizes = sizes if isinstance(sizes, list) and all(type(size) is int for size in sizes) else []
    num_layers = store.num_layers or len(sizes)

    def check(layer: int, feature: int) -> None:
        if not (layer < len(sizes) and feature < sizes[layer]):
            check_feature(layer, feature, num_layers, store.info, store.url)

    return check


def add_labels(store: Store, rows: Iterable[Row], author: str = "", retry_seconds: float = 0.0) -> Added:
    """Add labels, given as rows of layer, index and label, to those of a store; equal ones are added once.

    A label that somebody has edited or removed by itself counts as there, and is not added again. An open store does
    not see them: open it again. Raises ConfigError, before anything is written, for a layer or an
    index that the graphs of the store cannot have.
    """
    check, withdrawn = bounds_check(store), dict[Row, bool]()
    there = {row for _, row in current_labels(store.root, withdrawn)}
    there |= {row for row, is_source_there in withdrawn.items() if is_source_there}
    given = list(dict.fromkeys((layer, feature, Label(*label)) for layer, feature, label in rows))
    for layer, feature, _ in given:
        check(layer, feature)
    new = [row for row in given if row not in there]
    write_labels(store.root, new, author, retry_seconds=retry_seconds)
    return Added(len(new), len(given) - len(new))


def replace_labels(store: Store, source: str, rows: Iterable[Row], author: str = "") -> Added:
    """Let these labels, which all have the source `source`, take the place of all others of that source.

    Labels that somebody has edited or removed by themselves are not added again.
    """
    withdrawn: dict[Row, bool] = {}
    said = {
        row: annotation.name for annotation, row in current_labels(store.root, withdrawn) if row[2].source == source
    }
    given = [row for row in dict.fromkeys(rows) if row in said or row not in withdrawn]
    new, gone = [row for row in given if row not in said], said.keys() - set(given)
    if gone:
        write_labels(store.root, given, author, replaces=sorted(set(said.values())), sources=[source])
    else:
        write_labels(store.root, new, author)
    return Added(len(new), len(given) - len(new), len(gone))


def remove_labels(store: Store, source: str, author: str = "") -> int:
    """Remove all labels of one source, and return their number. What was said stays in the store, as its history.

    Raises ConfigError for a source that has no labels.
    """
    removed = replace_labels(store, source, (), author).num_removed
    if not removed:
        raise ConfigError(unknown("source of labels", source, label_sources(store.labels), quoted=True))
    return removed


def labels_at(path: str) -> Labels:
    """Return the labels of the store at a path, or of the file of labels there, whose ending says that it is one.

    Raises ConfigError for a file with rows that are no labels.
    """
    try:
        format_of(path)
    except CorpusError:
        return open_store(path).labels
    found = read_label_file(path)
    if found.bad:
        line, reason = found.bad[0]
        raise ConfigError(f"{found.name}:{line}: {reason}{and_more(len(found.bad) - 1)}")
    return Labels.of(found.rows)


def label_sources(labels: Labels) -> Counter[str]:
    """Return the number of labels of each source, the source with most labels first."""
    counts = Counter(label.source for _, of_feature in labels for label in of_feature)
    return Counter(dict(counts.most_common()))


def label_rows(labels: Labels) -> Iterator[tuple[int, int, str, str]]:
    """Yield layer, index, text and source of every label, by layer and index."""
    for (layer, feature), of_feature in sorted(labels, key=lambda one: one[0]):
        for label in of_feature:
            yield layer, feature, label.text, label.source


def check_label_file(path: str | Path) -> None:
    """Raise ConfigError for a file that cannot be written, or whose ending is no format that labels are written in."""
    if Path(path).suffix not in (".jsonl", ".csv"):
        raise ConfigError(f"labels are written to a file that ends in .jsonl or .csv, not to {path}")
    check_file(Path(path))


def write_label_file(labels: Labels, path: str | Path) -> int:
    """Write labels as JSON lines or CSV, as the ending says, with the columns layer, index, text and source; return how
    many there are. An existing file is replaced.

    Texts are written as they are. Spreadsheet programs take a text that begins with =, +, - or @ for a formula.
    """
    check_label_file(path)
    count = 0
    with new_file(Path(path)) as binary:
        file = io.TextIOWrapper(binary, "utf-8", "backslashreplace", newline="")
        table = csv.writer(file, lineterminator="\n") if Path(path).suffix == ".csv" else None
        if table:
            table.writerow(COLUMNS)
        for row in label_rows(labels):
            if table:
                table.writerow(row)
            else:
                file.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")
            count += 1
        file.detach()  # writes what is buffered, and leaves the file open
    return count
