"""Parcel: a prompt on its way to a worker, pickled and unpickled here so that one that cannot be sent fails alone.

Ray is given only bytes. If Ray pickled the prompts itself, an error would concern the whole call and end the run.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, replace

import ray

from ...plan.work import Outcome, WorkUnit
from ..telemetry.untrusted_text import in_short

TOO_LARGE = (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)
"""Exceptions that Ray raises if it has no room for the arguments of a call. Small arguments need none: they are sent
with the call itself."""


class CannotTravel(Exception):
    """A prompt cannot be sent to a worker."""


@dataclass(frozen=True)
class Parcel:
    """A pickled unit, and the outcome to report if the worker cannot unpickle it."""

    packed: bytes
    unread: Outcome

    @classmethod
    def of(cls, unit: WorkUnit) -> Parcel:
        """Pickle a unit. Raises CannotTravel if that is not possible."""
        try:
            packed = pickle.dumps(unit, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # any type: the unit may contain objects of other libraries
            raise CannotTravel(f"it cannot be sent to a worker: {_said(error)}") from error
        return cls(
            packed,
            Outcome(unit.prompt.id, "failed", "worker", "", unit.attempt, expected_seconds=unit.expected_seconds),
        )


def unpacked(parcels: Iterable[Parcel]) -> tuple[list[WorkUnit], list[Outcome]]:
    """Unpickle units; return them, and a *failed* outcome for each that cannot be unpickled here."""
    units, unread = [], []
    for parcel in parcels:
        try:
            units.append(pickle.loads(parcel.packed))
        except Exception as error:
            unread.append(replace(parcel.unread, reason=f"a worker cannot read it as it was sent: {_said(error)}"))
    return units, unread


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {in_short(error)}"
