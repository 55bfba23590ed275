"""Names of the objects of a store, and the maximum size of each kind of object."""

from __future__ import annotations

import hashlib
import re

RUN = "run.json"
_NUMBER_DIGITS, _ID_DIGITS = 10, 32
PART_NAME = re.compile(r"[0-9a-f]{32}")
COMMIT_NAME = re.compile(r"[0-9]{10}-[0-9a-f]{32}\.json")
FAILURE_NAME = re.compile(r"[0-9a-f]{64}\.json")
INDEX_NAME = re.compile(r"[0-9]{10}\.json")
RUN_NAME = re.compile(r"[0-9a-f]{32}\.json")
RUN_END_NAME = re.compile(r"[0-9a-f]{32}\.end\.json")
OBJECT_KEY = re.compile(r"(?:[a-z0-9_]+/)*[a-z0-9_]+(?:\.json)?")
_EVALUATION_KEY = re.compile(r"checks/([a-z_]{1,64})/[0-9a-f]{32}\.json")
_ANNOTATION_KEY = re.compile(r"annotations/([a-z_]{1,64})/[0-9a-f]{32}\.json")
_MOST_BYTES = {RUN: 1 << 24, "runs": 1 << 24, "failures": 1 << 20, "annotations": 1 << 26}
_MOST_OF_OTHERS = 1 << 28
"""Maximum size of a commit in bytes.

A commit of 16,384 prompts, the largest part that `compact` makes by default, has 106 MB if ids have 512 characters that
JSON writes in twelve bytes each. Indexes and evaluation records are smaller. Annotations have a limit of their own.
"""


def most_bytes(key: str) -> int:
    """Return the maximum size in bytes of an object with this key.

    No larger object is written, or read if its size is not recorded.
    """
    return _MOST_BYTES.get(key.partition("/")[0], _MOST_OF_OTHERS)


def commit_name(number: int, part: str) -> str:
    """Return the file name of the commit of a part; a commit counts after all of a lower number."""
    return f"{number:0{_NUMBER_DIGITS}d}-{part}.json"


def committed_part(name: str) -> str:
    """Return the id of the part in the file name of a commit."""
    return name[_NUMBER_DIGITS + 1 :][:_ID_DIGITS]


def index_name(number: int) -> str:
    """Return the file name of the index that covers commits up to a number."""
    return f"{number:0{_NUMBER_DIGITS}d}.json"


def number_of(name: str) -> int:
    """Return the number in the file name of a commit or of an index."""
    return int(name[:_NUMBER_DIGITS])


def file_of(key: str) -> str:
    """Return the last component of an object's key: the file name in its folder."""
    return key.rpartition("/")[2]


def id_of(name: str) -> str:
    """Return the id, 32 hexadecimal digits, at the beginning of the file name of a run's record."""
    return name[:_ID_DIGITS]


def evaluation_key(kind: str, data: bytes) -> str:
    """Return the key of the evaluation record with these bytes.

    The file name is a hash of the bytes, so that equal records are one object.
    """
    return f"checks/{kind}/{_hash_name(data)}.json"


def evaluation_kind(key: str) -> str | None:
    """Return the kind of evaluation in the key of an evaluation record; None if it is not the key of one."""
    match = _EVALUATION_KEY.fullmatch(key)
    return match[1] if match else None


def annotation_key(kind: str, data: bytes) -> str:
    """Return the key of the annotation with these bytes, whose file name is a hash of them."""
    return f"annotations/{kind}/{_hash_name(data)}.json"


def annotation_kind(key: str) -> str | None:
    """Return the kind of annotation in the key of an annotation; None if it is not the key of one."""
    match = _ANNOTATION_KEY.fullmatch(key)
    return match[1] if match else None


def annotation_name(key: str) -> str:
    """Return the name, 32 hexadecimal digits, by which other annotations refer to the one with this key."""
    return file_of(key)[:_ID_DIGITS]


def _hash_name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_ID_DIGITS]


def failure_name(prompt_id: str) -> str:
    """Return the file name of a prompt's failure record: a hash, as ids may hold characters that file names may not."""
    return f"{hashlib.sha256(prompt_id.encode('utf-8', 'surrogatepass')).hexdigest()}.json"
