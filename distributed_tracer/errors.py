"""Exceptions of this package. All take one message, so that they survive pickling through Ray.

TracerError
├── InputError (also ValueError)   an input from the user is wrong; a second try will not help
│   ├── ConfigError                    a flag or a field of the configuration
│   ├── CorpusError                    a malformed prompt file; says file and line
│   ├── PromptError                    one prompt that cannot be traced: too long, unknown token, empty
│   ├── TargetError                    a target that does not resolve to a direction
│   ├── GraphFileError                 a file of a graph that another tool wrote, malformed or of an unknown form
│   ├── InterventionError              an intervention on a feature, position or layer that does not exist
│   ├── ModelError                     a model that is missing or cannot be read
│   │   └── UnknownArchitecture            a model without a row in model/architectures.py
│   ├── TranscoderError                transcoder files that are missing, malformed or of unknown format
│   │   └── ShapeMismatch                  transcoders that do not fit the model
│   ├── FilesChanged                   files of a model or of transcoders changed since the run began
│   └── PlanDoesNotFit                 a plan that needs more memory than there is
├── StoreError                     a store that cannot be read or written
│   ├── StoreUnavailable               the store may work again later: an outage, a full disk
│   ├── StoreNotFound                  no store at this path
│   ├── StoreVersionError              a store in a format that this version does not know
│   ├── StoreMismatch                  a store made with another configuration
│   ├── CommitRefused                  a part is not in the store as it was written; other parts are not concerned
│   ├── StoreCorrupt                   checksums or sizes in the store do not match
│   └── PromptNotFound                 the store has no such prompt (also KeyError)
├── ProfileError (also ValueError) a profile of features that is missing, unfinished or damaged
├── ResultError (also ValueError)  a result of mining that is missing, unfinished or damaged, or that cannot be written
├── BundleError                    a bundle for machines without internet that is damaged or cannot be made
├── OutOfMemory                    the device has too little memory; fewer rows per sweep may fit
├── WorkerLost                     a worker process died; its work goes to another one
└── JobServerError                 the job server of a cluster does not answer, or it refuses
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class TracerError(Exception):
    """Base of all errors of this package."""


class InputError(TracerError, ValueError):
    """An input from the user is wrong."""


class ConfigError(InputError):
    """A flag or a field of the configuration is wrong."""


class CorpusError(InputError):
    """A prompt file is malformed; the message names file and line."""


class PromptError(InputError):
    """One prompt cannot be traced."""


class TargetError(InputError):
    """A target does not resolve to a direction."""


class GraphFileError(InputError):
    """A file that should hold a graph is malformed, or says what no graph here can hold."""


class InterventionError(InputError):
    """An intervention names a feature, position or layer that does not exist."""


class ModelError(InputError):
    """A model is missing or cannot be read."""


class UnknownArchitecture(ModelError):
    """The architecture has no row in `model/architectures.py`."""


class TranscoderError(InputError):
    """Transcoder files are missing, malformed or of an unknown format."""


class ShapeMismatch(TranscoderError):
    """Transcoders do not fit the model."""


class FilesChanged(InputError):
    """Files of a model or of transcoders changed since the run began, or since they were loaded."""


class PlanDoesNotFit(InputError):
    """The plan needs more memory than there is."""


class StoreError(TracerError):
    """A store cannot be read or written."""


class StoreUnavailable(StoreError):
    """The store failed for a reason that may pass."""


class StoreNotFound(StoreError):
    """There is no store at this path."""


class StoreVersionError(StoreError):
    """The store was written in a format that this version does not know."""


class StoreMismatch(StoreError):
    """The store was made with another configuration."""


class CommitRefused(StoreError):
    """A part that was to be committed is not in the store as it was written, so it must not count.

    If several parts were to be committed, the others count.
    """

    parts: Mapping[str, str] = MappingProxyType({})
    """Reason of each refusal, by the name of the part."""


class StoreCorrupt(StoreError):
    """Checksums or sizes in the store do not match."""


class PromptNotFound(StoreError, KeyError):
    """The store has no prompt with this id."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message's repr


class ProfileError(TracerError, ValueError):
    """A profile of features is missing, unfinished or damaged."""


class ResultError(TracerError, ValueError):
    """A result of mining is missing, unfinished or damaged, or the disk has no room for it."""


class BundleError(TracerError):
    """A bundle for machines without internet is damaged, or cannot be made."""


class OutOfMemory(TracerError):
    """The device's memory is full; fewer rows per sweep may fit."""


class WorkerLost(TracerError):
    """A worker process died."""


class JobServerError(TracerError):
    """The job server of a cluster does not answer, or it refuses."""


def is_failure(error: BaseException) -> bool:
    """Whether an error is an `Exception`, or the panic of a Rust library, which derives from `BaseException` only."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
