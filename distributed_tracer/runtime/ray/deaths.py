"""Deaths: finds out why a worker died, and describes it for people.

If the kernel kills a process because memory ran out, neither the process nor Ray reports the cause. But the kernel
counts such kills in each control group. A worker reports the count of its group when it starts. If the worker dies and
the count has grown, lack of memory was the cause. Each kill explains one death.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...plan.control_group import Kills
from ...text import format_bytes
from ..telemetry.untrusted_text import in_short, plain_line, shortened

_LONGEST_OF_RAY = 200
_SECONDS = 10.0
"""Time limit for the answer of another machine, which starts a process to read the count."""


@dataclass(frozen=True)
class Place:
    """Where an actor runs: its name `host:pid on address`, Ray's node id, and the kernel's kill count at its start."""

    name: str
    node: str
    kills: Kills | None


class Deaths:
    """Describes deaths, and remembers the kills by the kernel that already explain one."""

    def __init__(self) -> None:
        self._causes: dict[Place, str] = {}
        self._explained: dict[tuple[str, str], int] = {}

    def reason(self, name: str, place: Place | None, error: Exception) -> str:
        """Return which worker died, of what cause, and Ray's own explanation without its general advice."""
        text = str(error)
        _, found, detail = text.partition("Worker exit detail: ")
        explanation = next(iter((detail if found else text).partition(". Some common causes")[0].splitlines()), "")
        if place is not None and place not in self._causes:
            self._causes[place] = _known_to_ray(error) or self._known_to_the_kernel(place) or "died"
        cause = self._causes[place] if place is not None else _known_to_ray(error) or "died"
        return f"worker {name} {cause} (Ray: {shortened(plain_line(explanation), _LONGEST_OF_RAY)})"

    def _known_to_the_kernel(self, place: Place) -> str | None:
        if place.kills is None:
            return None
        key = (place.node, str(place.kills.file))
        known = max(place.kills.count, self._explained.get(key, 0))
        if not _more(place.node, replace(place.kills, count=known)):
            return None
        self._explained[key] = known + 1
        limit = place.kills.limit
        had = "its machine" if limit is None else f"its control group, whose limit is {format_bytes(limit)},"
        return (
            f"was killed by the kernel, as {had} had no memory left; fewer workers on a machine need less, and a "
            "container, pod or Slurm job can be given more"
        )


def no_room_for_answer(name: str, error: Exception) -> str:
    """Return the reason to give up a worker whose reply did not fit into Ray's object store.

    The lost reply may have contained a part manifest, so the worker is treated as if it had died before it replied.
    """
    return f"worker {name} is given up, as Ray has no room for its answer: {in_short(error)}"


def _known_to_ray(error: Exception) -> str | None:
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in str(error):
        return "was ended because its machine's memory was nearly full"
    if isinstance(error, ray.exceptions.NodeDiedError) or "node has died" in str(error) or "node died" in str(error):
        return "was on a machine that left the cluster"
    return None


def _more(node: str, kills: Kills) -> int:
    """Return the number of kills since `kills` was recorded, counted on that node; 0 if the node does not answer."""
    if node == ray.get_runtime_context().get_node_id():
        return kills.more()
    there: Any = NodeAffinitySchedulingStrategy(node, soft=False)
    try:
        return int(ray.get(_count.options(scheduling_strategy=there).remote(kills), timeout=_SECONDS))
    except ray.exceptions.RayError:
        return 0


@ray.remote(num_cpus=0, max_retries=0)
def _count(kills: Kills) -> int:
    return kills.more()
