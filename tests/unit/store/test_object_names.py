"""Names of objects can be read back: nobody else cuts them."""

from __future__ import annotations

import hashlib

import pytest

from distributed_tracer.store.object_names import (
    COMMIT_NAME,
    INDEX_NAME,
    annotation_key,
    annotation_kind,
    annotation_name,
    commit_name,
    committed_part,
    evaluation_key,
    evaluation_kind,
    index_name,
    number_of,
)

PART = "0123456789abcdef" * 2


@pytest.mark.parametrize("number", [0, 7, 9_999_999_999])
def test_the_name_of_a_commit_has_its_number_and_its_part(number: int) -> None:
    name = commit_name(number, PART)
    assert COMMIT_NAME.fullmatch(name)
    assert (number_of(name), committed_part(name)) == (number, PART)
    assert INDEX_NAME.fullmatch(index_name(number))
    assert number_of(index_name(number)) == number


def test_the_key_of_an_evaluation_has_its_kind_and_a_hash_of_its_bytes() -> None:
    key = evaluation_key("edges", b"found")
    assert key == f"checks/edges/{hashlib.sha256(b'found').hexdigest()[:32]}.json"
    assert evaluation_kind(key) == "edges"


@pytest.mark.parametrize(
    "key",
    [f"checks/{PART}.json", f"checks/Edges/{PART}.json", f"checks/edges/{PART}.json.tmp", f"runs/edges/{PART}.json"],
)
def test_what_is_not_the_key_of_an_evaluation_has_no_kind(key: str) -> None:
    assert evaluation_kind(key) is None


def test_the_key_of_an_annotation_has_its_kind_and_its_name() -> None:
    key = annotation_key("labels", b"said")
    name = hashlib.sha256(b"said").hexdigest()[:32]
    assert key == f"annotations/labels/{name}.json"
    assert (annotation_kind(key), annotation_name(key)) == ("labels", name)
    assert annotation_kind(evaluation_key("edges", b"found")) is None
    assert annotation_kind(f"{key}.tmp") is None
