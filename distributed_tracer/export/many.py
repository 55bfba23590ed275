"""Export of many prompts into one folder, with an index, so that an export that was stopped can go on.

The folder has a file per prompt, `index.jsonl` with a line per file, and `index.csv`, the same as a table. A line is
added as soon as its file is whole. Whatever the ids of prompts are, the names of files are safe and differ also where
file systems ignore case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..documents.json_text import parse_json, to_json_types
from ..documents.text import MAX_INDEX_BYTES, read_text
from ..errors import ConfigError, StoreUnavailable, TracerError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..store.reader import Store, prompt_list
from ..table import Table
from .atomic import check_parent, new_file
from .formats import Format, format_named
from .safe_names import SAFE, safe_name

INDEX, TABLE = "index.jsonl", "index.csv"
_COLUMNS = (
    "prompt",
    "file",
    "text",
    "num_tokens",
    "num_nodes",
    "num_edges",
    "replacement",
    "completeness",
    "num_bytes",
)
_TAKEN = ("index", "graph-metadata")
"""Names of files that the folder has besides graphs, without their endings."""

Show = Callable[[int, int], None]
"""Function of the number of edges exported so far and of all edges, for a progress bar."""


@dataclass
class Exported:
    """What came of an export."""

    written: list[Path] = field(default_factory=list)
    num_there: int = 0
    """Number of files that were there from an earlier export."""
    failed: dict[str, str] = field(default_factory=dict)
    """What went wrong, by prompt."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What files lack and where their groups are shown, by file name, if there is something to say."""


def export_many(
    store: Store, prompt_ids: Iterable[str], folder: str | Path, format: str | Format, show: Show | None = None
) -> Exported:
    """Export the graphs of several prompts into a folder, which is made unless an earlier export has made it.

    `prompt_ids` may be the store itself, for all of its prompts; `format` is the name of one in `FORMATS`.

    A file that is there already is left alone if it is of the same graph, labels and groups. If somebody else has
    changed it, it is left alone as well, and the prompt counts as failed. So does a prompt whose graph is damaged or
    does not fit the format; all others are exported. Raises PromptNotFound, ConfigError for a folder with other files,
    and OSError if the folder cannot be written.
    """
    format = format_named(format) if isinstance(format, str) else format
    wanted = {prompt_id: store.entry(prompt_id) for prompt_id in prompt_list(prompt_ids)}
    place = Path(folder)
    index = _Index.of(place, format)
    done, fingerprint = Exported(), _Fingerprint(format)
    total, passed = sum(entry.num_edges for entry in wanted.values()), 0
    for prompt_id, entry in wanted.items():
        try:
            context = store.context(prompt_id)
            made_from = fingerprint.of(entry, context)
            if index.has(prompt_id, made_from):
                done.num_there += 1
            else:
                graph = store.graph(prompt_id)
                path = place / index.name_of(prompt_id)
                format.check(path)
                notes = format.write(graph, path, context)
                index.add(_line(graph, path, format, made_from, notes))
                done.written.append(path)
                done.notes |= {path.name: notes} if notes else {}
        except StoreUnavailable:  # all others would fail too
            raise
        except TracerError as error:
            done.failed[prompt_id] = str(error)
        passed += entry.num_edges
        if show:
            show(passed, total)
    index.finish()
    return done


