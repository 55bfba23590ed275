"""FilesInUse: watches the files that a process has loaded, so that the graphs of one store belong to a single model.

On a CPU, the weights of a model, and decoders that stay in their files, are views of these files. If a file is
overwritten in place, the weights change in a running process; if another file gets its name, the next process loads
that one. Each process of a run therefore compares the files that it loads with those that the run began with. It also
looks at the files again before any of its results count: at their sizes and times and, if only those differ, at their
content.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import FilesChanged
from .fingerprint import Files, digest_of
from .local_files import commit_of, described, identity_of, is_weights, locate_model, locate_transcoders, weights_of

What = Literal["model", "transcoders"]
_LOCATE = {"model": locate_model, "transcoders": locate_transcoders}
_TOKENIZER = frozenset(
    {
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        *("vocab.json", "merges.txt", "vocab.txt"),
        *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    }
)
"""Files of the tokenizer, which gives tokens their names. They may differ between runs into one store (see
`weights_of`), but not within a run."""


@dataclass(frozen=True)
class Content:
    """The content of a model or of transcoders that all processes of a run must share.

    It consists of digests by file name and, for files in the hub's cache, of the commit.
    """

    digests: Mapping[str, str]
    commit: str = ""


@dataclass(frozen=True)
class _State:
    """The state of a file as far as it is visible without reading the file."""

    num_bytes: int
    written: int
    """Time of the last write, in nanoseconds, as the file system states it."""
    changed: int
    """Time of the last change of anything, including name and mode, in nanoseconds."""
    number: int
    """Number of the inode; some network file systems change it arbitrarily."""

    @classmethod
    def of(cls, path: Path) -> _State:
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def may_be_same(self, other: _State) -> bool:
        """Whether size and time of writing are equal, so that nothing shows that the file was changed or replaced."""
        return (self.num_bytes, self.written) == (other.num_bytes, other.written)


@dataclass(frozen=True)
class _Seen:
    """The files found for a model or for transcoders, their paths, and their states before they were read."""

    files: Files
    paths: Mapping[str, Path]
    states: dict[str, _State]

    @classmethod
    def of(cls, what: What, source: str) -> _Seen:
        located = _LOCATE[what](source)
        if isinstance(located, Files):
            return cls(located, {}, {})
        try:
            states = {name: _State.of(path) for name, path in located.paths.items()}
        except OSError as error:
            return cls(Files(source, None, f"cannot be read: {error}"), {}, {})
        return cls(described(located), located.paths, states)

    @property
    def is_lasting(self) -> bool:
        """Whether loading uses exactly these files; from the hub, it may download more."""
        return self.files.folder is not None and not commit_of(self.files)

    def problem(self, name: str) -> str:
        """Return why a file is not the one that was loaded; empty if it is."""
        path, then = self.paths[name], self.states[name]
        try:
            now = _State.of(path)
            if now != then:
                digest, is_sampled = digest_of(path)
                if digest != (self.files.digests or {}).get(name) or (is_sampled and not now.may_be_same(then)):
                    return f"{name} was written to or replaced after it was loaded"
        except OSError as error:
            return f"{name} cannot be looked at any more: {error}"
        self.states[name] = now
        return ""


class FilesInUse:
    """The files that one process uses.

    Create it before model and transcoders are loaded, load them inside `loading`, and call `check` before any results
    count.
    """

    def __init__(self, model: str, transcoders: str, expected: Mapping[What, Content] | None = None) -> None:
        """Look at the files. Raises FilesChanged if they are not as `expected`, the content that the run began with."""
        self._sources: dict[What, str] = {"model": model, "transcoders": transcoders}
        self._expected = expected or {}
        self._seen = {what: _Seen.of(what, source) for what, source in self._sources.items()}
        for what, seen in self._seen.items():
            if seen.is_lasting:
                self._compare(what)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Load model and transcoders inside this block; `loaded` is called at its end.

        If loading fails and files have changed, FilesChanged is raised, because the change explains the failure.
        """
        try:
            yield
        except Exception:
            self.loaded()
            raise
        self.loaded()

    def loaded(self) -> None:
        """Record that the files have been read. Raises FilesChanged if they changed meanwhile or were not expected."""
        for what, source in self._sources.items():
            if self._seen[what].is_lasting:
                self._look_at(what, self._seen[what].paths)
            else:
                self._seen[what] = _Seen.of(what, source)
                self._compare(what)

    def check(self) -> None:
        """Raise FilesChanged if the weights may differ from those with which earlier results were computed."""
        for what, seen in self._seen.items():
            self._look_at(what, filter(is_weights, seen.paths))

    @property
    def content(self) -> dict[What, Content]:
        """The content that the other processes of the run must find, for their argument `expected`."""
        return {what: self._content(what) for what in self._seen}

    @property
    def identity(self) -> dict[str, dict[str, str]]:
        """Hashes of the files and commits on the hub, as `identity_of` returns them."""
        return identity_of({what: seen.files for what, seen in self._seen.items()})

    def _content(self, what: What) -> Content:
        files = self._seen[what].files
        if commit := commit_of(files):
            return Content(weights_of(what, files), commit)
        named = files.digests or {}
        also = {
            name: named[name] for name in named if what == "model" and (name in _TOKENIZER or name == "config.json")
        }
        return Content({**also, **weights_of(what, files)})

    def _compare(self, what: What) -> None:
        """Raise FilesChanged if the files differ from the expected ones.

        If the run began on a machine without weights, such as a login node, only the files it had are compared.
        """
        expected, here = self._expected.get(what), self._content(what)
        if expected is None or self._seen[what].files.folder is None:
            return
        if expected.commit and here.commit and expected.commit != here.commit:
            self._refuse(what, f"this is commit {here.commit}, and the run began with {expected.commit}")
        whole = any(map(is_weights, expected.digests))
        names = (
            expected.digests.keys() | here.digests.keys() if whole else expected.digests.keys() & here.digests.keys()
        )
        for name in sorted(names):
            then, now = expected.digests.get(name), here.digests.get(name)
            if then is None or now is None:
                self._refuse(what, f"{name} is {'there' if then is None else 'not there'}, other than when it began")
            if then != now:
                self._refuse(what, f"{name} holds something else than when it began")

    def _look_at(self, what: What, names: Iterable[str]) -> None:
        for problem in filter(None, map(self._seen[what].problem, names)):
            self._refuse(what, problem)

    def _refuse(self, what: What, why: str) -> None:
        raise FilesChanged(
            f"the files of {what} {self._sources[what]!r} changed during the run: {why}. Nothing that may be of two "
            f"{'models' if what == 'model' else 'sets'} was stored. Put the file back as it was, on all machines, and "
            "the same command goes on from here; other weights belong in a directory and a store of their own."
        )
