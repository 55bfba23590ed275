"""Every exception this package raises. All take one message, so that they survive pickling through Ray.

TracerError
├── InputError (also ValueError)   something the user gave is wrong; trying again will not help
│   ├── ConfigError                    a flag or a field of the configuration
│   ├── CorpusError                    a malformed prompt file; says file and line
│   ├── PromptError                    one prompt that cannot be traced: too long, unknown token, empty
│   ├── TargetError                    a target that does not resolve to a direction
│   ├── InterventionError              a feature, position or layer to set that there is not
│   ├── ModelError                     a model that is not there or cannot be read
│   │   └── UnknownArchitecture            a model this package has no row for
│   ├── TranscoderError                transcoder files that are missing, malformed or of unknown format
│   │   └── ShapeMismatch                  transcoders that do not fit the model
│   ├── FilesChanged                   files of a model or of transcoders that are not those a run began with
│   └── PlanDoesNotFit                 needs more memory than there is
├── StoreError                     a store that cannot be read or written
│   ├── StoreUnavailable               it may answer later: an outage, a full disk
│   ├── StoreNotFound                  nothing there
│   ├── StoreVersionError              written by a version this one does not know
│   ├── StoreMismatch                  made with another configuration
│   ├── CommitRefused                  what was to be committed is not there as written; nothing else is concerned
│   ├── StoreCorrupt                   checksums or sizes that do not agree
│   └── PromptNotFound                 no such prompt in the store (also KeyError)
├── BundleError                    a bundle for machines without internet that is damaged or cannot be made
├── OutOfMemory                    may fit with fewer rows per sweep
├── WorkerLost                     a process died; the work goes to another
└── JobServerError                 a cluster's job server does not answer, or refuses
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class TracerError(Exception):
    """Base of all errors of this package."""


class InputError(TracerError, ValueError):
    """Something the user gave is wrong."""


class ConfigError(InputError):
    """A flag or a field of the configuration is wrong."""


class CorpusError(InputError):
    """A prompt file is malformed; the message names file and line."""


class PromptError(InputError):
    """One prompt cannot be traced."""


class TargetError(InputError):
    """A target does not resolve to a direction."""


class InterventionError(InputError):
    """A feature, position or layer to set that there is not."""


class ModelError(InputError):
    """A model is missing or cannot be read."""


class UnknownArchitecture(ModelError):
    """No row in `model/architectures.py` for this architecture."""


class TranscoderError(InputError):
    """Transcoder files are missing, malformed or of an unknown format."""


class ShapeMismatch(TranscoderError):
    """Transcoders do not fit the model."""


class FilesChanged(InputError):
    """Files of a model or of transcoders are not those that a run began with, or that were loaded."""


class PlanDoesNotFit(InputError):
    """The plan needs more memory than there is."""


class StoreError(TracerError):
    """A store cannot be read or written."""


class StoreUnavailable(StoreError):
    """The store did not do what was asked, for a reason that may pass."""


class StoreNotFound(StoreError):
    """There is no store at this path."""


class StoreVersionError(StoreError):
    """The store was written in a format this version does not know."""


class StoreMismatch(StoreError):
    """The store was made with another configuration."""


class CommitRefused(StoreError):
    """What was to be committed is not there as it was written, and must not count. Of several parts the others do."""

    parts: Mapping[str, str] = MappingProxyType({})
    """Why, for each part that was refused, by name."""


class StoreCorrupt(StoreError):
    """Checksums or sizes in the store do not agree."""


class PromptNotFound(StoreError, KeyError):
    """No such prompt in the store."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message's repr


class BundleError(TracerError):
    """A bundle for machines without internet is damaged, or cannot be made."""


class OutOfMemory(TracerError):
    """The device's memory is full; fewer rows per sweep may fit."""


class WorkerLost(TracerError):
    """A worker process died."""


class JobServerError(TracerError):
    """A cluster's job server does not answer, or refuses."""


def is_failure(error: BaseException) -> bool:
    """Whether it is an exception like others, or a panic of a library written in Rust, which Python counts as none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
