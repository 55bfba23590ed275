"""Settings as written on a command line: `2:9:117=x0`, `2:5::117=3.5`, `Texas=x-2`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InterventionError
from ..names import hint
from ..text import short
from .supernode import Feature, Supernode

_NAMED = 40
_LONGEST = 200
_SITE = re.compile(r"(\d{1,9}):(-?\d{1,9}|(?:-?\d{1,9})?:(?:-?\d{1,9})?(?::\d{1,9})?):(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """The known supernodes, one more for each feature that was named, and the values to set by name."""

    supernodes: tuple[Supernode, ...]
    times: dict[str, float]
    values: dict[str, float]


def parse_settings(texts: Sequence[str], known: Sequence[Supernode], absent: Sequence[str] = ()) -> Settings:
    """Parse settings of the form `WHAT=VALUE` or `WHAT=xTIMES`.

    WHAT is LAYER:POSITION:FEATURE or the name or number of a known supernode; of a name such as `role 12: Texas`,
    `role 12` is enough if no other name begins so. A position may be a slice, as in `2:5::117` (from 5 on). Supernodes
    are numbered from 1. `absent` names supernodes that have no active feature in the prompt. Raises InterventionError.
    """
    supernodes = {supernode.name: supernode for supernode in known}
    times, values = dict[str, float](), dict[str, float]()
    for text in texts:
        what, separator, number = text.rpartition("=")
        if not separator:
            raise InterventionError(f"{short(text, _LONGEST)} sets nothing: give WHAT=VALUE or WHAT=xTIMES")
        for name in (what, *_begun(what, absent)):
            if name in absent:
                raise InterventionError(
                    f"{short(name, _LONGEST)} has no active feature in this prompt, so that there is nothing to set; "
                    "name features of it with positions, as in 2:9:117=3.5, to turn them on"
                )
        supernode = _supernode(what, supernodes, known)
        if supernode.name in times or supernode.name in values:
            raise InterventionError(f"{short(what, _LONGEST)} is set twice")
        supernodes[supernode.name] = supernode
        into = times if number.startswith("x") else values
        into[supernode.name] = _number(number.removeprefix("x"), text)
    return Settings(tuple(supernodes.values()), times, values)


def _supernode(what: str, supernodes: dict[str, Supernode], known: Sequence[Supernode]) -> Supernode:
    if what in supernodes:
        return supernodes[what]
    if re.fullmatch(r"\d{1,9}", what, re.ASCII) and 1 <= int(what) <= len(known):
        return known[int(what) - 1]
    begun = _begun(what, [supernode.name for supernode in known])
    if len(begun) == 1:
        return supernodes[begun[0]]
    found = _SITE.fullmatch(what)
    if found is None:
        names = [f"{number} {supernode.name!r}" for number, supernode in enumerate(known[:_NAMED], 1)]
        names += [f"{len(known) - _NAMED:,} more"] if len(known) > _NAMED else []
        raise InterventionError(
            f"{short(what, _LONGEST)} is neither LAYER:POSITION:FEATURE, as in 2:9:117, nor a supernode; there are "
            f"{', '.join(names) or 'none'}{hint(what, [supernode.name for supernode in known])}"
        )
    layer, position, feature = found.groups()
    bounds = [int(bound) if bound else None for bound in position.split(":")]
    place = slice(*bounds) if len(bounds) > 1 else int(position)
    return Supernode(what, (Feature(int(layer), place, int(feature)),))


def _begun(what: str, names: Sequence[str]) -> list[str]:
    """Return the names whose part before a colon and a space is `what`."""
    return [name for name in names if name.partition(": ")[1] and name.partition(": ")[0] == what]


def _number(number: str, text: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise InterventionError(
            f"{short(text, _LONGEST)} sets nothing: after = stands a number, or x and a number"
        ) from None
