"""A bundle's files are as its manifest says, or the first that is not is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distributed_tracer.errors import BundleError
from distributed_tracer.ops.bundle.manifest import NAME, Manifest, read_manifest, verify


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    manifest = Manifest(complete=True)
    for name in ("model/a.json", "model/b.safetensors", "wheels/c-1-py3-none-any.whl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
        manifest.record(name, tmp_path / name)
    manifest.write(tmp_path)
    return tmp_path


def test_what_was_written_is_read_and_verified(bundle: Path) -> None:
    manifest = verify(bundle)
    assert manifest == read_manifest(bundle)
    assert manifest.files["model/a.json"]["bytes"] == len("content of model/a.json")


def test_the_first_of_several_wrong_files_is_named_and_the_others_counted(bundle: Path) -> None:
    (bundle / "model" / "b.safetensors").write_text("content of model/B.safetensors")
    (bundle / "wheels" / "c-1-py3-none-any.whl").unlink()
    with pytest.raises(
        BundleError, match=r"model/b\.safetensors is damaged: its SHA-256 .* and 1 more files are wrong"
    ):
        verify(bundle)


def test_a_missing_and_a_shortened_file_are_told_apart(bundle: Path) -> None:
    (bundle / "model" / "a.json").write_text("short")
    with pytest.raises(BundleError, match=r"model/a\.json is damaged: it has 5 bytes, not 23"):
        verify(bundle)
    (bundle / "model" / "a.json").unlink()
    with pytest.raises(BundleError, match=r"model/a\.json is missing"):
        verify(bundle)


def test_a_wheel_that_nobody_recorded_is_wrong_because_pip_might_install_it(bundle: Path) -> None:
    (bundle / "wheels" / "c-2-py3-none-any.whl").touch()
    with pytest.raises(BundleError, match=r"wheels/c-2-py3-none-any\.whl is not in manifest\.json"):
        verify(bundle)


def test_an_unfinished_bundle_is_refused(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    manifest.complete = False
    manifest.write(bundle)
    with pytest.raises(BundleError, match="is not finished: run the same"):
        verify(bundle)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is not of format 1"),
        ('{"format": 2}', "is not of format 1"),
        ('{"format": 1, "more": 1}', "is malformed"),
        ('{"format": 1, "files": []}', "is malformed"),
        ('{"format": 1, "files": {"a": {"sha256": 1, "bytes": 1}}}', "is malformed"),
        ('{"format": 1, "files": {"a": {"sha256": ""}}}', "is malformed"),
        (
            '{"format": 1, "files": {"model/../../a": {"sha256": "", "bytes": 1}}}',
            "names 'model/../../a', which may be",
        ),
        ('{"format": 1, "files": {"C:a": {"sha256": "", "bytes": 1}}}', "names 'C:a', which may be outside"),
        ('{"format": 1, "parts": {"model": {"path": "/"}}}', "names '/', which may be outside"),
        ('{"format": 1, "parts": {"model": {"path": null}}}', "names None, which may be outside"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(BundleError, match=message):
        read_manifest(tmp_path)


def test_a_directory_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is no bundle: there is no manifest\.json"):
        verify(tmp_path)


def test_the_manifest_is_plain_json_with_sorted_names(bundle: Path) -> None:
    text = (bundle / NAME).read_text()
    assert list(json.loads(text)["files"]) == sorted(read_manifest(bundle).files)
