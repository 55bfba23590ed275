"""FilesInUse: the files that a process has loaded, so that graphs of one store never belong to two models.

On a CPU the weights of a model, and decoders that stay in their files, are views of these files. Overwritten in place
they change under a process at work; another file under the same name is what the next process loads. So each process of
a run compares what it loads with what the run began with, and looks at the files once more before anything that it
computed counts: a look at their sizes and times, and at their content where only those differ.
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
"""Tokens are named with them; they may differ in stores, see `weights_of`, and not in a run."""


@dataclass(frozen=True)
class Content:
    """What a model or transcoders are to every process of a run: digests by name, or the commit of a hub's cache."""

    digests: Mapping[str, str]
    commit: str = ""


@dataclass(frozen=True)
class _State:
    """How a file looks without being read."""

    num_bytes: int
    written: int
    """In nanoseconds, as its file system says."""
    changed: int
    """When anything of it changed, its name or mode too."""
    number: int
    """The inode; some network file systems give a new one at will."""

    @classmethod
    def of(cls, path: Path) -> _State:
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def may_be_same(self, other: _State) -> bool:
        """Whether nothing says that it was written to, or is another file."""
        return (self.num_bytes, self.written) == (other.num_bytes, other.written)


@dataclass(frozen=True)
class _Seen:
    """What was found of a model or of transcoders, where, and how it looked before it was read."""

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
        """Whether loading finds just this. Of the hub, more may be downloaded."""
        return self.files.folder is not None and not commit_of(self.files)

    def problem(self, name: str) -> str:
        """Why a file is not the one that was seen; empty if it is."""
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
    """Of one process. Made before model and transcoders are loaded, told when they are, and asked ever after."""

    def __init__(self, model: str, transcoders: str, expected: Mapping[What, Content] | None = None) -> None:
        """`expected`: what the run began with. Raises FilesChanged for files here that are not that."""
        self._sources: dict[What, str] = {"model": model, "transcoders": transcoders}
        self._expected = expected or {}
        self._seen = {what: _Seen.of(what, source) for what, source in self._sources.items()}
        for what, seen in self._seen.items():
            if seen.is_lasting:
                self._compare(what)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Around reading them; then as `loaded`. Files that changed explain whatever else went wrong."""
        try:
            yield
        except Exception:
            self.loaded()
            raise
        self.loaded()

    def loaded(self) -> None:
        """They have been read. Raises FilesChanged if they changed meanwhile, or are not those that were expected."""
        for what, source in self._sources.items():
            if self._seen[what].is_lasting:
                self._look_at(what, self._seen[what].paths)
            else:
                self._seen[what] = _Seen.of(what, source)
                self._compare(what)

    def check(self) -> None:
        """Raises FilesChanged if what is computed now may be of other weights than what was computed first."""
        for what, seen in self._seen.items():
            self._look_at(what, filter(is_weights, seen.paths))

    @property
    def content(self) -> dict[What, Content]:
        """To be expected by the run's other processes."""
        return {what: self._content(what) for what in self._seen}

    @property
    def identity(self) -> dict[str, dict[str, str]]:
        """As `identity_of`."""
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
        """Where the run began without weights (on a login node), only what it had is compared."""
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
