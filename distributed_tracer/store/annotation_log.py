"""AnnotationCache: the annotations of a store in memory, by what they are about, with their history; it reads each
object once, however often it is refreshed.

Axes: X label.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StoreCorrupt
from ..names import unknown
from ..text import short
from .annotation_record import ANNOTATION_KINDS, AnnotationRecord, Gone, bulk_record, is_bulk, records_of, subjects_of
from .annotations import annotation_keys
from .backend.base import Backend, Larger, key_batches
from .format.annotation import Annotation, parse_annotation
from .format.annotation_subject import FEATURE, Subject
from .object_names import annotation_kind


class AnnotationProblem(NamedTuple):
    """An annotation that cannot be used: its key in the store, and what is wrong with it."""

    key: str
    message: str


@dataclass(frozen=True)
class SortedSites:
    """The features of many labels, sorted by layer and index: finding the labels of one feature takes microseconds."""

    layer_X: npt.NDArray[np.int64]
    feature_X: npt.NDArray[np.int64]
    row_X: npt.NDArray[np.int64]
    """Number of the label's row."""

    @classmethod
    def of(cls, layers: Sequence[int], features: Sequence[int]) -> SortedSites:
        layer_X, feature_X = np.array(layers, np.int64), np.array(features, np.int64)
        row_X = np.lexsort((feature_X, layer_X))
        return cls(layer_X[row_X], feature_X[row_X], row_X)

    def __len__(self) -> int:
        return len(self.row_X)

    def rows(self, layer: int, feature: int) -> list[int]:
        """Return the rows of the labels of a feature, in ascending order."""
        first, end = np.searchsorted(self.layer_X, [layer, layer + 1]).tolist()
        low, high = np.searchsorted(self.feature_X[first:end], [feature, feature + 1]).tolist()
        rows: list[int] = self.row_X[first + low : first + high].tolist()
        return rows


@dataclass
class _OfKind:
    """The annotations of one kind, by name, and what no longer counts of them."""

    annotations: dict[str, Annotation] = field(default_factory=dict)
    about: dict[Subject, list[str]] = field(default_factory=dict)
    """Names of annotations by subject; without bulk labels."""
    of_prompt: dict[tuple[str, str], dict[Subject, None]] = field(default_factory=dict)
    """The subjects in `about`, by prompt and what it asks."""
    bulk: dict[str, SortedSites] = field(default_factory=dict)
    """The features of the annotations that hold many labels."""
    gone: Gone = field(default_factory=Gone)
    next_number: int = 0
    """One more than the highest number."""

    def add(self, annotation: Annotation) -> None:
        name = annotation.name
        if name in self.annotations:
            return
        self.annotations[name] = annotation
        self.next_number = max(self.next_number, annotation.number + 1)
        self.gone.add(annotation)
        if is_bulk(annotation):
            columns = annotation.content["labels"]
            self.bulk[name] = SortedSites.of(columns["layer"], columns["feature"])
            return
        for subject in dict.fromkeys(subjects_of(annotation)):
            self.about.setdefault(subject, []).append(name)
            self.of_prompt.setdefault((subject.prompt, subject.asked), {})[subject] = None

    def records(self, subject: Subject) -> Iterator[AnnotationRecord]:
        """Yield what is said about a subject, in no particular order."""
        for name in self.about.get(subject, ()):
            yield from records_of(self.annotations[name], subject, self.gone)
        if subject.of == FEATURE:
            for name, sites in self.bulk.items():
                for row in sites.rows(subject.layer, subject.feature):
                    yield bulk_record(self.annotations[name], row, self.gone)

    def records_in(self, name: str) -> Iterator[AnnotationRecord]:
        """Yield all that one annotation says."""
        annotation = self.annotations[name]
        if name in self.bulk:
            yield from (bulk_record(annotation, row, self.gone) for row in range(len(self.bulk[name])))
            return
        for subject in dict.fromkeys(subjects_of(annotation)):
            yield from records_of(annotation, subject, self.gone)


