"""Parcel: a prompt on its way to a worker, packed and unpacked by ourselves: one that cannot travel fails alone.

What Ray is given is bytes. If it packed the prompts itself, an error would be that of a whole call, and end the run.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, replace

import ray

from ...plan.work import Outcome, WorkUnit
from ..telemetry.untrusted_text import in_short

TOO_LARGE = (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)
"""What Ray raises where it has no room for what a call carries: what is small travels with the call itself."""


class CannotTravel(Exception):
    """A prompt that cannot be sent."""


@dataclass(frozen=True)
class Parcel:
    """A unit as bytes, and what is to be said of it if nobody can read them."""

    packed: bytes
    unread: Outcome

    @classmethod
    def of(cls, unit: WorkUnit) -> Parcel:
        """Raises CannotTravel."""
        try:
            packed = pickle.dumps(unit, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # anything: what is in it is somebody else's
            raise CannotTravel(f"it cannot be sent to a worker: {_said(error)}") from error
        return cls(
            packed,
            Outcome(unit.prompt.id, "failed", "worker", "", unit.attempt, expected_seconds=unit.expected_seconds),
        )


def unpacked(parcels: Iterable[Parcel]) -> tuple[list[WorkUnit], list[Outcome]]:
    """The units, and a failure for each that cannot be read here."""
    units, unread = [], []
    for parcel in parcels:
        try:
            units.append(pickle.loads(parcel.packed))
        except Exception as error:
            unread.append(replace(parcel.unread, reason=f"a worker cannot read it as it was sent: {_said(error)}"))
    return units, unread


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {in_short(error)}"
