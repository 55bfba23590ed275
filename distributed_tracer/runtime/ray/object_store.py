"""Object store: computes the size of Ray's object store where a run starts Ray itself.

By default Ray takes 30% of the machine's memory, even if the control group of a Slurm job or a service allows less. If
/dev/shm is smaller than that, as in a container with the default of 64 MiB, Ray puts all of it into a file on disk.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from ...errors import ConfigError
from ...plan.machine import free_cpu_bytes
from ...text import format_bytes

_log = logging.getLogger(__name__)

LEAST = 75 * 2**20
"""Size in bytes of the smallest object store with which Ray starts."""
_SHM = Path("/dev/shm")
_MEMORY_SHARE, _SHM_SHARE, _DISK_SHARE = 0.3, 0.95, 0.5
_MORE = "docker run --shm-size=8g, or on Kubernetes an emptyDir of medium Memory at /dev/shm, gives it more"


def object_store_bytes(folder: Path) -> int:
    """Return the size of Ray's object store in bytes: in /dev/shm or, with a warning, in a file in `folder`.

    Ray spills objects that do not fit into the store to `folder`. Raises ConfigError if neither place has room for the
    minimum that Ray requires: processes that write to such a file die without a message when the disk is full.
    """
    wanted = max(LEAST, int(_MEMORY_SHARE * free_cpu_bytes()))
    shm = shutil.disk_usage(_SHM).free if _SHM.is_dir() else 0
    if (room := int(_SHM_SHARE * shm)) >= LEAST:
        return min(wanted, room)
    disk = shutil.disk_usage(folder).free
    if (room := int(_DISK_SHARE * disk)) < LEAST:
        raise ConfigError(
            f"there is no room for what Ray's processes send each other: /dev/shm has {format_bytes(shm)} free, "
            f"{folder} {format_bytes(disk)}; {format_bytes(LEAST)} of the first are needed, or twice that of the "
            f"second. {_MORE}; "
            "RAY_TMPDIR names another folder than /tmp. --local works without Ray."
        )
    _log.warning(
        "/dev/shm has %s free, too little for Ray: what workers send each other, such as shares of transcoders, goes "
        "through a file in %s, which is slower. %s.",
        *(format_bytes(shm), folder, _MORE),
    )
    return min(wanted, room)