class AnnotationCache:
    """The annotations of a store. Safe to use from several threads; `refresh` alone reads from the store."""

    def __init__(self, root: Backend) -> None:
        self.root = root
        self._lock, self._refreshing = threading.RLock(), threading.Lock()
        self._kinds: dict[str, _OfKind] = {kind: _OfKind() for kind in ANNOTATION_KINDS}
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> list[AnnotationProblem]:
        """Annotations that were found damaged, and are left out, by key."""
        with self._lock:
            return [AnnotationProblem(*one) for one in sorted(self._problems.items())]

    def refresh(self, kinds: Collection[str] = ANNOTATION_KINDS) -> int:
        """Read the annotations of these kinds that others have written since; return how many there are.

        Only the folders are listed again: objects never change. Damaged ones go into `problems`. What `repair` has
        removed is forgotten. Raises ConfigError for an unknown kind, StoreError if the store cannot be read.
        """
        for kind in kinds:
            _check_kind(kind)
        with self._refreshing:
            keys = [key for kind in kinds for key in annotation_keys(self.root, kind)]
            known = {key for kind in kinds for key in self._known(kind)}
            if known - set(keys):
                self._forget(known - set(keys), kinds)
            num_new = 0
            for batch in key_batches([key for key in keys if key not in known]):
                num_new += self._read(batch)
            return num_new

    def check(self, kinds: Collection[str] = ANNOTATION_KINDS) -> None:
        """Raise StoreCorrupt if an annotation of these kinds is damaged."""
        problems = [problem for problem in self.problems if annotation_kind(problem.key) in kinds]
        if problems:
            more = f" ({len(problems) - 1:,} more are damaged)" if len(problems) > 1 else ""
            raise StoreCorrupt(f"{problems[0].message}{more}; `verify` lists all damage, and `repair` takes it out")

    def history(self, kind: str, subject: Subject | None = None) -> list[AnnotationRecord]:
        """Return all that was ever said, about one subject or about all, the oldest first.

        Removals are among it, with the content None. What others have taken the place of is not `current`. Raises
        ConfigError for an unknown kind.
        """
        _check_kind(kind)
        with self._lock:
            of_kind = self._kinds[kind]
            if subject is None:
                found = [record for name in of_kind.annotations for record in of_kind.records_in(name)]
            else:
                found = list(of_kind.records(subject))
        return sorted(found, key=lambda record: record.order)

    def heads(self, kind: str, subject: Subject | None = None) -> list[AnnotationRecord]:
        """Return what counts, about one subject or about all, the oldest first; several of them if several people have
        said something at once."""
        return [record for record in self.history(kind, subject) if record.current and record.content is not None]

    def about_prompt(self, kind: str, prompt: str, asked: str) -> list[AnnotationRecord]:
        """Return what counts about a prompt, and about the nodes and edges of its graph, the oldest first."""
        with self._lock:
            of_kind = self._kinds[kind]
            subjects = of_kind.of_prompt.get((prompt, asked), ())
            found = [record for subject in subjects for record in of_kind.records(subject)]
        said = (record for record in found if record.current and record.content is not None)
        return sorted(said, key=lambda record: record.order)

    def records_in(self, annotation: Annotation) -> list[AnnotationRecord]:
        """Return all that one of these annotations says, also what others have taken the place of."""
        with self._lock:
            return list(self._kinds[annotation.kind].records_in(annotation.name))

    def find(self, ref: str) -> AnnotationRecord:
        """Return the record with this `ref`, of any kind. Raises ConfigError if there is none, or if its annotation
        says something about several subjects."""
        name = ref.partition("/")[0]
        found = []
        for of_kind in self._kinds.values():
            with self._lock:
                if name in of_kind.annotations:
                    found += [record for record in of_kind.records_in(name) if record.ref == ref]
        if len(found) != 1:
            few = f"it speaks about {len(found):,} prompts" if found else "see `annotations list --history`"
            raise ConfigError(f"no single annotation of the name {short(ref)} in {self.root.url}: {few}")
        return found[0]

    def annotation(self, kind: str, name: str) -> Annotation:
        """Return an annotation as it is stored. Raises KeyError."""
        with self._lock:
            return self._kinds[kind].annotations[name]

    def has(self, kind: str, name: str) -> bool:
        """Whether there is an annotation of this kind and name."""
        with self._lock:
            return name in self._kinds[kind].annotations

    def next_number(self, kind: str) -> int:
        """Return the number of the next annotation of a kind."""
        with self._lock:
            return self._kinds[kind].next_number

    def add(self, annotation: Annotation) -> None:
        """Add an annotation that this program has just written, instead of reading it again."""
        with self._lock:
            self._kinds[annotation.kind].add(annotation)

    def annotations(self, kind: str) -> list[Annotation]:
        """Return all annotations of a kind as they are stored, the oldest first."""
        with self._lock:
            found = list(self._kinds[kind].annotations.values())
        return sorted(found, key=lambda one: (one.number, one.created, one.key))

    def _known(self, kind: str) -> Iterator[str]:
        yield from (one.key for one in self._kinds[kind].annotations.values())
        yield from (key for key in self._problems if annotation_kind(key) == kind)

    def _read(self, keys: Iterable[str]) -> int:
        larger: dict[str, Larger] = {}
        found = self.root.read_many(list(keys), larger=larger)
        problems = {
            key: f"{self.root.url}/{key} has {size}; at most {size.most:,} are read" for key, size in larger.items()
        }
        parsed = []
        for key, data in found.items():
            try:
                parsed.append(parse_annotation(data, self.root.url, key))
            except StoreCorrupt as error:
                problems[key] = str(error)
        with self._lock:
            self._problems |= problems
            for annotation in parsed:
                self._kinds[annotation.kind].add(annotation)
        return len(parsed)

    def _forget(self, keys: Collection[str], kinds: Collection[str]) -> None:
        with self._lock:
            self._problems = {key: text for key, text in self._problems.items() if key not in keys}
            for kind in kinds:
                kept = [one for one in self._kinds[kind].annotations.values() if one.key not in keys]
                self._kinds[kind] = _OfKind()
                for annotation in kept:
                    self._kinds[kind].add(annotation)


def _check_kind(kind: str) -> None:
    if kind not in ANNOTATION_KINDS:
        raise ConfigError(unknown("kind of annotations", kind, ANNOTATION_KINDS, quoted=True))


def open_log(root: Backend | AnnotationCache, kinds: Collection[str] = ANNOTATION_KINDS) -> AnnotationCache:
    """Return a log of these kinds as the store is now: the given one refreshed, or a new one of a store."""
    log = root if isinstance(root, AnnotationCache) else AnnotationCache(root)
    log.refresh(kinds)
    return log
