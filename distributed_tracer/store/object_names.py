"""Names of the objects of a store, and the maximum size of each kind of object."""

from __future__ import annotations

import hashlib
import re

RUN = "run.json"
PART_NAME = re.compile(r"[0-9a-f]{32}")
COMMIT_NAME = re.compile(r"[0-9]{10}-[0-9a-f]{32}\.json")
FAILURE_NAME = re.compile(r"[0-9a-f]{64}\.json")
INDEX_NAME = re.compile(r"[0-9]{10}\.json")
RUN_NAME = re.compile(r"[0-9a-f]{32}\.json")
RUN_END_NAME = re.compile(r"[0-9a-f]{32}\.end\.json")
OBJECT_KEY = re.compile(r"(?:[a-z0-9_]+/)*[a-z0-9_]+(?:\.json)?")
_MOST_BYTES = {RUN: 1 << 24, "runs": 1 << 24, "failures": 1 << 20}
_MOST_OF_OTHERS = 1 << 28
"""Maximum size of a commit in bytes.

A commit of 16,384 prompts, the largest part that `compact` makes by default, has 106 MB if ids have 512 characters that
JSON writes in twelve bytes each. Indexes and evaluation records are smaller.
"""


def most_bytes(key: str) -> int:
    """Return the maximum size in bytes of an object with this key.

    No larger object is written, or read if its size is not recorded.
    """
    return _MOST_BYTES.get(key.partition("/")[0], _MOST_OF_OTHERS)


def failure_name(prompt_id: str) -> str:
    """Return the file name of a prompt's failure record: a hash, as ids may hold characters that file names may not."""
    return f"{hashlib.sha256(prompt_id.encode('utf-8', 'surrogatepass')).hexdigest()}.json"