class _Index:
    """The index of a folder: which file each prompt has, as far as files were exported."""

    def __init__(self, folder: Path, format: Format, lines: Iterable[dict[str, Any]]) -> None:
        self._folder, self._format = folder, format
        self._lines = {line["prompt"]: line for line in lines}
        self._names = {prompt_id: str(line["file"]) for prompt_id, line in self._lines.items()}
        self._taken = {*_TAKEN, *(Path(name).stem.lower() for name in self._names.values())}

    @classmethod
    def of(cls, folder: Path, format: Format) -> _Index:
        """Return the index of a folder, which is made if it is not there. Raises ConfigError for a folder of other
        files, or of another format."""
        check_parent(folder)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file: several graphs are exported into a folder")
        file = folder / INDEX
        if not file.is_file():
            if folder.is_dir() and any(folder.iterdir()):
                raise ConfigError(f"{folder} has other files and no {INDEX}: name a new folder, or an empty one")
            folder.mkdir(exist_ok=True)
            file.touch()
        lines = [line for line in map(_parsed, read_text(file, ConfigError, MAX_INDEX_BYTES).splitlines()) if line]
        if other := next((line["format"] for line in lines if line["format"] != format.name), None):
            raise ConfigError(f"{folder} has graphs in the format {other}: name another folder for {format.name}")
        return cls(folder, format, lines)

    def has(self, prompt_id: str, made_from: str) -> bool:
        """Whether a prompt's file is there and as it would be written. Raises ConfigError if somebody changed it."""
        line = self._lines.get(prompt_id)
        path = self._folder / self._names.get(prompt_id, "")
        if line is None or not path.exists():
            return False
        if _num_bytes(path) != line["num_bytes"]:
            raise ConfigError(f"{path} was changed after its export and is left alone: remove it to export it again")
        return bool(line["made_from"] == made_from)

    def name_of(self, prompt_id: str) -> str:
        """Return the name of a prompt's file: the one that it has, or a new one."""
        if prompt_id not in self._names:
            stem = safe_name(prompt_id, self._taken)
            self._taken.add(stem.lower())
            self._names[prompt_id] = stem + self._format.ending
        return self._names[prompt_id]

    def add(self, line: dict[str, Any]) -> None:
        """Record a file that is whole."""
        self._lines[line["prompt"]] = line
        with (self._folder / INDEX).open("ab") as file:
            file.write(_encoded(line))

    def finish(self) -> None:
        """Write the index anew, sorted and without what was superseded, and what else the format needs."""
        there = [self._lines[one] for one in sorted(self._lines) if (self._folder / self._names[one]).exists()]
        with new_file(self._folder / INDEX) as file:
            file.writelines(map(_encoded, there))
        columns: dict[str, Sequence[Any]] = {name: [line.get(name) for line in there] for name in _COLUMNS}
        columns["notes"] = ["; ".join(line["notes"]) for line in there]
        with new_file(self._folder / TABLE) as file:
            Table(columns).write_csv(file.name)
        if self._format.finish:
            self._format.finish(self._folder, [self._folder / line["file"] for line in there])


class _Fingerprint:
    """Hashes of what files are made from."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._labels, self._labels_hash = Labels(), ""

    def of(self, entry: Any, context: GraphContext) -> str:
        """Return a hash of the format, a graph's sizes and scores, and its context."""
        if context.labels is not self._labels:  # mostly the same for all graphs of a store
            self._labels, self._labels_hash = context.labels, _hash(sorted(context.labels))
        # field by field: the repr of a context is for people, and has only the numbers of groups and pins
        own = [getattr(context, one.name) for one in fields(context) if one.name != "labels"]
        return _hash((self._format.name, self._format.variant, entry, own, self._labels_hash))


def _hash(value: Any) -> str:
    return sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()


def _line(graph: Graph, path: Path, format: Format, made_from: str, notes: list[str]) -> dict[str, Any]:
    return {
        "prompt": graph.prompt_id,
        "file": path.name,
        "format": format.name,
        "text": graph.text,
        "num_tokens": len(graph.tokens_P),
        "num_nodes": len(graph.nodes),
        "num_edges": graph.num_edges,
        "replacement": graph.scores.replacement,
        "completeness": graph.scores.completeness,
        "num_bytes": _num_bytes(path),
        "made_from": made_from,
        "notes": notes,
    }


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(to_json_types(line), allow_nan=False).encode("ascii") + b"\n"


def _parsed(line: str) -> dict[str, Any] | None:
    """Return a line of an index, or None for one that was not written whole or names a file elsewhere."""
    with suppress(ValueError, KeyError, TypeError):
        found = parse_json(line, ValueError)
        names = [found[name] for name in ("prompt", "file", "format", "made_from")]
        inside = re.fullmatch(rf"(?!\.+$)[{SAFE}]+", found["file"])
        if inside and all(isinstance(name, str) for name in names) and isinstance(found["notes"], list):
            return {**found, "num_bytes": int(found["num_bytes"]), "notes": [str(note) for note in found["notes"]]}
    return None


def _num_bytes(path: Path) -> int:
    """Return the size of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
